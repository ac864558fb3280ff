"""Damaged journals: what is kept, what is reported, and that a new one begins."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from asd_monitor.alarm.state import AlarmCondition
from asd_monitor.journal import alarm_tables
from asd_monitor.journal.commands import read_journal
from asd_monitor.journal.journal_file import FILE_NAME, set_aside
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.sqlite_errors import DamagedJournalError, JournalError, translated
from asd_monitor.journal.store import Journal
from tests.doubles.journalled_machine import (
    FAN_ALARM,
    LATER,
    NOW,
    RAISED,
    acknowledge,
    apply_requests,
)

DAMAGE = b"no database" * 100
ACTIVE_ALARMS = 40


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A journal of active alarms of several pages, whose daemon has stopped."""
    folder = tmp_path_factory.mktemp("written")
    with Journal(folder) as journal:
        for number in range(ACTIVE_ALARMS):
            MachineJournal(journal, f"fan{number:02}").record(RAISED, NOW, "v1")
    return (folder / FILE_NAME).read_bytes()


@pytest.fixture
def state(tmp_path: Path, written: bytes) -> Path:
    """A folder with that journal."""
    (tmp_path / FILE_NAME).write_bytes(written)
    return tmp_path


def killed_copy(state: Path, target: Path, change: Callable[[Journal], None]) -> Path:
    """Return a copy of a journal as a daemon leaves it that is killed after ``change``."""
    target.mkdir()
    with Journal(state) as journal:
        change(journal)
        for file in state.glob(f"{FILE_NAME}*"):
            if not file.name.endswith("-shm"):
                (target / file.name).write_bytes(file.read_bytes())
    return target


def replace_in(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))


@pytest.mark.parametrize("content", [DAMAGE, DAMAGE * 50, b"x", b""])
def test_a_file_that_is_no_journal_is_set_aside_and_a_new_one_begins(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(DamagedJournalError, match="restart the daemon, which sets it aside"):
        read_journal(tmp_path)
    with capture_logs() as logs, Journal(tmp_path) as journal:
        assert (journal.fault, journal.alarms()) == (None, [])
        MachineJournal(journal, "fan01").record(RAISED, NOW, "v1")
        assert [alarm.id for alarm in journal.alarms()] == [FAN_ALARM]
    (entry,) = logs
    assert entry["log_level"] == "error"
    kept = tmp_path / f"{FILE_NAME}.damaged-1"
    assert entry["kept_as"] == str(kept)
    assert kept.read_bytes() == content


@pytest.mark.parametrize("user_version", [0, 1, 2])
def test_another_database_is_set_aside(tmp_path: Path, user_version: int) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as other, other:
        other.execute("CREATE TABLE events (number INTEGER PRIMARY KEY)")
        other.execute(f"PRAGMA user_version = {user_version}")
    other.close()
    with pytest.raises(DamagedJournalError, match="not a journal of alarms"):
        read_journal(tmp_path)
    with Journal(tmp_path) as journal:
        assert journal.fault is None
    assert (tmp_path / f"{FILE_NAME}.damaged-1").exists()


def test_something_else_than_a_file_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME / "inner").mkdir(parents=True)
    with pytest.raises(JournalError, match="this is not a file: restart"):
        read_journal(tmp_path)
    with Journal(tmp_path) as journal:
        assert journal.fault is None
    assert (tmp_path / f"{FILE_NAME}.damaged-1" / "inner").is_dir()


def test_a_flipped_bit_in_a_row_does_not_change_an_alarm(state: Path) -> None:
    time = b"2026-11-23T04:45:00.512Z"
    replace_in(state / FILE_NAME, b"unacknowledged" + time, b"unacknowledfed" + time)
    content = read_journal(state)
    assert content is not None
    assert "rows cannot be read" in (content.damage or "")
    with capture_logs() as logs, Journal(state) as journal:
        alarms = journal.alarms()
    (entry,) = logs
    assert entry["damaged_rows"] == ACTIVE_ALARMS
    assert {alarm.condition for alarm in alarms} == {AlarmCondition.UNACKNOWLEDGED}
    assert len(alarms) == ACTIVE_ALARMS
    repaired = read_journal(state)
    assert repaired is not None
    assert repaired.damage is None
    assert f"{ACTIVE_ALARMS} damaged rows set aside" in repaired.warnings[0]


