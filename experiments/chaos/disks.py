"""Disks that are full, small or read-only, and journals that are removed or damaged."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from asd_monitor.errors import OperationError
from experiments.chaos.box import Box, until
from experiments.chaos.journal_reading import read_content
from experiments.chaos.process import ChaosProcess
from experiments.chaos.scenario import Findings, Place, Scenario
from experiments.chaos.small_disk import SmallDisk

_CHILD = Path(__file__).with_name("journal_child.py")
_DISK_BYTES = 4 << 20
_SMALL_BYTES = 400 << 10
_SEEN_LIMIT_S = 30.0
_RECOVERY_LIMIT_S = 30.0
_NUMBERS = re.compile(r"\b\d+\b")
_JOURNAL_LINE = re.compile(
    r"^\S+ \[(?:warning|error)\] (?!configuration).*(?:journal|disk|kept in memory)", re.M
)
_PATIENCE = 20.0  # times the usual duration
_LEAST_PATIENCE_S = 60.0


def _log_count(run: ChaosProcess) -> int:
    return len(_JOURNAL_LINE.findall(run.log))


def _see(run: ChaosProcess, findings: Findings, known: int, began_s: float) -> None:
    """Wait until the daemon reports something about its journal."""
    try:
        findings.seen_s.append(until(lambda: _log_count(run) > known, _SEEN_LIMIT_S) - began_s)
    except OperationError:
        findings.problems.append(f"not reported within {_SEEN_LIMIT_S:g} s")


def _require_alarms(box: Box, run: ChaosProcess, findings: Findings) -> None:
    """Require that alarms still rise and are published, and that sound is evaluated."""
    now_s = time.monotonic()
    raised_s = box.wait_alarm(now_s, _RECOVERY_LIMIT_S)
    findings.require(raised_s, f"no alarm is published: {run.log[-300:]}")
    findings.require(box.wait_evaluated(now_s, _RECOVERY_LIMIT_S), "no sound is evaluated")


def _require_written(box: Box, findings: Findings, since_s: float) -> None:
    """Wait until an alarm that was published before is in the journal."""
    published = {m["id"] for m in box.events()}
    try:
        at_s = until(
            lambda: published <= {e.id for e in read_content(box.state).events},
            _RECOVERY_LIMIT_S,
            poll_s=0.5,
        )
        findings.recovered_s.append(at_s - since_s)
    except OperationError:
        findings.problems.append(f"published events not written {_RECOVERY_LIMIT_S:g} s later")


@dataclass(frozen=True, slots=True)
class DiskFault:
    """A fault of the disk of the state folder."""

    name: str
    fault: str
    inject: Callable[[Box, SmallDisk, Findings], None]
    size_bytes: int = _DISK_BYTES
    times: int = 3
    seconds_each: float = 40.0

    def run(self, place: Place, times: int) -> Findings:
        """Inject the fault on a small file system in memory."""
        findings = Findings(times)
        for number in range(times):
            folder = place.folder / str(number)
            try:
                with (
                    SmallDisk(folder / "state", self.size_bytes) as disk,
                    Box(place.product, folder) as box,
                ):
                    box.start_broker()
                    self.inject(box, disk, findings)
            except OSError as error:
                findings.notes.append(f"not injected: {error}")
        return findings


def _full_at_start(box: Box, disk: SmallDisk, findings: Findings) -> None:
    disk.fill()
    run = box.start()
    _see(run, findings, 0, run.started_s)
    _require_alarms(box, run, findings)
    disk.free()
    _require_written(box, findings, time.monotonic())
    run.send(signal.SIGTERM)
    findings.require(run.wait() == 0, "the daemon does not stop")
    box.finish(findings)


def _full_while_running(box: Box, disk: SmallDisk, findings: Findings) -> None:
    run = box.start()
    box.wait_alarm(run.started_s)
    known, began_s = _log_count(run), time.monotonic()
    disk.fill()
    _see(run, findings, known, began_s)
    _require_alarms(box, run, findings)
    disk.free()
    _require_written(box, findings, time.monotonic())
    run.send(signal.SIGTERM)
    findings.require(run.wait() == 0, "the daemon does not stop")
    box.finish(findings)


def _full_at_stop(box: Box, disk: SmallDisk, findings: Findings) -> None:
    run = box.start()
    box.wait_alarm(run.started_s)
    known, began_s = _log_count(run), time.monotonic()
    disk.fill()
    _see(run, findings, known, began_s)
    _require_alarms(box, run, findings)
    known = _log_count(run)
    run.send(signal.SIGTERM)
    findings.require(run.wait() is not None, "the daemon does not stop")
    lines = _JOURNAL_LINE.findall(run.log)
    findings.require(len(lines) > known, "what is in no journal is not reported at the stop")
    published = {m["id"] for m in box.events()}
    missing = published - {e.id for e in read_content(box.state).events}
    findings.notes.append(f"{len(missing)} events published that are in no journal, and reported")
    findings.unacknowledged = len(box.audit.missing(box.events()))


def _small(box: Box, disk: SmallDisk, findings: Findings) -> None:
    """Let the journal reach its bound, several times over."""
    disk.free()
    run = box.start()
    box.wait_alarm(run.started_s)
    deadline = time.monotonic() + 60.0
    largest = 0
    while time.monotonic() < deadline and run.runs:
        box.wait_alarm(time.monotonic(), 5.0)
        largest = max(largest, sum(path.stat().st_size for path in box.state.iterdir()))
    findings.notes.append(f"at most {largest >> 10} kB used of {_SMALL_BYTES >> 10} kB")
    findings.require(run.runs, f"the daemon has ended: {run.log[-300:]}")
    findings.require("kept in memory" not in run.log, "alarms are kept in memory")
    run.send(signal.SIGTERM)
    findings.require(run.wait() == 0, "the daemon does not stop")
    content, events = read_content(box.state), box.events()
    acknowledged = {m["id"] for m in events}
    missing = [e for e in content.events if e.id not in acknowledged]
    findings.unacknowledged = len(missing)
    findings.require(not missing, f"{len(missing)} events lost")


def _read_only(box: Box, disk: SmallDisk, findings: Findings) -> None:
    run = box.start()
    box.wait_alarm(run.started_s)
    run.send(signal.SIGTERM)
    run.wait()
    box.read_journal()
    disk.make_read_only()
    run = box.start()
    online_s = box.wait_online(run.started_s, 30.0)
    if online_s is None:
        findings.problems.append(f"no monitoring: {run.log.strip()[-300:]}")
    else:
        _see(run, findings, 0, run.started_s)
        _require_alarms(box, run, findings)
        known = {m["id"] for m in box.events()}
        run.kill()
        findings.notes.append(f"{len(known - set(box.audit.events))} events in memory only")
    disk.make_writable()


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
            for _ in range(times):
                now_s = time.monotonic()
                box.wait_alarm(now_s)
                known, began_s = _log_count(run), time.monotonic()
                self.damage(box.state / "alarms.db")
                _see(run, findings, known, began_s)
                _require_alarms(box, run, findings)
                _require_file(box, findings, began_s)
            findings.require(run.runs, f"the daemon has ended: {run.log[-300:]}")
            run.send(signal.SIGTERM)
            findings.require(run.wait() == 0, "the daemon does not stop")
            box.finish(findings)
            # what the file had before is known to the daemon as far as alarms stand
            gone = "events left the journal"
            findings.notes += [text for text in findings.problems if gone in text]
            findings.problems = [text for text in findings.problems if gone not in text]
        return findings


def _require_file(box: Box, findings: Findings, since_s: float) -> None:
    try:
        at_s = until(lambda: read_content(box.state).events, _RECOVERY_LIMIT_S, poll_s=0.2)
        findings.recovered_s.append(at_s - since_s)
    except (OperationError, OSError) as error:
        findings.problems.append(f"the journal is not made anew: {error}")


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
        patience_s = _LEAST_PATIENCE_S + _PATIENCE * times * self.seconds_each
        child = place.product.run_child(_CHILD, (self.mode, times, place.seed))
        try:
            output, _ = child.communicate(timeout=patience_s)
        except subprocess.TimeoutExpired:
            findings.problems.append(f"not done after {patience_s:g} s")
            return findings
        finally:
            child.kill()
            child.wait()
        if child.returncode or not output:
            findings.problems.append(f"the process ended with {child.returncode}")
            return findings
        found = json.loads(output)
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
    DiskFault("disk-full-at-start", "disk full at the start", _full_at_start),
    DiskFault("disk-full", "disk full while running", _full_while_running),
    DiskFault("disk-full-at-stop", "disk full at a stop", _full_at_stop),
    DiskFault("disk-small", "disk of 400 kB", _small, _SMALL_BYTES, 1, 80.0),
    DiskFault("disk-read-only", "disk read-only at the start", _read_only),
    JournalRemoved("journal-removed", "alarms.db removed under the daemon", Path.unlink),
    JournalRemoved("journal-emptied", "alarms.db emptied under the daemon", _empty),
    JournalRemoved("journal-overwritten", "alarms.db overwritten with zeros", _overwrite),
    JournalDamaged("journal-cut", "journal and outbox cut at each offset", 200_000, "cut"),
    JournalDamaged("journal-bits", "flipped bits of journal and outbox", 2000, "bits"),
)
