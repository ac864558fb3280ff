"""The evidence packages that are stored: which there are, which are deleted, and the free space.

It is used in the thread that writes the packages: `asd_monitor.daemon.evidence_packages`.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import structlog

from asd_monitor.evidence.package_files import (
    StoredPackage,
    delete_package,
    disk_folder,
    remove_unfinished,
    set_written,
    stored_packages,
)
from asd_monitor.evidence.package_names import relative_path
from asd_monitor.evidence.retention import (
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

log = structlog.get_logger()

_CLOCK_STEP_S = 60.0
"""A larger change of the wall clock corrects when the packages of this run were written."""


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
class PackageChange:
    """A package that was written or deleted."""

    machine: str
    alarm_id: str
    path: str | None
    """Below the state folder; None: it was deleted."""


class EvidenceStorage:
    """The stored packages of all machines.

    Args:
        state: The state folder.
        journal: Knows which alarms are active and labelled.
        bounds: Returns how much evidence of a machine is kept.
        limits: Bounds of the disk.
        wall_s: Reads the wall clock, in s.
        steady_s: Reads a clock that is never set, in s.

    """

    def __init__(
        self,
        state: Path,
        *,
        journal: Journal,
        bounds: Callable[[str], Bounds],
        limits: EvidenceLimits,
        wall_s: Callable[[], float],
        steady_s: Callable[[], float],
    ) -> None:
        self.counts: Counter[str] = Counter()
        """Those of `EvidenceCounters` that are counted here, by name; may be read in any thread."""
        self._state = state
        self._journal = journal
        self._bounds = bounds
        self._limits = limits
        self._wall_s = wall_s
        self._steady_s = steady_s
        self._stored: dict[tuple[str, str], StoredPackage] = {}
        self._added_s: dict[tuple[str, str], float] = {}  # of this run, by the steady clock
        self._old = OldPackages()
        self._is_short = False  # of free space, as logged

    @property
    def size_bytes(self) -> int:
        """The size of all stored packages; may be read in any thread."""
        return sum(each.bytes for each in tuple(self._stored.values()))

    def add(self, machine: str, alarm_id: str, size: int) -> None:
        """Note a package that was written, of so many bytes."""
        stored = StoredPackage(machine, alarm_id, size, self._wall_s())
        self._stored[machine, alarm_id] = stored
        self._added_s[machine, alarm_id] = self._steady_s()

    def begin(self) -> list[PackageChange]:
        """Remove what an earlier run has left unfinished; return what has changed since."""
        removed = remove_unfinished(self._state)
        self.counts["unfinished"] += removed
        if removed:
            log.warning("unfinished evidence of an earlier run was removed", packages=removed)
        return [*self.check(), *self._differences()]

    def check(self) -> list[PackageChange]:
        """Read which packages there are, and delete those that are too many."""
        found = [self._corrected(each) for each in stored_packages(self._state)]
        self._stored = {(each.machine, each.alarm_id): each for each in found}
        self._added_s = {key: at for key, at in self._added_s.items() if key in self._stored}
        old = self._old.update(
            found, self._bounds, wall_s=self._wall_s(), steady_s=self._steady_s()
        )
        changes = self.retain(old)
        self._report_space()
        return changes

    def _corrected(self, package: StoredPackage) -> StoredPackage:
        """Return a package with the time of its writing by the wall clock as it is set now.

        A box without a clock of its own starts years behind, and what it writes before the clock is
        set would be too old as soon as that is.
        """
        added_s = self._added_s.get((package.machine, package.alarm_id))
        if added_s is None:
            return package
        written_s = self._wall_s() - (self._steady_s() - added_s)
        if abs(written_s - package.written_s) <= _CLOCK_STEP_S:
            return package
        try:
            return set_written(self._state, package, written_s)
        except OSError:  # the next check tries again
            return package

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

    def retain(self, old: Collection[StoredPackage] = ()) -> list[PackageChange]:
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
            self.counts["undeleted"] += 1
            log.warning(
                "evidence cannot be deleted",
                machine=package.machine,
                alarm=package.alarm_id,
                reason=error.strerror or str(error),
            )
            return None
        self._stored.pop((package.machine, package.alarm_id), None)
        if fault is None:
            self.counts["deleted"] += 1
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

    def check_space(self) -> None:
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
