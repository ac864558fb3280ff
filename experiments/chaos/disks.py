"""Disks that are full, small or read-only."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Set
from dataclasses import dataclass

from asd_monitor.errors import OperationError
from experiments.chaos.box import Box, until
from experiments.chaos.journal_reading import read_while_written
from experiments.chaos.log_reports import JOURNAL, LogReports
from experiments.chaos.process import ChaosProcess
from experiments.chaos.required_monitoring import require_alarms
from experiments.chaos.scenario import Findings, Place, Scenario
from experiments.chaos.small_disk import SmallDisk

_DISK_BYTES = 4 << 20
_SMALL_BYTES = 400 << 10
_SMALL_S = 60.0
_SEEN_LIMIT_S = 30.0
_RECOVERY_LIMIT_S = 30.0


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
                findings.leave_out(1, str(error))
        return findings


def _full_at_start(box: Box, disk: SmallDisk, findings: Findings) -> None:
    disk.fill()
    run = box.start()
    _see(run, findings, 0, run.started_s)
    _free(box, disk, run, findings)


def _full_while_running(box: Box, disk: SmallDisk, findings: Findings) -> None:
    run = box.start()
    _fill(box, disk, run, findings)
    _free(box, disk, run, findings)


def _full_at_stop(box: Box, disk: SmallDisk, findings: Findings) -> None:
    run = box.start()
    _fill(box, disk, run, findings)
    require_alarms(box, run, findings)
    known = LogReports(run, JOURNAL).number()
    box.count_loss(run, findings)
    run.send(signal.SIGTERM)
    findings.require(run.wait() is not None, "the daemon does not stop")
    reported = LogReports(run, JOURNAL).number() > known
    findings.require(reported, "what is in no journal is not reported at the stop")
    published = {m["id"] for m in box.events()}
    missing = published - {event.id for event in box.read_journal().events}
    findings.notes.append(f"{len(missing)} events published that are in no journal, and reported")
    disk.free()
    _restart(box, findings)


def _small(box: Box, disk: SmallDisk, findings: Findings) -> None:
    """Let the journal reach its bound, several times over."""
    disk.free()
    run = box.start()
    box.wait_alarm(run.started_s)
    deadline = time.monotonic() + _SMALL_S
    largest = 0
    while time.monotonic() < deadline and run.runs:
        box.wait_alarm(time.monotonic(), 5.0)
        largest = max(largest, sum(path.stat().st_size for path in box.state.iterdir()))
    findings.notes.append(f"at most {largest >> 10} kB used of {_SMALL_BYTES >> 10} kB")
    findings.require(run.runs, f"the daemon has ended: {run.log[-300:]}")
    findings.require("kept in memory" not in run.log, "alarms are kept in memory")
    box.stop(run, findings)
    box.read_journal()
    box.count_events(findings)
    findings.require(not findings.unacknowledged, f"{findings.unacknowledged} events lost")


def _read_only(box: Box, disk: SmallDisk, findings: Findings) -> None:
    run = box.start()
    box.wait_alarm(run.started_s)
    box.stop(run, findings)
    box.read_journal()
    disk.make_read_only()
    run = box.start()
    online_s = box.wait_online(run.started_s, 30.0)
    if online_s is None:
        findings.problems.append(f"no monitoring: {run.log.strip()[-300:]}")
    else:
        _see(run, findings, 0, run.started_s)
        require_alarms(box, run, findings)
        known = {m["id"] for m in box.events()}
        box.count_loss(run, findings)
        run.kill()
        findings.notes.append(f"{len(known - set(box.audit.events))} events in memory only")
    disk.make_writable()
    _restart(box, findings)


def _fill(box: Box, disk: SmallDisk, run: ChaosProcess, findings: Findings) -> None:
    """Fill the disk under a daemon with alarms, which must report it."""
    box.wait_alarm(run.started_s)
    known, began_s = LogReports(run, JOURNAL).number(), time.monotonic()
    disk.fill()
    _see(run, findings, known, began_s)


def _see(run: ChaosProcess, findings: Findings, known: int, began_s: float) -> None:
    reports = LogReports(run, JOURNAL)
    reports.measure(findings, known=known, since_s=began_s, limit_s=_SEEN_LIMIT_S)


def _free(box: Box, disk: SmallDisk, run: ChaosProcess, findings: Findings) -> None:
    """Require alarms on the full disk, and that all are written once there is space."""
    require_alarms(box, run, findings)
    disk.free()
    _require_written(box, findings, time.monotonic())
    box.stop(run, findings)
    box.finish(findings)


def _require_written(box: Box, findings: Findings, since_s: float) -> None:
    """Wait until the events published before are in the journal."""
    published = {m["id"] for m in box.events()}
    try:
        at_s = until(lambda: _has_written(box, published), _RECOVERY_LIMIT_S, poll_s=0.5)
        findings.recovered_s.append(at_s - since_s)
    except OperationError:
        findings.problems.append(f"published events not written {_RECOVERY_LIMIT_S:g} s later")


def _has_written(box: Box, published: Set[str]) -> bool:
    content = read_while_written(box.state)
    return content is not None and published <= {event.id for event in content.events}


def _restart(box: Box, findings: Findings) -> None:
    """Start a daemon on a disk that can be written again, and count all events."""
    run = box.start()
    back_s = box.wait_evaluated(run.started_s)
    findings.recovered_s.append(float("inf") if back_s is None else back_s - run.started_s)
    box.stop(run, findings)
    box.read_journal()
    box.count_events(findings)


SCENARIOS: tuple[Scenario, ...] = (
    DiskFault("disk-full-at-start", "disk full at the start", _full_at_start),
    DiskFault("disk-full", "disk full while running", _full_while_running),
    DiskFault("disk-full-at-stop", "disk full at a stop", _full_at_stop),
    DiskFault("disk-small", "disk of 400 kB", _small, _SMALL_BYTES, 1, 80.0),
    DiskFault("disk-read-only", "disk read-only at the start", _read_only),
)
