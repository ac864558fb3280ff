"""Files of the journal that are removed or damaged, under the daemon and before its start."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from asd_monitor.errors import OperationError
from experiments.chaos.box import Box, until
from experiments.chaos.child_result import child_result
from experiments.chaos.journal_reading import read_while_written
from experiments.chaos.log_reports import JOURNAL, LogReports
from experiments.chaos.required_monitoring import require_alarms
from experiments.chaos.scenario import Findings, Place, Scenario

_CHILD = Path(__file__).with_name("journal_child.py")
_SEEN_LIMIT_S = 30.0
_RECOVERY_LIMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class JournalRemoved:
    """The file of the journal is removed, emptied or overwritten while the daemon runs."""

    name: str
    fault: str
    damage: Callable[[Path], None]
    times: int = 20
    seconds_each: float = 12.0

    def run(self, place: Place, times: int) -> Findings:
        """Damage the file so many times under one daemon."""
        findings = Findings(times)
        with Box(place.product, place.folder) as box:
            box.start_broker()
            run = box.start()
            reports = LogReports(run, JOURNAL)
            for _ in range(times):
                box.wait_alarm(time.monotonic())
                known, began_s = reports.number(), time.monotonic()
                self.damage(box.state / "alarms.db")
                reports.measure(findings, known=known, since_s=began_s, limit_s=_SEEN_LIMIT_S)
                require_alarms(box, run, findings)
                _require_file(box, findings, began_s)
            findings.require(run.runs, f"the daemon has ended: {run.log[-300:]}")
            box.stop(run, findings)
            box.finish(findings)
            # what the file had before is known to the daemon as far as alarms stand
            gone = "events left the journal"
            findings.notes += [text for text in findings.problems if gone in text]
            findings.problems = [text for text in findings.problems if gone not in text]
        return findings


def _require_file(box: Box, findings: Findings, since_s: float) -> None:
    try:
        at_s = until(lambda: _has_events(box), _RECOVERY_LIMIT_S, poll_s=0.2)
        findings.recovered_s.append(at_s - since_s)
    except (OperationError, OSError) as error:
        findings.problems.append(f"the journal is not made anew: {error}")


def _has_events(box: Box) -> bool:
    content = read_while_written(box.state)
    return content is not None and bool(content.events)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _overwrite(path: Path) -> None:
    path.write_bytes(bytes(8192))


@dataclass(frozen=True, slots=True)
class JournalDamaged:
    """A journal with waiting events is cut, or a bit of it is flipped."""

    name: str
    fault: str
    times: int
    mode: str
    seconds_each: float = 0.03

    def run(self, place: Place, times: int) -> Findings:
        """Damage copies of a journal in a process of its own."""
        findings = Findings(times)
        found = child_result(
            *(place.product, _CHILD, (self.mode, times, place.seed), findings),
            usual_s=times * self.seconds_each,
        )
        if found is None:
            return findings
        findings.times = found["cases"]
        findings.unacknowledged = found["silently_lost"]
        findings.other_id = found["silently_changed"]
        findings.problems += found["failures"][:10]
        if len(found["failures"]) > 10:
            findings.problems.append(f"and {len(found['failures']) - 10} more")
        text = ", ".join(f"{number} {outcome}" for outcome, number in found["outcomes"].items())
        findings.notes.append(text)
        return findings


SCENARIOS: tuple[Scenario, ...] = (
    JournalRemoved("journal-removed", "alarms.db removed under the daemon", Path.unlink),
    JournalRemoved("journal-emptied", "alarms.db emptied under the daemon", _empty),
    JournalRemoved("journal-overwritten", "alarms.db overwritten with zeros", _overwrite),
    JournalDamaged("journal-cut", "journal and outbox cut at each offset", 200_000, "cut"),
    JournalDamaged("journal-bits", "flipped bits of journal and outbox", 2000, "bits"),
)
