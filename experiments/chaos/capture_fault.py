"""Faults of the capture of a virtual microphone, injected one after the other into one daemon."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import soundfile

from asd_monitor.errors import OperationError
from asd_monitor.records import MicrophoneState, Samples
from experiments.chaos.box import Box, until
from experiments.chaos.log_reports import MICROPHONE, LogReports
from experiments.chaos.process import ChaosProcess
from experiments.chaos.product import MACHINES, RATE_HZ
from experiments.chaos.sample_loss import measured_loss
from experiments.chaos.scenario import Findings, Place
from tests.doubles.capture_processes import capture_processes
from tests.doubles.virtual_microphone import VirtualMicrophone
from tests.doubles.virtual_sound import VirtualSound

OTHER = "other"
"""A second microphone, which no machine is configured with."""
_CARDS = {"fan": 1, OTHER: 2}
_RECOVERY_LIMIT_S = 90.0


@dataclass(slots=True)
class CaptureRun:
    """A daemon that monitors one machine by a virtual microphone, which plays normal sound."""

    box: Box
    run: ChaosProcess
    sound: VirtualSound
    calm: Samples  # float32 of shape (n,) at RATE_HZ
    states: Counter[str] = field(default_factory=Counter)
    """States of the microphone by which the faults were seen."""
    alarms: int = 0
    """Faults that an alarm of the machine has followed."""

    @property
    def microphone(self) -> VirtualMicrophone:
        """The microphone of the machine."""
        return self.sound["fan"]

    def score(self) -> tuple[float, dict[str, Any]]:
        """Return the newest score and the monotonic time of its arrival."""
        return self.box.newest_score(MACHINES[0])

    def state(self, since_s: float = 0.0) -> str:
        """Return the microphone's state as retained since a time; `ok` where nothing is."""
        found = self.box.proxy.newest(self.box.topic(MACHINES[0], "state"), since_s)
        return str(MicrophoneState.OK if found is None else found.document["microphone"])


Action = Callable[[CaptureRun], None]
Observation = Callable[[CaptureRun], Callable[[], bool]]
"""Called before what is observed happens; returns whether it has happened."""


def nothing(_run: CaptureRun) -> None:
    """Do nothing."""


def log_line(run: CaptureRun) -> Callable[[], bool]:
    """Observe a line of the log about the microphone."""
    reports = LogReports(run.run, MICROPHONE)
    known = reports.number()
    return lambda: reports.number() > known


def state_of_fault(run: CaptureRun) -> Callable[[], bool]:
    """Observe a retained state in which the microphone is not `ok`."""
    began_s = time.monotonic()
    return lambda: run.state(began_s) != MicrophoneState.OK


def sound_evaluated(run: CaptureRun) -> Callable[[], bool]:
    """Observe that sound is scored which was captured later than scores on their way."""
    sample = _sample(run) + RATE_HZ
    return lambda: _sample(run) > sample


def state_ok(run: CaptureRun) -> Callable[[], bool]:
    """Observe that later sound is scored, and that the retained state has the microphone `ok`."""
    evaluated = sound_evaluated(run)
    return lambda: evaluated() and run.state() == MicrophoneState.OK


def _sample(run: CaptureRun) -> int:
    return int(run.score()[1].get("sample", 0))


@dataclass(frozen=True, slots=True)
class CaptureFault:
    """A fault of the capture of one microphone; the alarm of its machine must rise afterwards."""

    name: str
    fault: str
    begin: Action
    end: Action = nothing
    lasts_s: float = 0.0  # at least
    seen: Observation | None = log_line
    recovered: Observation = sound_evaluated
    seen_limit_s: float = 15.0
    settle_s: float = 3.0
    times: int = 20
    seconds_each: float = 15.0

    def run(self, place: Place, times: int) -> Findings:
        """Inject the fault so many times into one daemon."""
        findings = Findings(times)
        if missing := VirtualSound.missing():
            findings.leave_out(times, missing)
            return findings
        calm, _ = soundfile.read(place.product.calm, dtype="float32")
        cycle, _ = soundfile.read(place.product.cycle, dtype="float32")
        with VirtualSound(_CARDS, rate_hz=RATE_HZ) as sound:
            sound["fan"].play(calm, loop=True)
            devices = {MACHINES[0]: f"name:{sound['fan'].device}"}
            with Box(place.product, place.folder, devices=devices) as box:
                box.start_broker()
                process = box.start(speed=1.0, environment=sound.variables)
                if box.wait_evaluated(process.started_s) is None:
                    findings.problems.append(f"no sound is evaluated: {process.log[-300:]}")
                    return findings
                run = CaptureRun(box, process, sound, calm)
                process.wait(self.settle_s)
                before = run.score()
                for _ in range(times):
                    self._once(run, findings)
                findings.loss = measured_loss(before, run.score())
                findings.require(
                    findings.loss.is_right,
                    f"lost: counted {findings.loss.counted}, true {findings.loss.true}",
                )
                if run.states:
                    findings.notes.append(f"seen by the states {dict(run.states)}")
                findings.notes.append(f"an alarm followed {run.alarms} of {times} times")
                sound["fan"].play(cycle, loop=True)
                raised = box.wait_alarm(time.monotonic())
                findings.require(raised, "no alarm rises after the faults")
                box.stop(process, findings)
                findings.require(not capture_processes(process.pid), "a capture child is left")
                box.read_journal()
                box.measure_events(findings)
        return findings

    def _once(self, run: CaptureRun, findings: Findings) -> None:
        began_s = time.monotonic()
        seen = None if self.seen is None else self.seen(run)
        self.begin(run)
        if seen is not None:
            self._measure_seen(run, seen, began_s, findings)
        run.run.wait(max(0.0, began_s + self.lasts_s - time.monotonic()))
        self.end(run)
        ended_s, recovered = time.monotonic(), self.recovered(run)
        back_s = run.box.proxy.wait_until(recovered, _RECOVERY_LIMIT_S)
        findings.recovered_s.append(float("inf") if back_s is None else back_s - ended_s)
        findings.require(back_s, f"not recovered: the microphone is {run.state()}")
        run.run.wait(self.settle_s)
        if run.box.wait_alarm(began_s, 0.0) is not None:
            run.alarms += 1
            problem = run.box.acknowledged(run.box.acknowledge())  # so that it can rise again
            findings.require(problem is None, f"alarms ack: {problem}")

    def _measure_seen(
        self, run: CaptureRun, seen: Callable[[], bool], began_s: float, findings: Findings
    ) -> None:
        try:
            findings.seen_s.append(until(seen, self.seen_limit_s) - began_s)
        except OperationError:
            findings.seen_s.append(float("inf"))
            findings.problems.append(f"not seen within {self.seen_limit_s:g} s")
        if self.seen is state_of_fault:
            run.states[run.state(began_s)] += 1
