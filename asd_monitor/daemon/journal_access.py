"""The daemon's access to the journal of alarms: one thread for all that blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog

from asd_monitor.daemon.worker_thread import WorkerThread
from asd_monitor.journal.journal_file import set_aside
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.sqlite_errors import DamagedJournalError, JournalError
from asd_monitor.journal.store import Journal

log = structlog.get_logger()


def open_journal(state: Path) -> Journal:
    """Open the journal of a state folder; a damaged one is renamed and a new one begun.

    Monitoring without earlier alarms is better than none.  Raises JournalError.
    """
    try:
        return Journal(state)
    except DamagedJournalError as error:
        damage = str(error)
    log.error(
        "the journal of alarms is damaged: a new one begins without earlier alarms",
        reason=damage,
        kept_as=str(set_aside(state)),
    )
    return Journal(state)


class JournalAccess:
    """The journal and its thread.

    Args:
        journal: The open journal; `close` closes it.
        poll_s: Interval between two checks for changes by other processes, in s.

    """

    def __init__(self, journal: Journal, *, poll_s: float) -> None:
        self.journal = journal
        self._poll_s = poll_s
        self._worker = WorkerThread("journal")

    async def machine_journal(self, machine: str) -> MachineJournal:
        """Return the journal of one machine, with its earlier alarms; raises JournalError."""
        return await self._worker.run(MachineJournal, self.journal, machine)

    async def poll(self, on_change: Callable[[], None]) -> None:
        """Write what could not be written before, and call ``on_change`` after foreign writes.

        A fault of the journal is logged once.  It runs until cancelled.
        """
        fault: str | None = None
        while True:
            await asyncio.sleep(self._poll_s)
            try:
                changed = await self._worker.run(self._check)
                new_fault = self.journal.fault
            except JournalError as error:
                changed, new_fault = False, str(error)
            if new_fault not in (None, fault):
                log.error("the journal of alarms cannot be written", reason=new_fault)
            fault = new_fault
            if changed:
                on_change()

    def close(self) -> None:
        """Write what can be written, and close the journal; blocks."""
        self._worker.close()
        self.journal.close()

    def _check(self) -> bool:
        self.journal.flush()
        return self.journal.changed()