def test_the_alarm_of_a_damaged_row_is_rebuilt_in_its_place(state: Path) -> None:
    acknowledge(state, "fan03-20261123T044500Z")
    with Journal(state) as journal:
        apply_requests(MachineJournal(journal, "fan03"), LATER)
        order = [alarm.id for alarm in journal.alarms()]
    replace_in(state / FILE_NAME, b"05:45:00.512Zanngreased", b"05:45:00.512Zbnngreased")
    with Journal(state) as journal:
        assert [alarm.id for alarm in journal.alarms()] == order
        newest = journal.newest("fan03")
    assert newest is not None
    assert (newest.condition, newest.who) == (AlarmCondition.ACKNOWLEDGED, "ann")
    assert (newest.raised, newest.acknowledged_at) == (NOW, LATER)


def test_a_damaged_page_costs_its_rows_only(state: Path) -> None:
    path = state / FILE_NAME
    content = bytearray(path.read_bytes())
    first = content.index(b"fan20-20261123T044500Z") // 4096 * 4096
    content[first : first + 4096] = b"\xa5" * 4096
    path.write_bytes(content)
    with capture_logs() as logs, Journal(state) as journal:
        assert len(journal.alarms()) == ACTIVE_ALARMS  # the others by their transitions
    assert logs[0]["alarms"] == ACTIVE_ALARMS
    assert (state / f"{FILE_NAME}.damaged-1").read_bytes() == bytes(content)


@pytest.mark.parametrize("position", [0, 17, 20, 28, 56, 63, 100, 103, 108, 400])
def test_damage_of_the_first_page_loses_nothing(state: Path, position: int) -> None:
    path = state / FILE_NAME
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    listed = read_journal(state)
    assert listed is not None
    assert len(listed.alarms) == ACTIVE_ALARMS
    with Journal(state) as journal:
        assert len(journal.alarms()) == ACTIVE_ALARMS


def test_a_damaged_write_ahead_log_is_reported(state: Path, tmp_path: Path) -> None:
    def raise_two(journal: Journal) -> None:
        for machine in ("pump01", "pump02"):
            MachineJournal(journal, machine).record(RAISED, NOW, "v1")

    copy = killed_copy(state, tmp_path / "copy", raise_two)
    content = read_journal(copy)
    assert content is not None
    assert content.damage is None
    wal = copy / f"{FILE_NAME}-wal"
    damaged = bytearray(wal.read_bytes())
    damaged[32 + 24 + 200] ^= 1
    wal.write_bytes(damaged)
    content = read_journal(copy)
    assert content is not None
    assert "write-ahead log is damaged" in (content.damage or "")
    with capture_logs() as logs, Journal(copy) as journal:
        assert journal.newest("pump02") is not None
    assert "write-ahead log is damaged" in logs[0]["reason"]
    assert (copy / f"{FILE_NAME}.damaged-1-wal").read_bytes() == bytes(damaged)


def test_an_unfinished_last_transaction_is_not_damage(state: Path, tmp_path: Path) -> None:
    copy = killed_copy(state, tmp_path / "copy", lambda j: j.register("pump01"))
    wal = copy / f"{FILE_NAME}-wal"
    wal.write_bytes(wal.read_bytes()[:-100])
    content = read_journal(copy)
    assert content is not None
    assert (content.damage, len(content.alarms)) == (None, ACTIVE_ALARMS)
    with capture_logs() as logs, Journal(copy) as journal:
        assert len(journal.alarms()) == ACTIVE_ALARMS
    assert logs == []


def test_a_truncated_journal_goes_on_with_its_write_ahead_log(state: Path, tmp_path: Path) -> None:
    copy = killed_copy(state, tmp_path / "copy", lambda j: j.register("pump01"))
    (copy / FILE_NAME).write_bytes(b"")
    with capture_logs() as logs, Journal(copy) as journal:
        assert journal.fault is None
    assert logs[0]["reason"] == "the file has 0 bytes"
    (copy / FILE_NAME).unlink()


