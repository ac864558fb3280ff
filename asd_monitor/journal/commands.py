"""The journal as commands see it, whether a daemon runs or not.

Reading takes no lock and writes nothing: it works in a folder that is read-only or full, and while
another process has locked the journal.  A request is written by SQLite, for the daemon to apply.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from asd_monitor.errors import UsageError
from asd_monitor.journal import earlier_formats
from asd_monitor.journal.alarm_entries import as_alarm
from asd_monitor.journal.alarm_tables import database_format, find_row
from asd_monitor.journal.connections import COMMAND_BUSY_S, connect_to, transaction
from asd_monitor.journal.content import JournalContent
from asd_monitor.journal.file_image import open_image, read_files
from asd_monitor.journal.journal_file import find_journal
from asd_monitor.journal.requests import Request, Verb, add_requests, defect_of, find_request
from asd_monitor.journal.sqlite_errors import DAMAGED, DamagedJournalError, JournalError, translated
from asd_monitor.journal.table_definitions import FORMAT

_ATTEMPTS = 3  # where a daemon replaces the file at the same moment


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
