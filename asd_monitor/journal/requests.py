"""What people ask of a daemon, as rows of the journal: a request waits until it has an outcome.

A command adds a request; the daemon applies it and writes its outcome in the transaction of what it
has changed, so that no kill loses or repeats it.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from asd_monitor.errors import OperationError
from asd_monitor.journal.alarm_tables import (
    find_row,
    next_number,
    replace_row,
    rows_of,
    set_row_aside,
)
from asd_monitor.journal.checksums import Value, is_intact
from asd_monitor.journal.earlier_formats import Row
from asd_monitor.journal.row_values import (
    json_object,
    json_text,
    optional_bool,
    optional_text,
    text,
    time_of,
)
from asd_monitor.wording import printable, rfc3339, shortened

MAX_REQUESTS = 1000
"""Rows that are kept; the oldest that have an outcome are deleted beyond."""
SETTLED_AGE = timedelta(days=1)
"""How long a request with an outcome is kept."""
MAX_TEXT_CHARS = 500
"""Longest text of a person: it is repeated in messages."""
NO_REASON = "no reason given"
"""Reason of a change whose request has none."""
_UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
_OUTCOME = 9  # position of the outcome in a row


class Verb(StrEnum):
    """What is asked."""

    ACK = "ack"
    SHELVE = "shelve"
    UNSHELVE = "unshelve"
    OUT_OF_SERVICE = "out-of-service"
    IN_SERVICE = "in-service"
    LABEL = "label"
    MARK_NORMAL = "mark-normal"
    UNKNOWN = "unknown"
    """Of a request that cannot be read."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request of a person."""

    verb: Verb
    machine: str
    who: str
    time: datetime
    alarm_id: str | None = None  # None: it is of the machine
    why: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    """Of `shelve`: ``until``, RFC 3339; of `label`: ``label``, `valid` or `invalid`; of
    `mark-normal`: ``from`` and ``to``, RFC 3339, where it names no alarm, and ``withdraw``."""
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    outcome: str | None = None  # None: it waits
    accepted: bool | None = None
    defect: str | None = None  # why it cannot be applied, as it was read; None: it can


class TooManyRequestsError(OperationError):
    """So many requests wait that no more are taken."""


@dataclass(frozen=True, slots=True)
class OutcomeEntry:
    """The outcome of a request, one sentence; of one that has an outcome, that stays."""

    request_id: str
    outcome: str
    accepted: bool

    def write(self, database: sqlite3.Connection) -> None:
        """Update the row, where it is there.  Raises sqlite3.Error, and what `REFUSALS` lists."""
        row = find_row(database, "requests", self.request_id)
        request = None if row is None else as_request(row)
        if row is None or request is None or request.outcome is not None:
            return
        asked = (_storable(value) for value in row[:_OUTCOME])
        replace_row(database, "requests", (*asked, self.outcome, int(self.accepted)))


def add_requests(database: sqlite3.Connection, requests: Sequence[Request], now: datetime) -> None:
    """Add requests within a transaction, all or none, and delete the settled ones that are old.

    One of the same id stays.  Raises `TooManyRequestsError` where more than `MAX_REQUESTS` would
    wait, and sqlite3.Error.
    """
    new = [each for each in requests if find_row(database, "requests", each.id) is None]
    if not new:
        return
    settled = []
    waiting = 0
    for row in list(rows_of(database, "requests", "ORDER BY number")):
        each = as_request(row)
        if each is None:
            set_row_aside(database, "requests", row)
        elif each.outcome is None:
            waiting += 1
        else:
            settled.append((row[0], each.time))
    if waiting + len(new) > MAX_REQUESTS:
        raise TooManyRequestsError(
            f"{waiting} requests wait for the daemon, and no more than {MAX_REQUESTS} are taken:"
            " start it, or where it runs see its log"
        )
    surplus = max(0, waiting + len(settled) + len(new) - MAX_REQUESTS)
    old = [
        number
        for position, (number, time) in enumerate(settled)
        if position < surplus or time < now - SETTLED_AGE
    ]
    database.executemany("DELETE FROM requests WHERE number = ?", [(number,) for number in old])
    for request in new:
        insert_request(database, request)


def insert_request(database: sqlite3.Connection, request: Request) -> None:
    """Add a request within a transaction, however many there are.  Raises sqlite3.Error."""
    values = (next_number(database, "requests"), *_columns(request))
    replace_row(database, "requests", values)


def waiting_requests(database: sqlite3.Connection, machine: str) -> list[Request]:
    """Return the intact requests of a machine that wait, the oldest first.

    Raises sqlite3.Error.
    """
    rows = rows_of(
        database, "requests", "WHERE machine = ? AND outcome IS NULL ORDER BY number", (machine,)
    )
    return [request for row in rows if (request := as_request(row)) is not None]


def find_request(database: sqlite3.Connection, request_id: str) -> Request | None:
    """Return a request; None where there is no intact one of this id.  Raises sqlite3.Error."""
    row = find_row(database, "requests", request_id)
    return None if row is None else as_request(row)


def as_request(row: Row) -> Request | None:
    """Return the request of a row; None where the row is not intact.

    What else is wrong with it is its `Request.defect`: whoever has asked gets an answer.
    """
    if not is_intact("requests", row):
        return None
    _, id_, time, machine, alarm_id, verb, arguments, who, why, outcome, accepted, _ = row
    try:
        unreadable = Request(
            Verb.UNKNOWN,
            text(machine),
            "unknown",
            _UNKNOWN_TIME,
            id=_valid(text(id_)),
            outcome=optional_text(outcome),
            accepted=optional_bool(accepted),
        )
    except (TypeError, ValueError):  # nobody can look for its outcome
        return None
    try:
        request = replace(
            unreadable,
            verb=Verb(text(verb)),
            who=_one_line(text(who)),
            time=time_of(time),
            alarm_id=optional_text(alarm_id),
            why=None if why is None else _one_line(text(why)),
            arguments={key: str(value) for key, value in json_object(arguments).items()},
        )
    except (TypeError, ValueError) as error:
        reason = printable(shortened(str(error)))
        return replace(unreadable, defect=f"the request cannot be read: {reason}")
    return replace(request, defect=defect_of(request))


def defect_of(request: Request) -> str | None:
    """Return why a request cannot be applied whatever it asks, with the remedy; None: it can."""
    texts = (("name", request.who), ("reason", request.why), ("id", request.alarm_id))
    for what, value in texts:
        if value is not None and len(value) > MAX_TEXT_CHARS:
            return f"the {what} has {len(value):,} characters: write {MAX_TEXT_CHARS} at most"
        try:
            _valid(value or "")
        except ValueError:
            return f"the {what} is not valid text: write it in UTF-8"
    return None if request.who.strip() else "there is no name: say who asks"


def _valid(value: str) -> str:
    """Return text; raises ValueError for surrogates, which stand for bytes that are not UTF-8."""
    value.encode()
    return value


def _storable(value: Value) -> Value:
    """Return a value of a column; text with escapes for bytes that are not UTF-8."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


def _one_line(value: str) -> str:
    return " ".join(value.split())


def _columns(request: Request) -> Row:
    """Return the columns of a row but its number and its checksum."""
    return (
        request.id,
        rfc3339(request.time),
        request.machine,
        request.alarm_id,
        str(request.verb),
        json_text(request.arguments),
        request.who,
        request.why,
        request.outcome,
        None if request.accepted is None else int(request.accepted),
    )
