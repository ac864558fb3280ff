"""A restoration that fails or is killed leaves the old or the new folders."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from asd_monitor.backup import exchange as exchange_module
from asd_monitor.backup.archive import read_archive
from asd_monitor.backup.restoring import restore_backup
from asd_monitor.backup.sources import BoxFolders
from asd_monitor.backup.writing import write_backup
from asd_monitor.errors import OperationError
from asd_monitor.journal.journal_file import FILE_NAME
from tests.backup.conftest import NOW, STAMP, restore
from tests.doubles.command_line import without_privileges
from tests.doubles.filled_box import FilledBox, add_alarm, contents_of


def everything(box: FilledBox) -> dict[str, object]:
    return contents_of(box.state.parent)


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
        for kept in ("models.before-restore-x/fan01/v1/x", "state.before-restore-x/y"):
            assert files.get(kept, _mark("old")) == _mark("old")
        assert _mark("old") in [v for n, v in files.items() if n.endswith("/y")]
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
