"""A system clock that steps while the daemon runs."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import soundfile

from experiments.chaos.box import Box
from experiments.chaos.product import CYCLE_S, MACHINES, RATE_HZ
from experiments.chaos.sample_loss import measured_loss
from experiments.chaos.scenario import Findings, Place, Scenario
from tests.doubles.virtual_sound import VirtualSound

_AFTER_CHANGE_S = 40.0
_DAY_S = 86_400
_SUMMER_TIME_END = "2026-10-25 02:59:30"  # in _ZONE
_ZONE = "Europe/Berlin"
_FAKETIME = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
)
_FAKETIME_VARIABLE = "CHAOS_FAKETIME"


@dataclass(frozen=True, slots=True)
class ClockSteps:
    """The system clock is set while the daemon runs, by libfaketime."""

    name: str
    fault: str
    steps_s: tuple[int, ...]
    zone: str = "UTC"
    start: str | None = None
    times: int = 2
    seconds_each: float = 100.0

    def run(self, place: Place, times: int) -> Findings:
        """Step the clock under a daemon, and restart it after each."""
        findings = Findings(times)
        library = _faketime()
        if library is None:
            findings.leave_out(
                times, f"apt install faketime, or name the library in {_FAKETIME_VARIABLE}"
            )
            return findings
        if missing := VirtualSound.missing():
            findings.leave_out(times, missing)
            return findings
        cycle, _ = soundfile.read(place.product.cycle)
        with VirtualSound({"fan": 1}, rate_hz=RATE_HZ) as sound:
            # the time of a recording is that of its start, whatever the clock shows
            sound["fan"].play(cycle, loop=True)
            devices = {MACHINES[0]: f"name:{sound['fan'].device}"}
            with Box(place.product, place.folder, devices=devices) as box:
                box.start_broker()
                for _ in range(times):
                    self._run_once(box, library, sound.variables, findings)
                box.finish(findings)
                _check_order(box, findings)
        return findings

    def _run_once(
        self, box: Box, library: str, variables: Mapping[str, str], findings: Findings
    ) -> None:
        stamp = box.folder / "faketime"
        offset_s = _start_offset_s(self.start, self.zone)
        stamp.write_text(f"{offset_s:+d}s\n")
        environment = {**variables, **_clock_environment(library, stamp, self.zone)}
        run = box.start(environment=environment, speed=1.0)
        raised_s = box.wait_alarm(run.started_s)
        if raised_s is None:
            findings.problems.append(f"no alarm: {run.log[-300:]}")
            run.kill()
            return
        first = box.newest_score(MACHINES[0])
        for step_s in self.steps_s:
            offset_s += step_s
            stamp.write_text(f"{offset_s:+d}s\n")
            stepped_s = time.monotonic()
            back_s = box.wait_evaluated(stepped_s)
            findings.recovered_s.append(float("inf") if back_s is None else back_s - stepped_s)
            problem = box.acknowledged(box.acknowledge())
            findings.require(problem is None, f"alarms ack: {problem}")
            raised_s = box.wait_alarm(time.monotonic(), 2 * CYCLE_S)
            findings.require(raised_s, f"no alarm after a step of {step_s} s")
        if self.start is not None:
            run.wait(_AFTER_CHANGE_S)
        findings.add_loss(measured_loss(first, box.newest_score(MACHINES[0])))
        box.stop(run, findings)
        box.read_journal()


def _clock_environment(library: str, stamp: Path, zone: str) -> Mapping[str, str]:
    return {
        "LD_PRELOAD": library,
        "FAKETIME_TIMESTAMP_FILE": str(stamp),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "TZ": zone,
    }


def _start_offset_s(start: str | None, zone: str) -> int:
    if start is None:
        return 0
    wanted = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone))
    return round(wanted.timestamp() - time.time())


def _faketime() -> str | None:
    named = os.environ.get(_FAKETIME_VARIABLE)
    return next((path for path in (named, *_FAKETIME) if path and Path(path).exists()), None)


def _check_order(box: Box, findings: Findings) -> None:
    """Check that alarms are ordered by their ids, and cleared after they were raised."""
    alarms = box.audit.newest.alarms
    for machine in box.machines:
        ids = [alarm.id for alarm in alarms if alarm.machine == machine]
        findings.require(ids == sorted(ids), f"{machine}: alarms are not in the order of their ids")
        findings.require(len(ids) == len(set(ids)), f"{machine}: two alarms with one id")


SCENARIOS: tuple[Scenario, ...] = (
    ClockSteps("clock-back", "clock set back by a day, and forward", (-_DAY_S, _DAY_S)),
    ClockSteps("clock-forward", "clock set forward by a day, and back", (_DAY_S, -_DAY_S)),
    ClockSteps("clock-zone", "end of summer time", (), _ZONE, _SUMMER_TIME_END),
)
