"""Events of a journal that a test takes and settles, with a disk and a clock that it changes."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Any

from asd_monitor.alarm.state import AlarmCondition
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.outbox_records import WaitingEvent
from asd_monitor.journal.store import Journal
from tests.doubles.journalled_machine import NOW, alarm_transition, state_transition


class FastDatabase(sqlite3.Connection):
    """A database that does not wait for the disk: only a power failure would show that."""

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        return super().execute(sql.replace("synchronous = FULL", "synchronous = OFF"), *values)


class Disk:
    """Opens databases; the newest can be made read-only."""

    def __init__(self) -> None:
        self.newest: sqlite3.Connection

    def connect(self, *arguments: Any, **options: Any) -> sqlite3.Connection:
        self.newest = sqlite3.connect(*arguments, factory=FastDatabase, **options)
        return self.newest

    def make_read_only(self, read_only: bool) -> None:
        self.newest.execute(f"PRAGMA query_only = {read_only:d}")


class Clock:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def record(journal: Journal, machine: str = "fan01", *, events: int = 1, why: str = "off") -> None:
    """Record state transitions of a machine."""
    writer = MachineJournal(journal, machine)
    for _ in range(events):
        writer.record(replace(state_transition(), why=why), NOW, "v1")


def raise_alarm(journal: Journal, machine: str = "fan01") -> None:
    """Record the transition to an alarm."""
    before, after = AlarmCondition.NORMAL, AlarmCondition.UNACKNOWLEDGED
    MachineJournal(journal, machine).record(alarm_transition(before, after), NOW, "v1")


def take_all(journal: Journal, machine: str = "fan01") -> list[WaitingEvent]:
    """Take all events of a machine that are due."""
    return journal.outbox.take(machine, 10_000)


def numbers(events: list[WaitingEvent]) -> list[int | None]:
    """Return the numbers of events; None: not in the file."""
    return [each.event.seq for each in events]


def settle_all(journal: Journal, events: list[WaitingEvent]) -> None:
    """Note events as acknowledged, and write that."""
    for each in events:
        journal.outbox.settle(each, None)
    journal.maintain()
