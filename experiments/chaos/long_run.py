"""Hours of sound with faults at random times: nothing may grow, and every count has a cause."""

from __future__ import annotations

import signal
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from experiments.chaos.box import BOX, FAST, Box
from experiments.chaos.log_reports import BROKER, LogReports
from experiments.chaos.process import ChaosProcess
from experiments.chaos.scenario import Findings, Place, Scenario

_BETWEEN_S = 10.0  # of real time between two faults, about
_SAMPLE_S = 1.0
_SETTLED_SAMPLES = 10  # at the start, left out of the comparison
_GROWTH_MB = 15.0
_MORE_DESCRIPTORS = 3
_MORE_THREADS = 2
_HALF_HOUR_S = 1800.0
_STOPPED_S = 2.0
_BROKER_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Resources:
    """What the daemon uses at one moment."""

    memory_mb: float
    descriptors: int
    threads: int


@dataclass(slots=True)
class _Causes:
    """How often each fault was injected."""

    broker: int = 0
    journal: int = 0
    stopped: int = 0
    reload: int = 0


@dataclass(frozen=True, slots=True)
class HoursOfSound:
    """Sound at twenty times its speed; the times are half hours of sound."""

    name: str = "hours"
    fault: str = "half hours of sound (times) with random faults"
    times: int = 16
    seconds_each: float = _HALF_HOUR_S / FAST

    def run(self, place: Place, times: int) -> Findings:
        """Let the time pass, and compare the begin with the end."""
        findings = Findings(times)
        chance = place.chance(self.name)
        causes, used = _Causes(), list[Resources]()
        with Box(place.product, place.folder) as box:
            box.start_broker()
            run = box.start()
            findings.require(box.wait_alarm(run.started_s), "no alarm rises")
            end_s = time.monotonic() + times * _HALF_HOUR_S / FAST
            while time.monotonic() < end_s and run.runs:
                next_s = min(end_s, time.monotonic() + chance.expovariate(1 / _BETWEEN_S))
                while time.monotonic() < next_s and run.wait(_SAMPLE_S) is None:
                    used.append(Resources(run.resident_mb(), run.descriptors(), run.threads()))
                _inject(box, run, causes, chance.randrange(4), findings)
            findings.require(run.runs, f"the daemon has ended: {run.log[-300:]}")
            findings.require(box.wait_alarm(time.monotonic()), "no alarm rises at the end")
            _compare(used, findings)
            _explain(box, causes, findings)
            box.stop(run, findings)
            box.finish(findings)
            gone = "events left the journal"
            findings.problems = [text for text in findings.problems if gone not in text]
        return findings


def _inject(box: Box, run: ChaosProcess, causes: _Causes, kind: int, findings: Findings) -> None:
    match kind:
        case 0:
            causes.broker += 1
            reports = LogReports(run, BROKER)
            known, killed_s = reports.number(), time.monotonic()
            box.kill_broker()
            reports.measure(findings, known=known, since_s=killed_s, limit_s=_BROKER_LIMIT_S)
            run.wait(1.0)
            listening_s = box.start_broker()
            back_s = box.wait_online(listening_s, _BROKER_LIMIT_S)
            findings.require(back_s, "no connection after the broker was killed")
            findings.recovered_s.append((back_s or float("inf")) - listening_s)
        case 1:
            causes.journal += 1
            (box.state / "alarms.db").unlink(missing_ok=True)
        case 2:
            causes.stopped += 1
            run.send(signal.SIGSTOP)
            time.sleep(_STOPPED_S)  # the fault itself
            run.send(signal.SIGCONT)
        case _:
            causes.reload += 1
            run.send(signal.SIGHUP)


def _compare(used: Sequence[Resources], findings: Findings) -> None:
    """Compare the first quarter with the last one."""
    settled = used[_SETTLED_SAMPLES:]
    quarter = len(settled) // 4
    if not quarter:
        findings.notes.append("too short to compare memory, descriptors and threads")
        return
    first, last = (_medians(part) for part in (settled[:quarter], settled[-quarter:]))
    findings.notes.append(f"first quarter {first}, last quarter {last}")
    findings.require(last.memory_mb <= first.memory_mb + _GROWTH_MB, "memory grows")
    findings.require(last.descriptors <= first.descriptors + _MORE_DESCRIPTORS, "descriptors grow")
    findings.require(last.threads <= first.threads + _MORE_THREADS, "threads grow")


def _medians(part: Sequence[Resources]) -> Resources:
    return Resources(
        round(statistics.median(each.memory_mb for each in part), 1),
        round(statistics.median(each.descriptors for each in part)),
        round(statistics.median(each.threads for each in part)),
    )


def _explain(box: Box, causes: _Causes, findings: Findings) -> None:
    """Require a cause for every count in the status of the box."""
    found = box.proxy.newest(f"asd/box/{BOX}/status")
    if found is None:
        findings.problems.append("no status of the box is published")
        return
    status: dict[str, Any] = found.document
    dropped, restarted = status["dropped"], status["restarted"]
    findings.notes.append(f"{causes}; dropped {dropped}; restarted {restarted}")
    for name in ("samples", "journal", "sharing", "refused"):
        findings.require(not dropped.get(name), f"{dropped.get(name)} {name} dropped without cause")
    findings.require(causes.broker or not dropped["messages"], "messages dropped without cause")
    findings.require(restarted["broker"] <= causes.broker + 1, "reconnections without cause")
    findings.require(not restarted["sessions"], "sessions restarted without cause")


SCENARIOS: tuple[Scenario, ...] = (HoursOfSound(),)
