"""The alarms that must not get lost with the journal's file, in memory."""

from __future__ import annotations

import sqlite3
import threading
from datetime import datetime

from asd_monitor.journal.alarm_entries import AlarmEntry, as_alarm
from asd_monitor.journal.alarm_records import AlarmRecord
from asd_monitor.journal.alarm_tables import readable_rows
from asd_monitor.journal.machine_entries import (
    MachineEntry,
    OutOfService,
    ServiceEntry,
    as_machine,
    earliest,
)

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
        self.monitored_since: dict[str, datetime] = {}
        """Since when machines are monitored, of those of which it is known."""
        self.oldest: datetime | None = None
        """When the oldest alarm was raised, whether it is kept in memory or not."""
        self.highest_ids: dict[str, str] = {}
        """The last id of each machine's alarms in alphabetical order."""
        self._service: dict[str, OutOfService | None] = {}  # of the machines of which it is known
        self._records: dict[str, AlarmRecord] = {}  # by id, in the order in which they were raised
        self._newest: dict[str, str] = {}  # machine → id

    def newest(self, machine: str) -> AlarmRecord | None:
        """Return the newest alarm of a machine; None where it had none."""
        id_ = self._newest.get(machine)
        return None if id_ is None else self._records[id_]

    def records(self) -> list[AlarmRecord]:
        """Return the alarms, the newest first."""
        return list(reversed(self._records.values()))

    def find(self, alarm_id: str) -> AlarmRecord | None:
        """Return an alarm; None where it is not kept in memory."""
        return self._records.get(alarm_id)

    def out_of_service(self, machine: str) -> OutOfService | None:
        """Return since when a machine is out of service; None: it is in service."""
        return self._service.get(machine)

    @property
    def machines_out_of_service(self) -> int:
        """Number of the machines that are out of service."""
        return sum(each is not None for each in self._service.values())

    def entries(self) -> list[MachineEntry | ServiceEntry | AlarmEntry]:
        """Return what a journal must contain, in the order in which it is written."""
        machines = [
            MachineEntry(machine, seq, monitored_since=self.monitored_since.get(machine))
            for machine, seq in sorted(self.machines.items())
        ]
        service = [ServiceEntry(machine, each) for machine, each in sorted(self._service.items())]
        return [*machines, *service, *map(AlarmEntry, self._records.values())]

    def note_machine(self, machine: str, since: datetime) -> bool:
        """Note that a machine is monitored; return whether since when was not known.

        A time that is known stays: the clock may be behind now.
        """
        self.machines.setdefault(machine, 0)
        is_new = machine not in self.monitored_since
        self.monitored_since.setdefault(machine, since)
        return is_new

    def note_service(self, entry: ServiceEntry) -> None:
        """Note that a machine is in service or out of it."""
        self._service[entry.machine] = entry.out_of_service

    def note(self, record: AlarmRecord) -> None:
        """Note an alarm that is written."""
        machine = record.machine
        is_new = record.id not in self._records
        self.oldest = earliest(self.oldest, record.raised)
        self.highest_ids[machine] = max(record.id, self.highest_ids.get(machine, ""))
        if is_new and (machine not in self._newest or self._is_newest(record)):
            if (superseded := self.newest(machine)) is not None and superseded.closed:
                del self._records[superseded.id]
            self._newest[machine] = record.id
        self._records[record.id] = record
        if record.closed and self._newest.get(machine) != record.id:
            del self._records[record.id]
        if is_new:
            self._forget_surplus()

    def _is_newest(self, record: AlarmRecord) -> bool:
        """Return whether an alarm is not one that was forgotten, by the order of the ids."""
        return record.id >= self.highest_ids[record.machine]

    def _forget_surplus(self) -> None:
        if len(self._records) <= MAX_RETURNED:
            return
        newest = set(self._newest.values())
        returned = [
            id_ for id_, record in self._records.items() if not record.active and id_ not in newest
        ]
        # some at once: the next alarms then cost nothing
        for id_ in returned[: max(0, len(returned) - MAX_RETURNED * 9 // 10)]:
            del self._records[id_]

    def read(self, database: sqlite3.Connection) -> None:
        """Note what a journal contains and is not known here.  Raises sqlite3.Error."""
        alarms = [found for row in readable_rows(database, "alarms") if (found := as_alarm(row))]
        machines = [
            each for row in readable_rows(database, "machines") if (each := as_machine(row))
        ]
        with self._lock:
            known = self._records
            self._records, newest, self._newest = {}, self._newest, {}
            for record in alarms:
                self.note(known.pop(record.id, record))
            for record in known.values():
                self.note(record)
            self._newest |= {name: id_ for name, id_ in newest.items() if id_ in self._records}
            for each in machines:
                self.machines[each.machine] = max(each.seq, self.machines.get(each.machine, 0))
                self._service.setdefault(each.machine, each.out_of_service)
                if each.monitored_since is not None:
                    self.monitored_since[each.machine] = each.monitored_since
