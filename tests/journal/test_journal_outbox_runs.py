"""The events that wait to be published, over runs of the daemon that end at any time."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.outbox_records import WaitingEvent
from asd_monitor.journal.store import Journal
from tests.doubles.journal_outbox import (
    Disk,
)
from tests.doubles.journalled_machine import NOW, state_transition

MACHINES = ("fan01", "pump02")


WINDOW = 3


class OutboxOfRuns(RuleBasedStateMachine):
    """Runs of the daemon that end at any time; the broker receives what the session has."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.copies = 0
        self.recorded: dict[str, list[str]] = {machine: [] for machine in MACHINES}
        self.received: dict[str, list[str]] = {machine: [] for machine in MACHINES}
        self.numbers: dict[str, dict[str, int]] = {machine: {} for machine in MACHINES}
        self.disk = Disk()
        self.faulty = False
        self.begin()

    def begin(self) -> None:
        self.journal = Journal(self.folder / str(self.copies), connect=self.disk.connect)
        self.session: dict[str, list[WaitingEvent]] = {machine: [] for machine in MACHINES}

    def teardown(self) -> None:
        self.journal.close()
        shutil.rmtree(self.folder)

    @rule(machine=st.sampled_from(MACHINES), events=st.integers(1, 3))
    def record(self, machine: str, events: int) -> None:
        writer = MachineJournal(self.journal, machine)
        for _ in range(events):
            event = writer.record(state_transition(), NOW, "v1")
            self.recorded[machine].append(event.id)

    @rule(machine=st.sampled_from(MACHINES))
    def take(self, machine: str) -> None:
        held = self.session[machine]
        held += self.journal.outbox.take(machine, WINDOW - len(held))
        ids = [each.event.id for each in held]
        assert len(set(ids)) == len(ids)

    @rule(machine=st.sampled_from(MACHINES), acknowledged=st.booleans())
    def send(self, machine: str, acknowledged: bool) -> None:
        if not self.session[machine]:
            return
        waiting = self.session[machine][0]
        event, received = waiting.event, self.received[machine]
        order = self.recorded[machine]
        newest = max((order.index(id_) for id_ in received), default=-1)
        assert event.id in received or order.index(event.id) == newest + 1, "lost or not in order"
        if event.seq is not None:
            known = self.numbers[machine].setdefault(event.id, event.seq)
            assert known == event.seq
            assert list(self.numbers[machine].values()).count(event.seq) == 1, "a number repeats"
        received.append(event.id)
        if acknowledged:
            del self.session[machine][0]
            self.journal.outbox.settle(waiting, None)

    @rule()
    def maintain(self) -> None:
        self.journal.maintain()

    @precondition(lambda self: not self.faulty)
    @rule(clean=st.booleans())
    def restart(self, clean: bool) -> None:
        """Begin a new run, after a clean stop or on a copy as a killed process leaves it."""
        if clean:
            self.journal.close()
        else:
            before = self.folder / str(self.copies)
            self.copies += 1
            ignore = shutil.ignore_patterns("*-shm")
            shutil.copytree(before, self.folder / str(self.copies), ignore=ignore)
            self.journal.close()
        self.begin()

    @rule(faulty=st.booleans())
    def change_disk(self, faulty: bool) -> None:
        self.faulty = faulty
        self.disk.make_read_only(faulty)
        self.journal.maintain()

    @precondition(lambda self: not self.faulty)
    @rule()
    def deliver(self) -> None:
        for machine in MACHINES:
            while self.session[machine] or machine in self.journal.outbox.machines_due:
                self.take(machine)
                self.send(machine, acknowledged=True)
            assert list(dict.fromkeys(self.received[machine])) == self.recorded[machine]
        self.journal.maintain()
        assert self.journal.outbox.figures.waiting == 0
        assert self.journal.outbox.figures.bytes == 0

    @invariant()
    def nothing_is_dropped(self) -> None:
        assert not self.journal.dropped
        assert self.journal.outbox.figures.dropped == {}


TestOutboxOfRuns = OutboxOfRuns.TestCase


TestOutboxOfRuns.settings = settings(max_examples=15, stateful_step_count=30, deadline=None)
