"""Backups that are written and restored: what is kept, and what a kill leaves."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from asd_monitor.backup import exchange as exchange_module
from asd_monitor.backup.archive import read_archive
from asd_monitor.backup.restoring import Restored, restore_backup
from asd_monitor.backup.sources import BoxFolders
from asd_monitor.backup.writing import write_backup
from asd_monitor.commissioning.store import CommissioningStore
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.journal.commands import read_journal
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.store import Journal
from asd_monitor.model_store.bundle import load_bundle
from tests.backup.conftest import NOW
from tests.doubles.command_line import without_privileges
from tests.doubles.filled_box import FilledBox, add_alarm, contents_of, fill_box
from tests.doubles.journalled_machine import NOW as RAISED_AT
from tests.doubles.journalled_machine import RAISED, state_transition

STAMP = "20261128T180000Z"


def restore(archive: Path, folders: BoxFolders) -> list[Restored]:
    with archive.open("rb") as file:
        return restore_backup(file, read_archive(file), folders, stamp=STAMP)


def test_a_restored_box_is_the_one_that_was_backed_up(
    filled: FilledBox, written: Path, tmp_path: Path
) -> None:
    folders = BoxFolders(tmp_path / "models", tmp_path / "state", tmp_path / "new.yaml")
    restored = restore(written, folders)
    assert [(each.root, each.before) for each in restored] == [
        ("models", None),
        ("state", None),
        ("config", None),
    ]
    assert contents_of(folders.models) == contents_of(filled.models)
    assert contents_of(folders.state) == contents_of(filled.state)
    assert (tmp_path / "new.yaml").read_bytes() == (filled.folders.config or Path()).read_bytes()
    before, after = read_journal(filled.state), read_journal(folders.state)
    assert before is not None
    assert after is not None
    assert after.alarms == before.alarms
    assert after.alarms[0].who == "ann"
    stores = [
        CommissioningStore(state / "commissioning/fan01") for state in (filled.state, folders.state)
    ]
    assert stores[0].progress() == stores[1].progress()
    assert stores[0].blocks()[0].vectors.tobytes() == stores[1].blocks()[0].vectors.tobytes()
    one, other = (load_bundle(models, "fan01") for models in (filled.models, folders.models))
    assert (one.version, one.sha256) == (other.version, other.sha256)


def record(journal: Journal, events: int) -> list[int]:
    """Record state transitions; return the numbers with which they are published."""
    for _ in range(events):
        MachineJournal(journal, "fan01").record(state_transition(), NOW, "v1")
    return [each.event.seq or 0 for each in journal.take_events("fan01", 10_000)]


def test_events_after_a_restore_have_numbers_above_those_published_since_the_backup(
    own: FilledBox, tmp_path: Path
) -> None:
    with Journal(own.state) as journal:
        before = record(journal, 2)
        write_backup(tmp_path / "box.tar", own.folders, box="edge", now=NOW)
        published = record(journal, 300)
    restore(tmp_path / "box.tar", own.folders)
    with Journal(own.state) as journal:
        *again, first = record(journal, 1)
    assert again == before
    assert first > max(published) + 1_000_000
    with Journal(own.state) as journal:
        assert record(journal, 1)[-1] == first + 1, "restored once more"


def test_files_are_private(written: Path, tmp_path: Path) -> None:
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    restore(written, BoxFolders(tmp_path / "box/models", tmp_path / "box/state"))
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "box").rglob("*")}
    assert modes == {0o600, 0o700}


def test_what_was_there_is_kept_beside(own: FilledBox, written: Path) -> None:
    add_alarm(own.state, "pump02")
    old_models, old_state = contents_of(own.models), contents_of(own.state)
    (own.folders.config or Path()).write_text("old")
    models, state, config = restore(written, own.folders)
    assert contents_of(models.before or Path()) == old_models
    assert contents_of(state.before or Path()) == old_state
    assert (config.before or Path()).read_text() == "old"
    assert contents_of(own.state) != old_state
    assert not list(own.state.parent.glob(".*"))


def test_models_in_the_state_folder_are_restored_with_it(tmp_path: Path) -> None:
    box = fill_box(tmp_path / "box", models_in_state=True)
    done = write_backup(tmp_path / "x.tar", box.folders, box="edge", now=NOW)
    names = [member.name for member in done.contents.members]
    assert "models/fan01/current" in names
    assert not [name for name in names if name.startswith("state/models")]
    before = contents_of(box.state)
    add_alarm(box.state, "pump02")
    shutil.rmtree(box.models / "fan01")
    state, models = restore(tmp_path / "x.tar", BoxFolders(box.models, box.state))
    assert contents_of(box.state) == before
    assert state.before == models.before is not None
    assert load_bundle(box.models, "fan01").version == "v2"


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


def test_a_full_disk_changes_nothing_at_a_restore(
    own: FilledBox, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(own)
    left = [5]

    def fail(_handle: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OperationError, match="free some space"):
        restore(written, own.folders)
    monkeypatch.undo()
    assert everything(own) == before


def test_an_archive_that_changes_meanwhile_is_refused(
    own: FilledBox, written: Path, tmp_path: Path
) -> None:
    before = everything(own)
    archive = Path(shutil.copy(written, tmp_path / "x.tar"))
    with archive.open("r+b") as file:
        contents = read_archive(file)
        (member,) = [each for each in contents.members if each.path == FILE_NAME]
        file.seek(member.offset + 50)
        file.write(b"\xff")
        file.flush()
        with pytest.raises(OperationError, match=r"alarms.db: the archive was changed"):
            restore_backup(file, contents, own.folders, stamp=STAMP)
    assert everything(own) == before


def test_a_mount_point_is_refused_with_the_remedy(
    own: FilledBox, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(own)
    monkeypatch.setattr(Path, "is_mount", lambda path: path == own.state)
    with pytest.raises(OperationError, match=r"mount point.*--models and --state"):
        restore(written, own.folders)
    assert everything(own) == before


def test_an_exchange_that_fails_is_undone(
    own: FilledBox, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The models have been exchanged when the exchange of the state fails."""
    before = everything(own)
    real = exchange_module._exchange_at_once

    def refuse(one: Path, other: Path) -> None:
        if other == own.state:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(other))
        real(one, other)

    monkeypatch.setattr(exchange_module, "_exchange_at_once", refuse)
    with pytest.raises(OperationError, match="busy"):
        restore(written, own.folders)
    assert everything(own) == before


