"""A process that is killed in the middle of a migration: nothing is lost, and nothing repeated."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from asd_monitor.journal.commands import read_journal
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.store import Journal
from asd_monitor.journal.table_definitions import FORMAT
from tests.doubles.earlier_journals import FORMAT_1, write_earlier_format
from tests.doubles.journalled_machine import FAN_ALARM, acknowledge, apply_requests

_OF_FILES = ("open", "os.rename", "os.remove", "os.truncate", "os.mkdir", "sqlite3.connect")
_MOST = 200  # more file operations than an opening has


def write_format(folder: Path, version: int) -> None:
    folder.mkdir()
    if version == 1:
        database = sqlite3.connect(folder / FILE_NAME)
        database.executescript(f"PRAGMA journal_mode = WAL; {FORMAT_1}")
        database.close()
    else:
        write_earlier_format(folder, version)
    acknowledge(folder)


def open_and_be_killed(state: Path, operation: int) -> bool:
    """Open a journal in a process that is killed before its n-th file operation.

    Returns whether it was killed: it was not where there are fewer operations.
    """
    child = os.fork()
    if child == 0:
        _kill_at(operation)
        with Journal(state):
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


def _kill_at(operation: int) -> None:
    done = 0

    def count(event: str, _arguments: object) -> None:
        nonlocal done
        if event in _OF_FILES:
            done += 1
            if done == operation:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def killed_at_each_operation(earlier: Path) -> Iterator[Path]:
    """Yield the state folder after a kill before each operation of the migration."""
    for operation in range(1, _MOST):
        state = earlier.with_name("state")
        shutil.rmtree(state, ignore_errors=True)
        shutil.copytree(earlier, state)
        if not open_and_be_killed(state, operation):
            return
        yield state
    raise AssertionError("the migration has more operations")


@pytest.mark.parametrize("version", range(1, FORMAT))
def test_a_migration_that_is_killed_is_completed_by_the_next_start(
    tmp_path: Path, version: int
) -> None:
    earlier = tmp_path / "earlier"
    write_format(earlier, version)
    before = read_journal(earlier)
    assert before is not None
    kills = 0
    for state in killed_at_each_operation(earlier):
        kills += 1
        with Journal(state) as journal:
            assert journal.fault is None
            alarms = journal.alarms()
            assert [alarm.id for alarm in alarms] == [alarm.id for alarm in before.alarms]
            assert journal.machines == before.machines
            assert len(journal.events(FAN_ALARM)) == 1
            fan = MachineJournal(journal, "fan01")
            (event,) = apply_requests(fan)
            assert (event.alarm_id, event.who) == (FAN_ALARM, "ann")
        with Journal(state) as journal:
            assert apply_requests(MachineJournal(journal, "fan01")) == []
        names = {path.name for path in state.glob(f"{FILE_NAME}*") if path.stat().st_size}
        assert names & {f"{FILE_NAME}.format-{version}-{number}" for number in (1, 2)}
        assert not [name for name in names if name.endswith((".part", ".new"))]
    assert kills > 10
