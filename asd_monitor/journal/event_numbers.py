"""The numbers (`seq`) of each machine's events, none of which is ever used twice.

A power failure can take the newest transactions with it where the disk acknowledges what it has not
written, though their events may have been published.  So numbers are reserved ahead: the row of a
machine in `machines` has a number that no event exceeds, and is in the database file itself, not in
the write-ahead log, before events with these numbers are published.  A clean stop gives back what
was not used.

After the kill of the process alone nothing is missing, and there is to be no gap: the numbers in
use are also in a file beside the journal, which is not flushed to the disk and counts only within
the same boot of the computer.

That file is in no backup.  A journal with numbers and without it is that of a backup: events may
have been published since, and it goes on far above.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from asd_monitor.journal.alarm_tables import find_row, replace_row, rows_of
from asd_monitor.journal.machine_entries import (
    MachineEntry,
    OutOfService,
    as_machine,
    with_seq,
)
from asd_monitor.private_files import write_private_file

log = structlog.get_logger()

RESERVED = 100
"""Numbers reserved at once; a power failure leaves a gap of at most so many."""
RESTORED_STEP = 10_000_000
"""By how much a restored journal goes on above the numbers of its backup."""
_SUFFIX = "-seq"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers of one machine."""

    newest: int
    """Of the newest event."""
    reserved: int
    """The highest that is reserved in the database."""


class EventNumbers:
    """The numbers of one journal, used in the thread of the disk.

    Args:
        journal: Path of the journal.

    """

    def __init__(self, journal: Path) -> None:
        self._file = journal.with_name(journal.name + _SUFFIX)
        self._boot = _boot_id()
        self._is_restored = False
        self._numbers: dict[str, Numbers] = {}
        self._is_read = False
        self._fault: str | None = None

    @property
    def newest(self) -> Mapping[str, int]:
        """The number of the newest event of each machine."""
        return {machine: numbers.newest for machine, numbers in self._numbers.items()}

    def open(self, database: sqlite3.Connection) -> None:
        """Find, within a transaction, the newest numbers of a file; those of a backup are raised.

        Call `opened` once the transaction is on the disk.  Raises sqlite3.Error.
        """
        if not self._is_read:
            self._is_restored = not os.path.lexists(self._file)
            self._numbers = self._read()
            self._is_read = True
        marks = {
            found.machine: found.seq
            for row in rows_of(database, "machines")
            if (found := as_machine(row)) is not None
        }
        written = dict(
            database.execute(
                "SELECT machine, max(seq) FROM (SELECT machine, seq FROM events UNION ALL"
                " SELECT machine, seq FROM outbox) WHERE seq IS NOT NULL GROUP BY machine"
            ).fetchall()
        )
        for machine in {*marks, *written}:
            known, mark = self._numbers.get(machine), marks.get(machine, 0)
            is_known = known is not None and 0 < mark <= known.reserved
            least = known.newest if known is not None and is_known else mark
            newest = max(least, written.get(machine, 0))
            if self._is_restored and newest:
                newest = mark = newest + RESTORED_STEP
                MachineEntry(machine, newest).write(database)
            self._numbers[machine] = Numbers(newest, mark)
        database.execute("DELETE FROM temp.newest_numbers")
        database.executemany("INSERT INTO temp.newest_numbers VALUES (?, ?)", self.newest.items())

    def opened(self) -> None:
        """Note that what `open` has found is on the disk."""
        self._is_restored = False
        self._write(self._numbers)

    def reserve(
        self,
        database: sqlite3.Connection,
        newest: Mapping[str, int],
        out_of_service: Callable[[str], OutOfService | None],
    ) -> dict[str, Numbers]:
        """Reserve, within a transaction, numbers above the newest ones of some machines.

        ``out_of_service`` is called where the row of a machine is lost.  Call `committed` with the
        result once the transaction is on the disk.  Raises sqlite3.Error.
        """
        changed: dict[str, Numbers] = {}
        for machine, seq in newest.items():
            reserved = self._numbers.get(machine, Numbers(0, 0)).reserved
            if seq > reserved - RESERVED // 2:
                reserved = seq + RESERVED
                MachineEntry(machine, reserved, out_of_service(machine)).write(database)
            changed[machine] = Numbers(seq, reserved)
        if changed:
            self._write({**self._numbers, **changed})
        return changed

    def committed(self, changed: Mapping[str, Numbers]) -> bool:
        """Note what `reserve` has written; return whether it has reserved numbers."""
        more = any(
            each.reserved > self._numbers.get(machine, Numbers(0, 0)).reserved
            for machine, each in changed.items()
        )
        self._numbers |= changed
        return more

    def release(self, database: sqlite3.Connection) -> None:
        """Give back, within a transaction, the numbers that were not used.

        Raises sqlite3.Error.
        """
        for machine, numbers in self._numbers.items():
            row = find_row(database, "machines", machine)
            found = None if row is None else as_machine(row)
            if row is not None and found is not None and found.seq > numbers.newest:
                replace_row(database, "machines", with_seq(row, numbers.newest))
                self._numbers[machine] = replace(numbers, reserved=numbers.newest)
        self._write(self._numbers)

    def _read(self) -> dict[str, Numbers]:
        """Return the numbers of the file; none where it is of another boot, or unreadable."""
        try:
            boot, numbers = json.loads(self._file.read_bytes())
            read = {
                str(name): Numbers(int(each[0]), int(each[1])) for name, each in numbers.items()
            }
        except (OSError, ValueError, TypeError, LookupError, AttributeError):
            return {}
        return read if boot is not None and boot == self._boot else {}

    def _write(self, numbers: Mapping[str, Numbers]) -> None:
        if not numbers:
            return
        listed = {name: [each.newest, each.reserved] for name, each in numbers.items()}
        content = json.dumps([self._boot, listed]).encode()
        try:
            _replace_content(self._file, content)
        except OSError as error:
            if str(error) != self._fault:
                self._fault = str(error)
                log.warning(
                    "the numbers of events cannot be written: after a kill of the daemon they go on"
                    " above a gap",
                    file=str(self._file),
                    reason=str(error),
                    hint="free space on the disk, and make the state folder writable",
                )


def _replace_content(file: Path, content: bytes) -> None:
    """Write a file that need not survive the end of the computer, in one call."""
    if not file.exists():
        write_private_file(file, content)
        return
    descriptor = os.open(file, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.pwrite(descriptor, content, 0)
        os.ftruncate(descriptor, len(content))
    finally:
        os.close(descriptor)


def _boot_id() -> str | None:
    """Return the id of this boot of the computer; None where the system has none."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return None