def test_a_file_system_without_exchange_is_restored_by_renaming(
    own: FilledBox, filled: FilledBox, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(one: Path, _other: Path) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(one))

    add_alarm(own.state, "pump02")
    old = contents_of(own.state)
    monkeypatch.setattr(exchange_module, "_exchange_at_once", refuse)
    _, state, _ = restore(written, own.folders)
    assert contents_of(own.state) == contents_of(filled.state)
    assert contents_of(state.before or Path()) == old


def test_a_folder_without_permission_is_reported(written: Path, open_folder: Path) -> None:
    closed = open_folder / "x"
    closed.mkdir(mode=0o755)
    with written.open("rb") as file:
        contents = read_archive(file)
        with without_privileges(), pytest.raises(OperationError, match="Permission denied"):
            restore_backup(
                file, contents, BoxFolders(closed / "models", closed / "state"), stamp=STAMP
            )


def everything(box: FilledBox) -> dict[str, object]:
    return contents_of(box.state.parent)


DRIVER = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from asd_monitor.backup.archive import read_archive
from asd_monitor.backup.restoring import restore_backup
from asd_monitor.backup.sources import BoxFolders
import shutil

archive, folder, _, origin = map(Path, sys.argv[1:5])
ended = []

def killed_at(step):
    count = 0
    def hook(event, arguments):
        nonlocal count
        if event.split(".")[0] in {"os", "open", "shutil", "ctypes"}:
            count += 1
            if count == step:
                os._exit(137)
    return hook

step = 1
while True:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(origin, folder)
    child = os.fork()
    if child == 0:
        sys.addaudithook(killed_at(step))
        with archive.open("rb") as file:
            restore_backup(
                file, read_archive(file), BoxFolders(folder / "models", folder / "state"), stamp="x"
            )
        os._exit(0)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    print(json.dumps([step, code, {
        str(path.relative_to(folder)): path.read_bytes().hex()[:64] + str(path.stat().st_size)
        for path in sorted(folder.rglob("*")) if path.is_file()
    }]), flush=True)
    if code != 137:
        break
    step += 1
"""


@pytest.mark.timeout(300)
def test_a_kill_at_any_step_leaves_the_old_or_the_new_folder(
    own: FilledBox, written: Path, tmp_path: Path
) -> None:
    """The process ends without cleaning up before its n-th access to the disk, for every n."""
    # few files, so that there are few steps
    small = FilledBox(BoxFolders(tmp_path / "s/models", tmp_path / "s/state"), tmp_path / "none")
    for place, content in (
        (small.models / "fan01" / "v1" / "x", "old"),
        (small.state / "y", "old"),
    ):
        place.parent.mkdir(parents=True)
        place.write_text(content)
    origin = tmp_path / "origin"
    shutil.copytree(tmp_path / "s", origin)
    for name in ("models/fan01/v1/x", "state/y"):
        (tmp_path / "s" / name).write_text("new!")
    (small.state / "z").write_text("new")
    write_backup(tmp_path / "small.tar", small.folders, box="edge", now=NOW)
    arguments = (tmp_path / "small.tar", tmp_path / "work", Path.cwd(), origin)
    program = [sys.executable, "-c", DRIVER, *map(str, arguments)]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(steps) > 30
    seen = set()
    for _, _, files in steps:
        models = {n: v for n, v in files.items() if n.startswith("models/")}
        state = {n: v for n, v in files.items() if n.startswith("state/")}
        old_or_new = ["old" if "state/z" not in state else "new"]
        assert state in (
            {"state/y": _mark("old")},
            {"state/y": _mark("new!"), "state/z": _mark("new")},
        )
        assert models in (
            {"models/fan01/v1/x": _mark("old")},
            {"models/fan01/v1/x": _mark("new!")},
        )
        seen.add((models["models/fan01/v1/x"], *old_or_new))
    assert len(seen) == 3  # neither, the models, both
    assert steps[-1][1] == 0
    # what the killed ones have left does not disturb the last one, and the old is beside it
    assert steps[-1][2]["state.before-restore-x/y"] == _mark("old")


def _mark(text: str) -> str:
    return text.encode().hex() + str(len(text))


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
