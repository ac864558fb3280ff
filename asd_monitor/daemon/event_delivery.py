"""The events of the journal on their way to the broker.

A thread takes a few waiting events of each machine from the journal and gives them to the session
with the broker, and more once these are settled: neither the session nor the event loop waits for
the disk, and a long backlog stays in the file.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import structlog

from asd_monitor.daemon.broker_interface import Broker
from asd_monitor.errors import UsageError
from asd_monitor.journal.alarm_records import Event
from asd_monitor.journal.outbox_records import WaitingEvent
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.journal.store import Journal
from asd_monitor.publish import messages
from asd_monitor.publish.event_queues import StoredEvent

log = structlog.get_logger()

_HELD = 32  # events of one machine with the session
_REFILL = _HELD // 2
_POLL_S = 1.0  # events whose session has ended before it could report them


class EventDelivery:
    """Publishes the events that wait in a journal.

    Args:
        journal: The open journal.
        broker: The session with the broker.

    """

    def __init__(self, journal: Journal, broker: Broker) -> None:
        self._journal = journal
        self._broker = broker
        self._lock = threading.Lock()
        self._held: dict[str, int] = {}  # events with the session, by machine
        self._has_taken = False  # events may be on their way from the journal to the session
        self._not_put: dict[str, list[WaitingEvent]] = {}  # taken, not with the session, by machine
        self._examined: WaitingEvent | None = None  # of which a message is being made
        self._failed_id: str | None = None  # of the newest event at which a run has failed
        self._wake = threading.Event()
        self._closed = False
        self._fault: str | None = None
        self._set_aside: set[str] = set()  # machines whose newest event was not accepted
        self.turns = 0
        """How often it was looked for events, at least every second, and for those of a machine."""
        self.read_failures = 0
        """How often waiting events could not be read."""

    def run(self) -> None:
        """Deliver until `close`; what waits from earlier runs is delivered first.

        Blocks.  What it raises is a defect; it may be called again after that: what was taken from
        the journal before is delivered then, but for an event at which two runs have failed.
        """
        self._note_failed_event()
        self._wake.set()
        while not self._closed:
            self._wake.wait(_POLL_S)
            self._wake.clear()
            try:
                self.deliver()
            except JournalError as error:
                self._report(str(error))
            else:
                self._fault = None
            self.turns += 1

    def wake(self) -> None:
        """Look for new events.  May be called in any thread; returns at once."""
        self._wake.set()

    def close(self) -> None:
        """Deliver no more; `run` returns.  May be called in any state."""
        self._closed = True
        self._wake.set()

    @property
    def has_more(self) -> bool:
        """Whether `deliver` gives events to the session now, or would.  Does not wait.

        Read before `Broker.pending`, the two leave out no event: one that is not here any more is
        with the session.
        """
        due = any(self._has_room(machine) for machine in self._machines_due)
        return due or self._has_taken

    def deliver(self) -> None:
        """Give the session what it has room for, of each machine.

        Raises `JournalError` after the last machine, where the events of one cannot be read.
        """
        faults = []
        for machine in sorted(self._machines_due):
            if self._has_room(machine):
                try:
                    self._deliver(machine)
                except JournalError as error:
                    faults.append(error)
                self.turns += 1
        if faults:
            raise faults[0]

    @property
    def _machines_due(self) -> frozenset[str]:
        return self._journal.outbox.machines_due.union(tuple(self._not_put))

    def _report(self, fault: str) -> None:
        """Count, and log why events cannot be read now, each reason once."""
        self.read_failures += 1
        if fault != self._fault:
            self._fault = fault
            log.error("events that wait for the broker cannot be read", reason=fault)

    def _has_room(self, machine: str) -> bool:
        return self._held.get(machine, 0) <= _REFILL

    def _deliver(self, machine: str) -> None:
        with self._lock:
            room = _HELD - self._held.get(machine, 0)
        self._has_taken = True
        try:
            self._take(machine, room)
        finally:
            self._has_taken = False

    def _take(self, machine: str, room: int) -> None:
        taken = list(self._not_put.get(machine, ()))
        taken += self._journal.outbox.take(machine, max(0, room - len(taken)))
        self._not_put[machine] = taken
        stored = []
        for waiting in tuple(taken):
            self._examined = waiting
            refusal = self._refusal(waiting.event)
            self._examined = None
            if refusal is not None:
                taken.remove(waiting)
                self._settle_in_journal(waiting, refusal)
                continue
            settle: Callable[[str | None], None] = partial(self._settle, waiting)
            topic = self._broker.topics.event(machine)
            stored.append(StoredEvent(topic, partial(self._render, waiting), settle))
        self._hold(machine, len(stored))
        with ExitStack() as undo:
            undo.callback(self._hold, machine, -len(stored))
            self._broker.put_events(stored)
            undo.pop_all()
        del self._not_put[machine]

    def _hold(self, machine: str, events: int) -> None:
        """Count events that the session has in addition, or no longer."""
        with self._lock:
            self._held[machine] = max(0, self._held.get(machine, 0) + events)

    def _note_failed_event(self) -> None:
        """Set an event aside at which a run has failed again: it must not block the others."""
        failed, self._examined = self._examined, None
        if failed is None:
            return
        if failed.event.id == self._failed_id:
            self._not_put[failed.event.machine].remove(failed)
            self._settle_in_journal(failed, "a defect of asd-monitor: see the log for the failure")
        self._failed_id = failed.event.id

    def _refusal(self, event: Event) -> str | None:
        """Return why there can be no message of an event; None: there can."""
        try:
            self._broker.topics.event(event.machine)
            event_message(event, historical=False).payload()
        except (UsageError, ValueError) as error:
            return str(error)
        return None

    def _render(self, waiting: WaitingEvent) -> bytes:
        historical = self._journal.outbox.is_historical(waiting)
        return event_message(waiting.event, historical=historical).payload()

    def _settle(self, waiting: WaitingEvent, refusal: str | None) -> None:
        """Note the outcome, in the thread of the session with the broker."""
        self._settle_in_journal(waiting, refusal)
        machine = waiting.event.machine
        self._hold(machine, -1)
        if self._has_room(machine):
            self._wake.set()

    def _settle_in_journal(self, waiting: WaitingEvent, refusal: str | None) -> None:
        self._journal.outbox.settle(waiting, refusal)
        event = waiting.event
        if refusal is None:
            self._set_aside.discard(event.machine)
            return
        known = event.machine in self._set_aside
        self._set_aside.add(event.machine)
        (log.debug if known else log.error)(
            "the broker does not accept an event, which is set aside in the journal",
            machine=event.machine,
            seq=event.seq,
            id=event.id,
            reason=refusal,
            hint="see the transition by `asd-monitor alarms show`; raise the broker's limits: it is"
            " tried again at a restart of the daemon, and after 10 minutes to 6 hours",
        )


def event_message(event: Event, *, historical: bool) -> messages.Event:
    """Return the message of a transition."""
    return messages.Event(
        machine=event.machine,
        id=event.id,
        seq=event.seq,
        time=event.time,
        alarm_id=event.alarm_id,
        from_=event.before,
        to=event.after,
        who=event.who,
        why=event.why,
        alarm_score=event.alarm_score,
        time_scale_s=event.time_scale_s,
        historical=historical,
    )
