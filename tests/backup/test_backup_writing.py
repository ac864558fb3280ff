"""Backups that are written: what is in them, and what they leave as it was."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from asd_monitor.backup.sources import BoxFolders
from asd_monitor.backup.writing import write_backup
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.journal.commands import read_journal
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.store import Journal
from tests.backup.conftest import NOW, restore
from tests.doubles.filled_box import FilledBox
from tests.doubles.journalled_machine import NOW as RAISED_AT
from tests.doubles.journalled_machine import RAISED


def test_a_backup_is_consistent_while_alarms_are_written(own: FilledBox, tmp_path: Path) -> None:
    """Each copy of the journal is intact, and has what was written before the copy began."""
    raised, stop = [0], threading.Event()

    def raise_alarms() -> None:
        with Journal(own.state) as journal:
            while not stop.is_set():
                MachineJournal(journal, f"m{raised[0]}").record(RAISED, RAISED_AT, "v1")
                raised[0] += 1

    writer = threading.Thread(target=raise_alarms)
    writer.start()
    try:
        for number in range(5):
            known = raised[0]
            done = write_backup(tmp_path / f"{number}.tar", own.folders, box="edge", now=NOW)
            assert not [notice for notice in done.notices if "damaged" in notice]
            folders = BoxFolders(tmp_path / f"m{number}", tmp_path / f"s{number}")
            restore(tmp_path / f"{number}.tar", folders)
            journal = read_journal(folders.state)
            assert journal is not None
            assert journal.warnings == []
            assert len(journal.alarms) >= known + 1
    finally:
        stop.set()
        writer.join()
    assert raised[0] > 5


def test_a_damaged_database_is_copied_as_it_is_and_reported(own: FilledBox, tmp_path: Path) -> None:
    journal = own.state / FILE_NAME
    content = bytearray(journal.read_bytes())
    content[16:100] = b"\xa5" * 84
    journal.write_bytes(content)
    done = write_backup(tmp_path / "x.tar", own.folders, box="edge", now=NOW)
    (notice,) = [each for each in done.notices if FILE_NAME in each]
    assert "is damaged" in notice
    folders = BoxFolders(tmp_path / "models", tmp_path / "state")
    restore(tmp_path / "x.tar", folders)
    assert (folders.state / FILE_NAME).read_bytes() == bytes(content)


def test_links_and_special_files_are_left_out(own: FilledBox, tmp_path: Path) -> None:
    (own.state / "link").symlink_to("/etc/passwd")
    os.mkfifo(own.state / "pipe")
    (own.models / "pump02").symlink_to(own.models / "fan01")
    done = write_backup(tmp_path / "x.tar", own.folders, box="edge", now=NOW)
    assert [each for each in done.notices if "left out" in each] == [
        f"{own.models}/pump02: a link, which is left out",
        f"{own.state}/link: a link, which is left out",
        f"{own.state}/pipe: no file, which is left out",
    ]


def test_an_archive_is_replaced_by_a_newer_one_only(own: FilledBox, tmp_path: Path) -> None:
    file = tmp_path / "x.tar"
    for _ in range(2):
        write_backup(file, own.folders, box="edge", now=NOW)
    file.write_text("a letter")
    with pytest.raises(UsageError, match="no intact backup"):
        write_backup(file, own.folders, box="edge", now=NOW)
    assert file.read_text() == "a letter"
    with pytest.raises(UsageError, match="which is backed up"):
        write_backup(own.state / "x.tar", own.folders, box="edge", now=NOW)


def test_a_full_disk_leaves_nothing_half_written(
    own: FilledBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "target"
    target.mkdir()
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fail(_handle: int) -> None:
        raise full

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OperationError, match=r"No space left on device.*free some space"):
        write_backup(target / "x.tar", own.folders, box="edge", now=NOW)
    assert list(target.iterdir()) == []


def test_what_a_killed_backup_has_left_is_deleted_by_the_next(
    own: FilledBox, tmp_path: Path
) -> None:
    left = tmp_path / ".x.tar.abc.backup.partial"
    left.mkdir()
    (left / "archive.tar").write_text("half")
    write_backup(tmp_path / "x.tar", own.folders, box="edge", now=NOW)
    assert not left.exists()
    assert not list(tmp_path.glob(".*"))


def test_a_backup_does_not_change_the_journal(own: FilledBox, tmp_path: Path) -> None:
    """Not even where a daemon was killed and its write-ahead log is still there."""
    killed = tmp_path / "killed"
    shutil.copytree(own.state, killed)
    with Journal(own.state) as journal:
        MachineJournal(journal, "pump02").record(RAISED, RAISED_AT, "v1")
        for file in own.state.glob(f"{FILE_NAME}*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, killed)
    (killed / f"{FILE_NAME}-shm").unlink(missing_ok=True)
    before = {p.name: p.read_bytes() for p in killed.glob(f"{FILE_NAME}*")}
    assert before[f"{FILE_NAME}-wal"]
    write_backup(tmp_path / "x.tar", BoxFolders(own.models, killed), box="edge", now=NOW)
    assert {n: (killed / n).read_bytes() for n in before} == before
    folders = BoxFolders(tmp_path / "models", tmp_path / "restored")
    restore(tmp_path / "x.tar", folders)
    with closing(sqlite3.connect(folders.state / FILE_NAME)) as database:
        assert database.execute("SELECT count(*) FROM alarms").fetchone() == (2,)
