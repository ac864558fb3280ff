"""Requests that cannot be applied: each has a refused outcome, and the others are applied."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from asd_monitor.errors import UsageError
from asd_monitor.journal.alarm_tables import replace_row
from asd_monitor.journal.checksums import Value, row_checksum
from asd_monitor.journal.commands import make_request, outcome_of
from asd_monitor.journal.file_image import decoded
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.requests import MAX_TEXT_CHARS
from asd_monitor.journal.store import Journal
from asd_monitor.wording import rfc3339
from tests.doubles.journalled_machine import (
    FAN_ALARM,
    NOW,
    JournalledMachine,
    acknowledgement,
)

TIME = rfc3339(NOW)
COLUMNS = ("id", "time", "machine", "alarm_id", "verb", "arguments", "who", "why")
SOUND: dict[str, Value] = {
    "id": "malformed",
    "time": TIME,
    "machine": "fan01",
    "alarm_id": FAN_ALARM,
    "verb": "ack",
    "arguments": "{}",
    "who": "ann",
    "why": "seen",
}
LONG = "x" * (MAX_TEXT_CHARS + 1)
MALFORMED: list[tuple[dict[str, Value], str]] = [
    ({"verb": "explode"}, "'explode' is not a valid Verb"),
    ({"verb": "unknown"}, "unknown is of the machine"),
    ({"verb": "in-service"}, "in-service is of the machine"),
    ({"verb": "out-of-service"}, "out-of-service is of the machine"),
    ({"alarm_id": None}, "ack is of an alarm"),
    ({"alarm_id": "no such alarm"}, "has no alarm"),
    ({"alarm_id": b"7"}, "is not text"),
    ({"time": "yesterday"}, "Invalid isoformat string"),
    ({"time": "2026-11-23T04:45:00"}, "has no time zone"),
    ({"time": "0001-01-01T00:00:00+14:00"}, "outside the calendar"),
    ({"arguments": "[]"}, "is not a JSON object"),
    ({"arguments": "["}, "Expecting value"),
    ({"arguments": "[" * 100_000}, "nested too deeply"),
    ({"who": " "}, "there is no name"),
    ({"who": LONG}, "the name has 501 characters"),
    ({"who": b"ann"}, "is not text"),
    ({"why": LONG}, "the reason has 501 characters"),
    ({"verb": "shelve"}, "give a time"),
    ({"verb": "shelve", "arguments": '{"until": "soon"}'}, "give a time"),
    ({"verb": "shelve", "arguments": '{"until": "0001-01-01T00:00:00+14:00"}'}, "give a time"),
    ({"verb": "shelve", "arguments": '{"until": "9999-12-31T23:59:59-14:00"}'}, "give a time"),
    ({"verb": "shelve", "arguments": '{"until": "9999-12-31T23:59:59Z"}'}, "the longest time"),
    (
        {
            "verb": "mark-normal",
            "alarm_id": None,
            "arguments": f'{{"from": "0001-01-01T00:00:00+14:00", "to": "{TIME}"}}',
        },
        "give two times",
    ),
    ({"verb": "label", "arguments": '{"label": 1}'}, "the label is valid or invalid"),
]


def write_request(state: Path, **changes: Value) -> None:
    """Write a row with a right checksum, as another program might."""
    columns = {**SOUND, **changes}
    database = sqlite3.connect(state / FILE_NAME)
    (number,) = database.execute("SELECT count(*) FROM requests").fetchone()
    row = (number + 1, *(columns[name] for name in COLUMNS), None, None)
    replace_row(database, "requests", row)
    database.commit()
    database.close()


def raised(journal: Journal) -> JournalledMachine:
    fan = JournalledMachine(journal)
    fan.play(8.0, 10)
    return fan


@pytest.mark.parametrize(("changes", "reason"), MALFORMED)
def test_a_malformed_request_is_refused_and_the_next_one_applied(
    tmp_path: Path, changes: dict[str, Value], reason: str
) -> None:
    with Journal(tmp_path) as journal:
        fan = raised(journal)
        write_request(tmp_path, **changes)
        journal.requests.add(acknowledgement())
        assert fan.apply() == ["unacknowledged→acknowledged"]
        refused = outcome_of(tmp_path, "malformed")
        assert refused is not None
        assert refused.accepted is False
        assert reason in (refused.outcome or "")
        assert len(refused.outcome or "") < 200
        assert fan.apply() == []
        assert journal.dropped == 0
    with Journal(tmp_path):  # it is not damaged
        assert outcome_of(tmp_path, "malformed") == refused


def test_text_with_bytes_that_are_not_utf_8_is_refused(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        fan = raised(journal)
        write_request(tmp_path)
        database = sqlite3.connect(tmp_path / FILE_NAME)
        database.text_factory = bytes
        database.execute("UPDATE requests SET why = CAST(x'ff' AS TEXT)")
        database.commit()
        database.close()
        set_checksum(tmp_path)
        assert fan.apply() == []
        assert journal.counters.malformed_requests == 1
        refused = outcome_of(tmp_path, "malformed")
        assert refused is not None
        assert "the reason is not valid text" in (refused.outcome or "")


def set_checksum(state: Path) -> None:
    database = sqlite3.connect(state / FILE_NAME)
    database.text_factory = decoded
    row = database.execute("SELECT * FROM requests").fetchone()
    database.execute("UPDATE requests SET checksum = ?", (row_checksum("requests", row[:-1]),))
    database.commit()
    database.close()


def test_text_of_several_lines_becomes_one_line(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        fan = raised(journal)
        write_request(tmp_path, why="line 1\nline 2\r\n", who="ann\t b")
        fan.apply()
        newest = fan.machine.newest
        assert newest is not None
        assert (newest.who, newest.why) == ("ann b", "line 1 line 2")


def test_a_command_refuses_text_that_is_too_long(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        raised(journal)
        with pytest.raises(UsageError, match="the reason has 501 characters"):
            make_request(tmp_path, acknowledgement(why=LONG))
