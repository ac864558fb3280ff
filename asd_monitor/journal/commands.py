"""The journal as commands see it, whether a daemon runs or not.

Reading takes no lock and writes nothing: it works in a folder that is read-only or full, and while
another process has locked the journal.  A request is written by SQLite, for the daemon to apply.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import shlex
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from asd_monitor.alarm.chatter import CHATTER_S, is_raise
from asd_monitor.alarm.figures import AlarmFigures
from asd_monitor.alarm.state import AlarmCondition, TransitionKind
from asd_monitor.errors import UsageError
from asd_monitor.journal import earlier_formats
from asd_monitor.journal.alarm_entries import as_alarm, as_event
from asd_monitor.journal.alarm_records import AlarmRecord, Event
from asd_monitor.journal.alarm_tables import database_format, find_row, readable_rows
from asd_monitor.journal.database import COMMAND_BUSY_S, connect_to, transaction
from asd_monitor.journal.earlier_formats import Row
from asd_monitor.journal.file_image import OpenedImage, open_image, read_files
from asd_monitor.journal.journal_file import find_journal
from asd_monitor.journal.machine_entries import OutOfService, as_machine
from asd_monitor.journal.normal_spans import TABLE, as_normal_span
from asd_monitor.journal.recent_changes import (
    FIRST_NUMBER,
    change_of,
    figures_of,
    period_begin,
)
from asd_monitor.journal.requests import Request, Verb, add_requests, defect_of, find_request
from asd_monitor.journal.sqlite_errors import DAMAGED, DamagedJournalError, JournalError, translated
from asd_monitor.journal.table_definitions import FORMAT
from asd_monitor.names import unknown_machine
from asd_monitor.wording import count, quoted, rfc3339

_ATTEMPTS = 3  # where a daemon replaces the file at the same moment
_IN_MEMORY = "a daemon keeps new alarms in memory and publishes them, and they are missing here"
_LITTLE_SPACE_BYTES = 64 << 10  # a transaction of the journal may need it


class JournalContent:
    """The content of a journal at one moment.

    Args:
        path: Of its file.
        image: The journal in memory.

    """

    def __init__(self, path: Path, image: OpenedImage) -> None:
        self.path = path
        self._database = image.database
        rows = list(readable_rows(self._database, "alarms"))
        alarms = [record for row in rows if (record := as_alarm(row)) is not None]
        self.alarms = alarms[::-1]
        """The newest first."""
        machines = [as_machine(row) for row in readable_rows(self._database, "machines")]
        known = {entry.machine: entry.out_of_service for entry in machines if entry is not None}
        self.machines = sorted(known.keys() | {alarm.machine for alarm in self.alarms})
        """Ids of the machines that are or were monitored."""
        self.out_of_service: dict[str, OutOfService] = {
            machine: each for machine, each in known.items() if each is not None
        }
        """The machines that are out of service."""
        self._monitored_since = {
            entry.machine: since
            for entry in machines
            if entry is not None and (since := entry.monitored_since) is not None
        }
        spans = [as_normal_span(row) for row in readable_rows(self._database, TABLE)]
        self.normal_spans = [span for span in spans if span is not None]
        """What people have marked as normal, the oldest mark first."""
        lost = len(rows) - len(alarms) + machines.count(None) + spans.count(None)
        damage = image.damage or (f"{count(lost, 'row')} cannot be read" if lost else None)
        self.damage = self._describe(damage)
        """What is wrong with the journal, and the remedy; None: nothing was found."""

    def alarm(self, alarm_id: str) -> AlarmRecord:
        """Return one alarm.  Raises `UsageError` for an unknown id."""
        for record in self.alarms:
            if record.id == alarm_id:
                return record
        state = self.path.parent
        listing = f"asd-monitor alarms list --state {shlex.quote(str(state))}"
        close = difflib.get_close_matches(alarm_id, [alarm.id for alarm in self.alarms], n=1)
        if alarm_id in self.machines:
            remedy = f"it is a machine: see its alarms by `{listing} --machine {alarm_id}`"
        elif close:
            remedy = f"did you mean {close[0]}?"
        else:
            remedy = f"see `{listing} --all`"
        raise UsageError(f"no alarm {quoted(alarm_id)} in {state}: {remedy}")

    def events(self, alarm_id: str) -> list[Event]:
        """Return the transitions of an alarm, the oldest first; damaged rows set `damage`."""
        return self._events("WHERE alarm_id = ?", (alarm_id,))

    def all_events(self) -> list[Event]:
        """Return the transitions of all machines, the oldest first; damaged rows set `damage`."""
        return self._events()

    def _events(self, where: str = "", values: Row = ()) -> list[Event]:
        rows = list(readable_rows(self._database, "events", where, values))
        events = [event for row in rows if (event := as_event(row)) is not None]
        if len(events) < len(rows) and self.damage is None:
            damaged = count(len(rows) - len(events), "transition")
            self.damage = self._describe(f"{damaged} cannot be read")
        return events

    def raised(self, now: datetime) -> dict[str, list[datetime]]:
        """Return by machine when alarms were raised in the time in which they can chatter now."""
        values = (
            TransitionKind.ALARM,
            AlarmCondition.UNACKNOWLEDGED,
            *(rfc3339(now + sign * timedelta(seconds=CHATTER_S)) for sign in (-1, 1)),
        )
        where = 'WHERE kind = ? AND "to" = ? AND time BETWEEN ? AND ?'
        found: dict[str, list[datetime]] = {}
        for row in readable_rows(self._database, "events", where, values):
            event = as_event(row)
            if event is not None and is_raise(event.before, event.after):
                found.setdefault(event.machine, []).append(event.time)
        return found

    def figures(self, machine: str | None, *, days: float, now: datetime) -> AlarmFigures:
        """Return the figures of the alarms of the last days, of one machine where it is given.

        They begin when the monitoring did where that is later.
        """
        events = self.all_events()
        of_machine = [each for each in events if machine in (None, each.machine)]
        records = [each for each in self.alarms if machine in (None, each.machine)]
        begun = [
            *(since for each, since in self._monitored_since.items() if machine in (None, each)),
            *(event.time for event in of_machine[:1]),
            *(record.raised for record in records),
        ]
        first = next(readable_rows(self._database, "events"), None)
        is_complete = first is None or first[0] == FIRST_NUMBER
        complete = None if is_complete or not events else events[0].time
        return figures_of(
            [change for event in of_machine if (change := change_of(event))],
            records,
            out_of_service=sum(machine in (None, each) for each in self.out_of_service),
            begin=period_begin(begun, complete=complete, now=now, days=days),
            end=now,
        )

    def check_machine(self, machine: str) -> None:
        """Raise `UsageError` for a machine that was never monitored with this state folder."""
        if machine not in self.machines:
            raise unknown_machine(machine, self.machines, self.path.parent)

    @property
    def warnings(self) -> list[str]:
        """Why alarms may be missing, one sentence each."""
        notices = [] if self.damage is None else [self.damage]
        notices += disk_notices(self.path.parent)
        with contextlib.suppress(sqlite3.Error):  # an earlier format has no such table
            kept, rows = self._database.execute(
                "SELECT count(*), max(number) FROM damaged_rows"
            ).fetchone()
            if kept:
                newest = "" if kept == rows else f", the newest {kept} of them"
                notices.append(
                    f"{self.path}: {count(rows, 'damaged row')} set aside by the daemon{newest}, in"
                    " the table damaged_rows: alarms may be missing or incomplete"
                )
        return notices

    def _describe(self, damage: str | None) -> str | None:
        if damage is None:
            return None
        return f"{self.path}: damaged, alarms may be missing here ({damage}): {DAMAGED}"


def disk_notices(folder: Path) -> list[str]:
    """Return why a daemon cannot write to a state folder now, one sentence each.

    Raises OSError.
    """
    disk = os.statvfs(folder)
    if disk.f_flag & os.ST_RDONLY:
        return [f"{folder}: the disk is read-only: {_IN_MEMORY}"]
    if disk.f_bavail * disk.f_frsize < _LITTLE_SPACE_BYTES:
        return [f"{folder}: the disk is full: {_IN_MEMORY}: free space"]
    return []


def read_journal(state_dir: Path) -> JournalContent | None:
    """Read the journal of a state folder; None where it has none yet.

    Raises `JournalError` where the folder does not exist, or nothing of the journal can be read.
    """
    path = find_journal(state_dir)
    if path is None:
        return None
    with translated(path):
        files = read_files(path)
        image = open_image(files)
    if image is not None:
        return JournalContent(path, image)
    if not files.database:
        raise DamagedJournalError(f"{path}: the file has 0 bytes, its alarms are lost: {DAMAGED}")
    raise DamagedJournalError(f"{path}: not a journal of alarms: {DAMAGED}")


def make_request(state_dir: Path, *requests: Request) -> None:
    """Add a request to the journal of a state folder, or several in one transaction.

    A running daemon applies them by itself, else the next one.  In a journal of an earlier format,
    whose daemon knows no requests, an acknowledgement is written as that version does.

    Raises `UsageError` for an unknown alarm or machine and for text that is not taken,
    `JournalError` where the journal is damaged or cannot be written, and `TooManyRequestsError`.
    """
    for _ in range(_ATTEMPTS):
        content = read_journal(state_dir)
        if content is None:
            raise UsageError(
                f"{state_dir}: no daemon has written alarms here yet: name its state folder with"
                " --state"
            )
        for request in requests:
            if (defect := defect_of(request)) is not None:
                raise UsageError(defect)
            if request.alarm_id is None:
                content.check_machine(request.machine)
            else:
                content.alarm(request.alarm_id)
        if content.damage is not None:  # SQLite would continue the damaged part
            raise DamagedJournalError(content.damage)
        if _add(content.path, requests):
            return
    raise JournalError(f"{state_dir}: a daemon replaces the journal at this moment: try again")


def _add(path: Path, requests: Sequence[Request]) -> bool:
    """Write requests; return whether they are in the file that is in use after that."""
    with translated(path):
        before = path.stat()
        with (
            contextlib.closing(connect_to(path, busy_s=COMMAND_BUSY_S)) as database,
            transaction(database),
        ):
            if database_format(database) < FORMAT:
                for request in requests:
                    _acknowledge(database, path, request)
            else:
                add_requests(database, requests, max(each.time for each in requests))
        after = path.stat()
    return (before.st_dev, before.st_ino) == (after.st_dev, after.st_ino)


def _acknowledge(database: sqlite3.Connection, path: Path, request: Request) -> None:
    if request.verb is not Verb.ACK:
        raise JournalError(
            f"{path}: its daemon is of an earlier version, which acknowledges alarms only: start"
            " this version of the daemon, which migrates the journal"
        )
    row = find_row(database, "alarms", request.alarm_id or "")
    if row is not None and (record := as_alarm(row)) is not None and not record.acknowledged:
        time = max(request.time, record.raised)
        earlier_formats.acknowledge(database, row, request.who, request.why, time)


def outcome_of(state_dir: Path, request_id: str) -> Request | None:
    """Return a request as it is now; None where the journal does not have it.

    Raises `JournalError`.
    """
    path = find_journal(state_dir)
    if path is None:
        return None
    with translated(path), contextlib.closing(connect_to(path, busy_s=COMMAND_BUSY_S)) as database:
        return find_request(database, request_id)
