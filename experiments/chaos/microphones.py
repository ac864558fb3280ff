"""The capture child, the sound server and the device: stopped, killed, removed or exchanged."""

from __future__ import annotations

import contextlib
import os
import signal

from experiments.chaos.capture_fault import (
    OTHER,
    Action,
    CaptureFault,
    CaptureRun,
    Observation,
    log_line,
    state_of_fault,
    state_ok,
)
from experiments.chaos.scenario import Scenario
from tests.doubles.capture_processes import capture_processes

_OVERRUN_S = 2.0  # less than the capture waits for a frame
_QUIETER = 0.5


def _signal_child(number: signal.Signals) -> Action:
    def act(run: CaptureRun) -> None:
        for pid in capture_processes(run.run.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    return act


def _signal_daemon(number: signal.Signals) -> Action:
    def act(run: CaptureRun) -> None:
        run.run.send(number)

    return act


def _overrun(run: CaptureRun) -> None:
    """Let the pipe of the microphone, which holds half a second, be read too late."""
    run.sound.freeze()
    run.run.wait(_OVERRUN_S)
    run.sound.thaw()


def _move(run: CaptureRun) -> None:
    other = run.sound[OTHER]
    other.play(run.calm * _QUIETER, loop=True)
    run.microphone.move_to(other)


def _move_back(run: CaptureRun) -> None:
    run.sound[OTHER].move_to(run.microphone)


def _for_ten_seconds(
    name: str, fault: str, begin: Action, end: Action, *, seen: Observation | None
) -> CaptureFault:
    return CaptureFault(
        name, f"{fault} for 10 s", begin, end, lasts_s=10.0, seen=seen, seconds_each=25.0
    )


SCENARIOS: tuple[Scenario, ...] = (
    CaptureFault("capture-killed", "SIGKILL of the capture child", _signal_child(signal.SIGKILL)),
    _for_ten_seconds(
        "capture-stopped",
        "capture child stopped",
        _signal_child(signal.SIGSTOP),
        _signal_child(signal.SIGCONT),
        seen=log_line,
    ),
    _for_ten_seconds(
        "daemon-stopped",
        "daemon stopped",
        _signal_daemon(signal.SIGSTOP),
        _signal_daemon(signal.SIGCONT),
        seen=None,
    ),
    CaptureFault(
        "unplugged",
        "microphone unplugged for 3 s",
        lambda run: run.microphone.unplug(),
        lambda run: run.microphone.plug(),
        lasts_s=3.0,
    ),
    _for_ten_seconds(
        "stream-stalled",
        "device that delivers nothing",
        lambda run: run.microphone.pause(),
        lambda run: run.microphone.resume(),
        seen=state_of_fault,
    ),
    CaptureFault(
        "moved",
        "another microphone in place of this one, not interrupted",
        _move,
        _move_back,
        seen=state_of_fault,
        seconds_each=30.0,
    ),
    CaptureFault(
        "overrun",
        "overrun: the microphone is not read for 2 s",
        _overrun,
        seen=state_of_fault,
        recovered=state_ok,
        seconds_each=135.0,
    ),
    _for_ten_seconds(
        "sound-server-frozen",
        "sound server frozen",
        lambda run: run.sound.freeze(),
        lambda run: run.sound.thaw(),
        seen=state_of_fault,
    ),
    CaptureFault(
        "sound-server-killed",
        "SIGKILL of the sound server, started again after 3 s",
        lambda run: run.sound.kill_server(),
        lambda run: run.sound.restart_server(),
        lasts_s=3.0,
        seen=state_of_fault,
    ),
)
