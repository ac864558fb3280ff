"""The daemon's access to the journal of alarms: one thread for all that blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import structlog

from asd_monitor.journal.alarm_records import Event
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.machine_requests import MachineRequests
from asd_monitor.journal.requests import Request
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.journal.store import Journal
from asd_monitor.worker_thread import WorkerThread, in_daemon_thread

log = structlog.get_logger()

_LOGGED_ALARMS = 100
_NOT_MONITORED = "not monitored any more"


def open_journal(state: Path) -> Journal:
    """Open the journal of a state folder.

    Monitoring without a journal is better than none: where it cannot be opened, or its disk does
    not answer, alarms are kept in memory, and `JournalAccess.poll` tries again.
    """
    journal = Journal(state)
    if journal.fault is not None:
        log.error(
            "the journal of alarms cannot be opened: alarms are kept in memory until it can",
            reason=journal.fault,
        )
    return journal


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
        self._checks = 0
        self._is_check_due = True

    @property
    def turns(self) -> int:
        """How often the journal was checked, and a portion of a backlog written."""
        return self._checks + self.journal.flushed_portions

    async def machine_journal(self, machine: str) -> MachineJournal:
        """Return the journal of one machine, with its earlier alarms."""
        return await self._worker.run(MachineJournal, self.journal, machine)

    async def machines(self) -> list[str]:
        """Return the ids of the machines that were monitored by any run, sorted."""
        return await self._worker.run(lambda: self.journal.machines)

    async def take_up_late(self, journal: MachineJournal) -> bool:
        """Take up the alarm of a machine without a session, of a journal that was read late.

        Returns whether the newest alarm is known now and was not before.
        """
        return await self._worker.run(journal.take_up_late, None)

    async def add_request(self, request: Request) -> None:
        """Add a request; one of the same id stays.

        It can be withdrawn until this returns (`JournalRequests.withdraw`), also where it is
        cancelled.  Raises `JournalError` where it cannot be written, and `TooManyRequestsError`.
        """
        self.hold_request(request)
        await self._worker.run(self.journal.requests.add, request)

    def hold_request(self, request: Request) -> None:
        """Let a request that is to be added later be one that can be withdrawn."""
        self.journal.requests.hold(request.id)

    async def apply_requests(self, requests: MachineRequests, now: datetime) -> list[Event]:
        """Apply the requests of a machine without a session; return the transitions.

        An active alarm is acknowledged and stays active.  Raises `JournalError`; `poll` then calls
        again.
        """
        return await self._worker.run(requests.apply, None, now, None)

    async def expire_shelf(self, requests: MachineRequests, now: datetime) -> list[Event]:
        """End the shelving of the alarm of a machine without a session, where its time is over.

        Returns the transition.
        """
        return await self._worker.run(requests.expire_shelf, None, now, None)

    async def end_acknowledged_alarm(self, journal: MachineJournal, now: datetime) -> list[Event]:
        """End the alarm of a machine that is not monitored any more, where it is acknowledged.

        Returns the transition.
        """
        return await self._worker.run(journal.end_acknowledged_alarm, _NOT_MONITORED, now)

    def check_requests(self) -> None:
        """Let `poll` await ``on_change`` at its next turn, also without foreign writes."""
        self._is_check_due = True

    async def poll(self, on_change: Callable[[], Awaitable[None]]) -> None:
        """Write what could not be written before, and await ``on_change`` after foreign writes.

        ``on_change`` is awaited at the first turn as well, and once the journal has been opened.
        Begin and end of a fault of the journal are logged once.  It runs until cancelled.
        """
        fault = self.journal.fault
        while True:
            await asyncio.sleep(self._poll_s)
            try:
                await self._worker.run(self._maintain)
                new_fault = self.journal.fault
            except JournalError as error:
                new_fault = str(error)
            if new_fault not in (None, fault):
                log.error(
                    "the journal of alarms cannot be written: alarms are kept in memory until it"
                    " can",
                    reason=new_fault,
                )
            elif new_fault is None and fault is not None:
                log.info("the journal of alarms is written again")
            fault = new_fault
            if self._is_check_due:
                self._is_check_due = False
                with ExitStack() as undo:
                    undo.callback(self.check_requests)  # where it fails or is cancelled
                    await on_change()
                    undo.pop_all()
            self._checks += 1

    def _maintain(self) -> None:
        """Maintain the journal; a change is noted also where the result is not awaited any more."""
        was_read = self.journal.is_read
        if self.journal.maintain() or self.journal.is_read != was_read:
            self._is_check_due = True

    async def close(self) -> None:
        """Write what can be written, close the journal, and log what is not in it.

        The journal bounds the time; what is missing is also logged where that is cancelled.  May be
        called in any state and more than once.
        """
        if self._worker.is_finished:
            return
        self._worker.close()
        try:
            await in_daemon_thread(self.journal.close, "close the journal")
        finally:
            self._log_outcome()

    def _log_outcome(self) -> None:
        left = self.journal.left_events
        if left:
            log.warning(
                "events have not reached the broker: they are kept and published by the next run",
                events=sum(each.events for each in left),
                machines={
                    each.machine: f"{each.events} (seq {each.first_seq} to {each.last_seq})"
                    for each in left
                },
            )
        missing = self.journal.missing
        if self.journal.unwritten or self.journal.dropped:
            log.error(
                "the journal of alarms is incomplete: these were not written and are lost",
                alarms=len(missing.alarms),
                events=missing.events,
                unpublished_events=missing.unpublished,
                dropped=self.journal.dropped,
                dropped_kinds=self.journal.dropped_kinds,
                alarm_ids=list(missing.alarms[:_LOGGED_ALARMS]),
                reason=self.journal.fault,
            )