def test_damaged_rows_that_were_set_aside_are_bounded_and_counted(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarm_tables, "MAX_DAMAGED_ROWS", 10)
    replace_in(state / FILE_NAME, b"unacknowledged2026", b"unacknowledfed2026")
    with Journal(state):
        pass
    kept = f"{ACTIVE_ALARMS} damaged rows set aside by the daemon, the newest 10 of them, in"
    assert set_aside_rows(state) == list(range(ACTIVE_ALARMS - 9, ACTIVE_ALARMS + 1))
    content = read_journal(state)
    assert content is not None
    assert kept in content.warnings[0]

    with capture_logs(), Journal(state) as journal:
        (state / FILE_NAME).unlink()
        journal.maintain()  # makes the file anew
        assert journal.fault is None
    assert set_aside_rows(state) == list(range(ACTIVE_ALARMS - 9, ACTIVE_ALARMS + 1))


def set_aside_rows(state: Path) -> list[int]:
    """Return the numbers of the rows that a journal has set aside."""
    with closing(sqlite3.connect(state / FILE_NAME)) as database:
        rows = database.execute("SELECT number FROM damaged_rows ORDER BY number")
        return [number for (number,) in rows]


def test_an_interrupted_repair_is_completed(state: Path) -> None:
    path = state / FILE_NAME
    path.rename(state / f"{FILE_NAME}.new")
    (state / f"{FILE_NAME}-wal").write_bytes(b"of the damaged journal")
    with Journal(state) as journal:
        assert len(journal.alarms()) == ACTIVE_ALARMS
    assert (state / f"{FILE_NAME}.damaged-1-wal").exists()


def test_a_repair_that_has_not_set_the_damaged_journal_aside_begins_again(state: Path) -> None:
    (state / f"{FILE_NAME}.new").write_bytes(b"incomplete")
    with Journal(state) as journal:
        assert len(journal.alarms()) == ACTIVE_ALARMS
    assert not (state / f"{FILE_NAME}.new").exists()


@pytest.mark.parametrize("earlier", [["damaged-2"], ["damaged-1", "damaged-12"], ["damaged-1-wal"]])
def test_an_earlier_damaged_journal_is_not_overwritten(tmp_path: Path, earlier: list[str]) -> None:
    files = [tmp_path / f"{FILE_NAME}.{name}" for name in earlier]
    for file in files:
        file.write_text("the alarms of last year")
    (tmp_path / FILE_NAME).write_bytes(DAMAGE)
    (tmp_path / f"{FILE_NAME}-wal").write_bytes(b"newest alarms")
    kept = set_aside(tmp_path / FILE_NAME, "damaged")
    assert kept not in files
    assert kept.read_bytes() == DAMAGE
    assert kept.with_name(f"{kept.name}-wal").read_bytes() == b"newest alarms"
    assert all(file.read_text() == "the alarms of last year" for file in files)


def test_use_after_close_is_not_damage(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    fan = MachineJournal(journal, "fan01")
    journal.close()
    with pytest.raises(JournalError) as error:
        journal.alarms()
    assert not isinstance(error.value, DamagedJournalError)
    fan.record(RAISED, NOW, "v1")
    assert "closed" in str(journal.fault)
    assert (journal.unwritten, journal.dropped) == (2, 0)


@pytest.mark.parametrize(
    ("code", "damaged"),
    [
        (sqlite3.SQLITE_CORRUPT, True),
        (sqlite3.SQLITE_NOTADB, True),
        (sqlite3.SQLITE_CORRUPT_INDEX, True),
        (sqlite3.SQLITE_IOERR_CORRUPTFS, False),
        (sqlite3.SQLITE_READONLY_DBMOVED, False),
        (sqlite3.SQLITE_ERROR, False),
        (sqlite3.SQLITE_INTERNAL, False),
        (None, False),
    ],
)
def test_damage_is_recognised_by_the_result_code(
    tmp_path: Path, code: int | None, damaged: bool
) -> None:
    error = sqlite3.DatabaseError("disk is full, locked and malformed")
    if code is not None:
        error.sqlite_errorcode = code
    with pytest.raises(JournalError) as translation, translated(tmp_path / FILE_NAME):
        raise error
    assert isinstance(translation.value, DamagedJournalError) is damaged
