"""The alarms that must not get lost with the journal's file, in memory."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import replace

from asd_monitor.journal.alarm_entries import AlarmEntry, MachineEntry, as_alarm, as_machine
from asd_monitor.journal.alarm_records import AlarmRecord
from asd_monitor.journal.alarm_tables import readable_rows

MAX_RETURNED = 10_000
"""Alarms that have returned to normal and were never acknowledged."""


class StandingAlarms:
    """The newest alarm of each machine, every active one, and the others that are not closed.

    Of the last there are at most `MAX_RETURNED`: the oldest are in the file alone.

    Args:
        lock: Of what is in memory; held for what notes or returns alarms, but for `read`.

    """

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self.machines: dict[str, int] = {}
        """Machines in the journal, with the number of the newest written event of each."""
        self.highest_ids: dict[str, str] = {}
        """The last id of each machine's alarms in alphabetical order."""
        self._entries: dict[str, AlarmEntry] = {}  # by id, in the order in which they were raised
        self._newest: dict[str, str] = {}  # machine → id

    def newest(self, machine: str) -> AlarmRecord | None:
        """Return the newest alarm of a machine; None where it had none."""
        id_ = self._newest.get(machine)
        return None if id_ is None else self._entries[id_].record

    def records(self) -> list[AlarmRecord]:
        """Return the alarms, the newest first."""
        return [entry.record for entry in reversed(self._entries.values())]

    def entries(self) -> list[MachineEntry | AlarmEntry]:
        """Return what a journal must contain, in the order in which it is written."""
        machines = [MachineEntry(machine, seq) for machine, seq in sorted(self.machines.items())]
        return [*machines, *self._entries.values()]

    def note(self, entry: AlarmEntry) -> None:
        """Note an alarm that is written."""
        record, machine = entry.record, entry.record.machine
        self.highest_ids[machine] = max(record.id, self.highest_ids.get(machine, ""))
        earlier = self._entries.get(record.id)
        if earlier is not None:
            entry = replace(entry, applied=entry.applied or earlier.applied)
        elif (superseded := self.newest(machine)) is not None and superseded.closed:
            del self._entries[superseded.id]
        self._entries[record.id] = entry
        if earlier is None and (machine not in self._newest or self._is_newest(record)):
            self._newest[machine] = record.id
        elif record.closed and self._newest.get(machine) != record.id:
            del self._entries[record.id]

        if earlier is None:
            self._forget_surplus()

    def _is_newest(self, record: AlarmRecord) -> bool:
        """Return whether an alarm is not one that was forgotten, by the order of the ids."""
        return record.id >= self.highest_ids[record.machine]

    def _forget_surplus(self) -> None:
        if len(self._entries) <= MAX_RETURNED:
            return
        newest = set(self._newest.values())
        returned = [
            id_
            for id_, entry in self._entries.items()
            if not entry.record.active and id_ not in newest
        ]
        # some at once: the next alarms then cost nothing
        for id_ in returned[: max(0, len(returned) - MAX_RETURNED * 9 // 10)]:
            del self._entries[id_]

    def read(self, database: sqlite3.Connection) -> None:
        """Note what a journal contains and is not known here.  Raises sqlite3.Error."""
        alarms = [found for row in readable_rows(database, "alarms") if (found := as_alarm(row))]
        machines = [
            each for row in readable_rows(database, "machines") if (each := as_machine(row))
        ]
        with self._lock:
            known = self._entries
            self._entries, newest, self._newest = {}, self._newest, {}
            for entry in alarms:
                self.note(known.pop(entry.record.id, entry))
            for entry in known.values():
                self.note(entry)
            self._newest |= {name: id_ for name, id_ in newest.items() if id_ in self._entries}
            for each in filter(None, machines):
                self.machines[each.machine] = max(each.seq, self.machines.get(each.machine, 0))
