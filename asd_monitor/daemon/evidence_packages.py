"""The evidence packages of the box: one thread writes them, and deletes the oldest.

The event loop hands over what was captured and goes on.  In the thread pictures and page are made,
and written to ``evidence/<machine>/<alarm id>/`` in the state folder
(`asd_monitor.evidence.package_files`).  The sound that waits is bounded: of more, the first alarms
keep theirs, since a cascade is explained by its beginning; the later ones are written without.

No fault of the disk ends the monitoring, or the next package: what could not be written is counted
and logged.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import structlog

from asd_monitor.config.settings import Config
from asd_monitor.daemon.normal_sound import NormalSounds
from asd_monitor.evidence.building import CapturedAlarm, alarm_picture, content_of
from asd_monitor.evidence.contents import AlarmFacts, PackageContent
from asd_monitor.evidence.package_files import (
    StoredPackage,
    delete_package,
    disk_folder,
    relative_path,
    remove_unfinished,
    stored_packages,
    write_package,
)
from asd_monitor.evidence.retention import (
    DAY_S,
    Bounds,
    Cause,
    Deletion,
    FreeSpace,
    OldPackages,
    Standing,
    deletions,
)
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.journal.store import Journal
from asd_monitor.model_store.bundle import Bundle
from asd_monitor.worker_thread import WorkerThread

log = structlog.get_logger()

DEFECTS = (ArithmeticError, LookupError, TypeError, ValueError, MemoryError, RuntimeError)
"""What a defect raises, or a lack of memory; it costs the evidence of one alarm at most."""


_WRITING_S = 0.5
"""How long the writing of a package takes at most, pictures included."""


def evidence_bounds(config: Config, machine: str) -> Bounds:
    """Return how much evidence of a machine is kept, configured now or before."""
    settings = config.machines.get(machine, config.defaults).evidence
    return Bounds(settings.max_bytes, settings.max_age_days * DAY_S)


@dataclass(frozen=True, slots=True)
class EvidenceLimits:
    """Bounds of what waits and of the disk."""

    waiting_bytes: int = 128_000_000
    """Of the sound that waits to be written."""
    waiting_packages: int = 256
    least_free_bytes: int = 500_000_000
    """Of the disk; while less is free, no package is written."""
    least_free_share: float = 0.05
    """Of the disk: the oldest packages are deleted to keep it free where that suffices."""
    most_free_bytes: int = 5_000_000_000
    """Of that share."""
    check_s: float = 600.0
    """Between two checks of age, size and free space."""


@dataclass(frozen=True, slots=True)
class EvidenceCounters:
    """Packages since the start of the daemon."""

    written: int = 0
    bytes: int = 0
    """Of those that are stored now."""
    without_sound: int = 0
    """Written without the sound, since too much was waiting."""
    without_pictures: int = 0
    """Written without pictures: by a defect, which is reported, or at a stop."""
    defects: int = 0
    """Not captured or not written, by a defect; reported."""
    dropped: int = 0
    """Not written, since too many were waiting."""
    unwritten: int = 0
    """Not written, since the disk did not take them."""
    deleted: int = 0
    """Deleted by age, size, or for free space."""
    undeleted: int = 0
    """Attempts to delete one that failed."""
    late: int = 0
    """Not complete within the limit of a stop."""
    unfinished: int = 0
    """Left by an interrupted writing, and removed."""


@dataclass(frozen=True, slots=True)
class PackageChange:
    """A package that was written or deleted."""

    machine: str
    alarm_id: str
    path: str | None
    """Below the state folder; None: it was deleted."""


class EvidencePackages:
    """Writes and deletes the packages of all machines.

    Args:
        box: Id of the box.
        state: The state folder.
        models: The folder of models.
        journal: Knows which alarms are active and labelled.
        bounds: Returns how much evidence of a machine is kept.
        on_change: Called in the event loop for each package that was written or deleted.
        limits: Bounds of what waits and of the disk.
        wall_s: Reads the wall clock, in s.
        steady_s: Reads a clock that is never set, in s.

    """

    def __init__(
        self,
        box: str,
        state: Path,
        models: Path,
        *,
        journal: Journal,
        bounds: Callable[[str], Bounds],
        on_change: Callable[[PackageChange], None],
        limits: EvidenceLimits | None = None,
        wall_s: Callable[[], float] = time.time,
        steady_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.box = box
        self.thread = WorkerThread("evidence")
        """Writes the packages."""
        self.turns = 0
        """How many checks were made."""
        self._state = state
        self._journal = journal
        self._bounds = bounds
        self._on_change = on_change
        self._limits = limits or EvidenceLimits()
        self._wall_s = wall_s
        self._steady_s = steady_s
        self._normal = NormalSounds(models, state)
        self._waiting_bytes = 0
        self._waiting: dict[str, AlarmFacts] = {}  # by the id of the alarm
        self._ends_s: float | None = None  # when a stop has to be complete
        self._counts: Counter[str] = Counter()  # each key is counted in one thread
        self._stored: dict[tuple[str, str], StoredPackage] = {}  # of the thread
        self._old = OldPackages()  # of the thread
        self._is_short = False  # of free space, as logged

    @property
    def counters(self) -> EvidenceCounters:
        """What was written, dropped and deleted so far."""
        stored = sum(each.bytes for each in tuple(self._stored.values()))
        return EvidenceCounters(**self._counts, bytes=stored)

    async def run(self) -> None:
        """Remove what was left, and check age, size and free space, until cancelled."""
        self._note(await self.thread.run(self._begin))
        while True:
            self.turns += 1
            await asyncio.sleep(self._limits.check_s)
            self._note(await self.thread.run(self._check))

    def has_room(self, sound_bytes: int) -> bool:
        """Return whether so much more sound may wait."""
        return self._waiting_bytes + sound_bytes <= self._limits.waiting_bytes

    def submit(self, captured: CapturedAlarm, bundle: Bundle | None) -> None:
        """Write the package of an alarm; returns at once."""
        if self.thread.is_finished or len(self._waiting) >= self._limits.waiting_packages:
            self._counts["dropped"] += 1
            log.error(
                "the evidence of an alarm is not written: too many are waiting",
                machine=captured.facts.machine,
                alarm=captured.facts.id,
            )
            return
        sound_bytes = 0 if captured.sound is None else captured.sound.samples.nbytes
        if captured.sound is None:
            self._counts["without_sound"] += 1
        self._waiting[captured.facts.id] = captured.facts
        self._waiting_bytes += sound_bytes
        writing = self.thread.submit(partial(self._write, captured, bundle))
        writing.add_done_callback(partial(self._note_written, captured.facts, sound_bytes))

    def note_defect(self, machine: str, error: BaseException, alarm_id: str | None = None) -> None:
        """Count and log a defect that costs the evidence of an alarm."""
        self._counts["defects"] += 1
        log.error(
            "the evidence of an alarm is lost by a defect",
            machine=machine,
            alarm=alarm_id,
            hint="please report it with the log",
            exc_info=error,
        )

    async def close(self, limit_s: float) -> None:
        """Write what waits, within the limit, without pictures where time is short.

        May be called in any state and more than once.
        """
        self._ends_s = self._steady_s() + limit_s
        if await self.thread.finish(limit_s):
            return
        for facts in self._waiting.values():
            self._counts["late"] += 1
            log.error(
                "the evidence of an alarm is not complete at the stop",
                machine=facts.machine,
                alarm=facts.id,
                limit_s=limit_s,
            )
        self._waiting.clear()

    def _note_written(
        self, facts: AlarmFacts, sound_bytes: int, writing: asyncio.Future[list[PackageChange]]
    ) -> None:
        self._waiting.pop(facts.id, None)
        self._waiting_bytes -= sound_bytes
        if writing.cancelled():
            return
        if (error := writing.exception()) is not None:
            self.note_defect(facts.machine, error, facts.id)
            return
        self._note(writing.result())

    def _note(self, changes: list[PackageChange]) -> None:
        for change in changes:
            self._on_change(change)

    # The rest is called in the thread.

    def _begin(self) -> list[PackageChange]:
        removed = remove_unfinished(self._state)
        self._counts["unfinished"] += removed
        if removed:
            log.warning("unfinished evidence of an earlier run was removed", packages=removed)
        return [*self._check(), *self._differences()]

    def _check(self) -> list[PackageChange]:
        """Read which packages there are, and delete those that are too many."""
        found = stored_packages(self._state)
        self._stored = {(each.machine, each.alarm_id): each for each in found}
        old = self._old.update(
            found, self._bounds, wall_s=self._wall_s(), steady_s=self._steady_s()
        )
        changes = self._retain(old)
        self._report_space()
        return changes

    def _differences(self) -> list[PackageChange]:
        """Return what the journal does not know yet: a run may have been killed before."""
        try:
            records = self._journal.alarms()
        except JournalError:  # reported by the journal; messages are corrected later
            return []
        stored = {alarm_id: machine for machine, alarm_id in self._stored}
        changes = []
        for record in records:
            is_stored = stored.get(record.id) == record.machine
            if is_stored != (record.evidence is not None):
                path = relative_path(record.machine, record.id) if is_stored else None
                changes.append(PackageChange(record.machine, record.id, path))
        return changes

    def _write(self, captured: CapturedAlarm, bundle: Bundle | None) -> list[PackageChange]:
        facts, changes = captured.facts, self._retain()
        try:
            self._check_space()
            size = self._write_package(captured, bundle)
        except OSError as error:
            self._counts["unwritten"] += 1
            self._report(error, captured)
            return changes
        self._counts["written"] += 1
        stored = StoredPackage(facts.machine, facts.id, size, self._wall_s())
        self._stored[facts.machine, facts.id] = stored
        path = relative_path(facts.machine, facts.id)
        log.info("evidence of an alarm written", machine=facts.machine, evidence=path, bytes=size)
        return [*changes, PackageChange(facts.machine, facts.id, path), *self._retain()]

    def _write_package(self, captured: CapturedAlarm, bundle: Bundle | None) -> int:
        # Jinja2 takes 5 MB, which a box without an alarm does not need
        from jinja2 import TemplateError  # noqa: PLC0415

        from asd_monitor.reports.evidence_page import evidence_page  # noqa: PLC0415

        if self._is_time_short:
            self._counts["without_pictures"] += 1
            note = "The pictures were not made: the daemon was stopped."
            content = _without_pictures(captured, note)
            return write_package(self._state, content, evidence_page(content))
        try:
            picture = alarm_picture(captured)
            normal = None if picture is None else self._normal.beside(captured, picture, bundle)
            earlier = self._normal.earlier(captured)
            content = content_of(captured, picture, normal=normal, earlier=earlier)
            page = evidence_page(content)
        except (
            *DEFECTS,
            TemplateError,
        ):  # the sound of an alarm is kept whatever is wrong with its pictures
            self._counts["without_pictures"] += 1
            log.exception(
                "the pictures of an alarm's evidence could not be made",
                machine=captured.facts.machine,
                hint="please report it with the log",
            )
            note = "The pictures could not be made; the log of the daemon says why."
            content = _without_pictures(captured, note)
            page = evidence_page(content)
        return write_package(self._state, content, page)

    @property
    def _is_time_short(self) -> bool:
        """Whether a stop leaves too little time for the pictures of all that wait."""
        ends_s = self._ends_s
        if ends_s is None:
            return False
        return ends_s - self._steady_s() < _WRITING_S * len(self._waiting)

    def _report(self, error: OSError, captured: CapturedAlarm) -> None:
        """Log which evidence is not written, and why."""
        log.error(
            "the evidence of an alarm cannot be written",
            machine=captured.facts.machine,
            alarm=captured.facts.id,
            reason=error.strerror or str(error),
            hint="free some space, or make the state folder writable",
        )

    def _retain(self, old: Collection[StoredPackage] = ()) -> list[PackageChange]:
        """Delete the packages that are too old or too many; return what was deleted."""
        due = self._due(lambda _: Standing.OTHER, old)
        if due:
            due = self._due(self._standing(), old)
        return [change for each in due if (change := self._delete(each)) is not None]

    def _due(
        self, standing: Callable[[StoredPackage], Standing], old: Collection[StoredPackage]
    ) -> list[Deletion]:
        packages = sorted(self._stored.values(), key=lambda each: (each.written_s, each.alarm_id))
        return deletions(packages, self._bounds, standing, self._space(), old)

    def _delete(self, deletion: Deletion) -> PackageChange | None:
        package, fault = deletion.package, None
        try:
            delete_package(self._state, package)
        except FileNotFoundError:
            fault = "it was deleted already"
        except OSError as error:
            self._counts["undeleted"] += 1
            log.warning(
                "evidence cannot be deleted",
                machine=package.machine,
                alarm=package.alarm_id,
                reason=error.strerror or str(error),
            )
            return None
        self._stored.pop((package.machine, package.alarm_id), None)
        if fault is None:
            self._counts["deleted"] += 1
            log.log(
                logging.INFO if deletion.cause is Cause.AGE else logging.WARNING,
                "evidence of an alarm was deleted",
                machine=package.machine,
                alarm=package.alarm_id,
                reason=deletion.cause.value,
            )
        return PackageChange(package.machine, package.alarm_id, None)

    def _standing(self) -> Callable[[StoredPackage], Standing]:
        """Return how the alarms of the packages stand.

        An alarm that the journal does not know may be labelled: the journal cannot be read, was set
        aside, or is a new one.
        """
        try:
            records = {record.id: record for record in self._journal.alarms()}
        except JournalError:  # reported by the journal
            records = {}

        def standing(package: StoredPackage) -> Standing:
            record = records.get(package.alarm_id)
            if record is None:
                return Standing.LABELLED
            if record.active:
                return Standing.ACTIVE
            return Standing.OTHER if record.label is None else Standing.LABELLED

        return standing

    def _check_space(self) -> None:
        """Raise OSError where too little of the disk is free."""
        if self._space().is_exhausted:
            raise OSError(
                f"less than {self._limits.least_free_bytes / 1e6:.0f} MB of the disk are free, and"
                " older evidence is too small to change that"
            )

    def _report_space(self) -> None:
        """Log once that the disk is nearly full, although evidence was deleted."""
        space = self._space()
        if space.is_short and not self._is_short:
            log.warning(
                "the disk is nearly full, and no more evidence is deleted for it: what may be"
                " deleted would not suffice",
                free_mb=round(space.free_bytes / 1e6),
                needed_mb=round(space.reserve_bytes / 1e6),
                hint="free some space",
            )
        self._is_short = space.is_short

    def _space(self) -> FreeSpace:
        """Return the free space; a disk that cannot be read has enough, and refuses the writing."""
        limits = self._limits
        try:
            disk = os.statvfs(disk_folder(self._state))
        except OSError:
            return FreeSpace(1, 1, 0, 0.0)
        return FreeSpace(
            disk.f_bavail * disk.f_frsize,
            disk.f_blocks * disk.f_frsize,
            limits.least_free_bytes,
            limits.least_free_share,
            limits.most_free_bytes,
        )


def _without_pictures(captured: CapturedAlarm, note: str) -> PackageContent:
    """Return the content of a package with sound and numbers only, and a note why."""
    return content_of(replace(captured, profile=None, notes=(*captured.notes, note)), None)
