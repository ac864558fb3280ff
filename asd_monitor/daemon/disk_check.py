"""The condition `disk` of the box.

The state folder cannot be written, is nearly full, or the journal in it was damaged.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from asd_monitor.daemon.box_conditions import Condition, ConditionKind
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.wording import count

LOW_BYTES = 100_000_000
"""Less free space than this, or than `LOW_SHARE` of a small disk, is a condition."""
LOW_SHARE = 0.05
ENOUGH_FACTOR = 1.5
"""The condition ends with so many times the space at which it begins."""
WRITABLE_S = 60.0
"""The folder must have been writable this long before the condition ends."""
DAMAGE_S = 7 * 86_400.0
"""A journal that was set aside this long ago, in s, is no condition any more."""
_DAMAGED = ("damaged", "abandoned")  # why a journal is set aside: not by a migration


@dataclass(frozen=True, slots=True)
class DiskReading:
    """What was found of the state folder."""

    free_bytes: int
    total_bytes: int
    write_fault: str | None
    """Why it cannot be written; None: it can."""
    set_aside: tuple[str, ...] = ()
    """Names of the damaged journals in it that were set aside in the last days."""


def read_disk(folder: Path, *, wall_s: float) -> DiskReading:
    """Read the free space and the files of a folder; blocks.

    Args:
        folder: the state folder.
        wall_s: Unix time, in s.

    """
    try:
        disk = os.statvfs(folder)
        files = list(os.scandir(folder))
        set_aside = tuple(sorted(each.name for each in files if _is_recent_damage(each, wall_s)))
    except OSError as error:
        return DiskReading(0, 0, error.strerror or str(error))
    fault = None
    if disk.f_flag & os.ST_RDONLY:
        fault = "its file system is mounted read-only"
    elif not os.access(folder, os.W_OK):
        fault = "no permission to write it"
    return DiskReading(
        disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize, fault, set_aside
    )


def _is_recent_damage(file: os.DirEntry[str], wall_s: float) -> bool:
    names = [f"{FILE_NAME}.{reason}-" for reason in _DAMAGED]
    if file.name.endswith(("-wal", "-shm")) or not file.name.startswith(tuple(names)):
        return False
    # the time of the change is that of the renaming
    return wall_s - file.stat(follow_symlinks=False).st_ctime < DAMAGE_S


class DiskCheck:
    """Judges the readings of the state folder.

    Args:
        folder: The state folder, for the texts.

    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fault: str | None = None
        self._fault_s = 0.0  # when it was last observed
        self._is_low = False

    def judge(
        self, reading: DiskReading, *, journal_fault: str | None, now_s: float
    ) -> list[Condition]:
        """Return the conditions that hold.

        Args:
            reading: what was found.
            journal_fault: why alarms are not written; None: they are.
            now_s: monotonic time, in s.

        """
        fault = reading.write_fault or journal_fault
        if fault is not None:
            self._fault, self._fault_s = fault, now_s
        elif now_s - self._fault_s >= WRITABLE_S:
            self._fault = None
        return [*self._unwritable(), *self._low_space(reading), *self._damage(reading)]

    def _unwritable(self) -> Iterable[Condition]:
        if self._fault is not None:
            yield Condition(
                ConditionKind.DISK,
                f"the state folder {self._folder} cannot be written ({self._fault}): alarms are "
                "kept in memory only, and a restart loses them",
                "free space, make the folder writable, or replace the disk",
                check="writing",
            )

    def _low_space(self, reading: DiskReading) -> Iterable[Condition]:
        if reading.total_bytes > 0:
            low = min(LOW_BYTES, LOW_SHARE * reading.total_bytes)
            self._is_low = reading.free_bytes < (low * ENOUGH_FACTOR if self._is_low else low)
        if self._is_low:
            yield Condition(
                ConditionKind.DISK,
                f"the disk of the state folder {self._folder} is nearly full: alarms cannot be "
                "written when no space is left",
                "delete what is not needed on it, or use a larger disk",
                check="space",
            )

    def _damage(self, reading: DiskReading) -> Iterable[Condition]:
        if reading.set_aside:
            number = count(len(reading.set_aside), "damaged journal")
            yield Condition(
                ConditionKind.DISK,
                f"{number} of alarms set aside in {self._folder} "
                f"({', '.join(reading.set_aside)}): alarms or transitions may be missing",
                "check the disk, compare `asd-monitor alarms list` with the log, then move the "
                "files away",
                check="journal",
            )
