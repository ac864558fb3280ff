"""The capture child of a virtual microphone is killed or stopped, and the microphone unplugged."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import soundfile

from asd_monitor.errors import OperationError
from experiments.chaos.box import Box, until
from experiments.chaos.process import ChaosProcess
from experiments.chaos.product import MACHINES, RATE_HZ
from experiments.chaos.scenario import Findings, Place, SampleLoss, Scenario
from tests.doubles.capture_processes import capture_processes
from tests.doubles.virtual_microphone import VirtualSound

_CARD = 1
_SEEN_LIMIT_S = 15.0
_RECOVERY_LIMIT_S = 60.0
_TOLERANCE_S = 1.5  # of the arrival of two scores
_SETTLED_S = 3.0

Action = Callable[[ChaosProcess, VirtualSound], None]


def _signal_child(number: signal.Signals) -> Action:
    def act(run: ChaosProcess, _sound: VirtualSound) -> None:
        for pid in capture_processes(run.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    return act


def _signal_daemon(number: signal.Signals) -> Action:
    def act(run: ChaosProcess, _sound: VirtualSound) -> None:
        run.send(number)

    return act


def _unplug(_run: ChaosProcess, sound: VirtualSound) -> None:
    sound["fan"].unplug()


def _plug(_run: ChaosProcess, sound: VirtualSound) -> None:
    sound["fan"].plug()


def _nothing(_run: ChaosProcess, _sound: VirtualSound) -> None:
    pass


@dataclass(frozen=True, slots=True)
class CaptureFault:
    """A fault of the capture of one microphone; the alarm of its machine must rise afterwards."""

    name: str
    fault: str
    begin: Action
    end: Action = _nothing
    lasts_s: float = 0.0
    reported: bool = True
    times: int = 20
    seconds_each: float = 15.0

    def run(self, place: Place, times: int) -> Findings:
        """Inject the fault so many times into one daemon."""
        findings = Findings(times)
        if missing := VirtualSound.missing():
            findings.notes.append(f"not injected: {missing}")
            return findings
        calm, _ = soundfile.read(place.product.calm)
        cycle, _ = soundfile.read(place.product.cycle)
        machine = MACHINES[0]
        with VirtualSound({"fan": _CARD}, rate_hz=RATE_HZ) as sound:
            sound["fan"].play(calm, loop=True)
            devices = {machine: f"name:{sound['fan'].device}"}
            with Box(place.product, place.folder, devices=devices) as box:
                box.start_broker()
                run = box.start(speed=1.0, environment=sound.variables)
                if box.wait_evaluated(run.started_s) is None:
                    findings.problems.append(f"no sound is evaluated: {run.log[-300:]}")
                    return findings
                run.wait(_SETTLED_S)
                before_s, before = _newest_score(box)
                for _ in range(times):
                    self._once(box, run, sound, findings)
                after_s, after = _newest_score(box)
                findings.loss = _loss(before, after, after_s - before_s)
                findings.require(
                    findings.loss.is_right,
                    f"lost: counted {findings.loss.counted}, true {findings.loss.true}",
                )
                sound["fan"].play(cycle, loop=True)
                raised = box.wait_alarm(time.monotonic())
                findings.require(raised, "no alarm rises after the faults")
                findings.require("Traceback" not in run.log, f"traceback in {run.log_path}")
                run.send(signal.SIGTERM)
                findings.require(run.wait() == 0, "the daemon does not stop")
                findings.require(not capture_processes(run.pid), "a capture child is left")
                box.read_journal()
                box.measure_events(findings)
        return findings

    def _once(self, box: Box, run: ChaosProcess, sound: VirtualSound, findings: Findings) -> None:
        began_s, known = time.monotonic(), run.log.count("microphone")
        self.begin(run, sound)
        try:
            if self.reported:
                seen_s = until(lambda: run.log.count("microphone") > known, _SEEN_LIMIT_S)
                findings.seen_s.append(seen_s - began_s)
        except OperationError:
            findings.problems.append(f"not reported within {_SEEN_LIMIT_S:g} s")
        run.wait(max(0.0, began_s + self.lasts_s - time.monotonic()))
        self.end(run, sound)
        ended_s, samples = time.monotonic(), _sample(box)
        back_s = box.proxy.wait_until(lambda: _sample(box) > samples, _RECOVERY_LIMIT_S)
        findings.recovered_s.append(float("inf") if back_s is None else back_s - ended_s)
        findings.require(back_s, "no sound is evaluated afterwards")
        run.wait(_SETTLED_S)


def _newest_score(box: Box) -> tuple[float, dict[str, Any]]:
    """Return the newest score and the monotonic time of its arrival."""
    return box.proxy.scores.get(box.topic(MACHINES[0], "score"), (0.0, {}))


def _loss(before: dict[str, Any], after: dict[str, Any], elapsed_s: float) -> SampleLoss:
    """Return what was lost between two scores.

    What was received is what the sample index has advanced by without the counted loss; of the
    time that has passed, the rest is the true loss.
    """
    counted = after["lost_samples"] - before["lost_samples"]
    received = after["sample"] - before["sample"] - counted
    true = round(elapsed_s * RATE_HZ) - received
    return SampleLoss(counted, true, round(_TOLERANCE_S * RATE_HZ))


def _sample(box: Box) -> int:
    return int(_newest_score(box)[1].get("sample", 0))


SCENARIOS: tuple[Scenario, ...] = (
    CaptureFault("capture-killed", "SIGKILL of the capture child", _signal_child(signal.SIGKILL)),
    CaptureFault(
        "capture-stopped",
        "capture child stopped for 10 s",
        _signal_child(signal.SIGSTOP),
        _signal_child(signal.SIGCONT),
        lasts_s=10.0,
        times=5,
        seconds_each=25.0,
    ),
    CaptureFault(
        "daemon-stopped",
        "daemon stopped for 10 s",
        _signal_daemon(signal.SIGSTOP),
        _signal_daemon(signal.SIGCONT),
        lasts_s=10.0,
        reported=False,
        times=5,
        seconds_each=25.0,
    ),
    CaptureFault(
        "unplugged", "microphone unplugged for 3 s", _unplug, _plug, lasts_s=3.0, times=10
    ),
)
