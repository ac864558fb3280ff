"""`box`: backup and restore."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from asd_monitor.daemon.state_lock import StateLock
from tests.doubles.command_line import CommandLine
from tests.doubles.filled_box import FilledBox, add_alarm, contents_of, fill_box


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> FilledBox:
    """A box.  Read only."""
    return fill_box(tmp_path_factory.mktemp("box"))


def places(folder: Path) -> tuple[object, ...]:
    return ("--models", folder / "models", "--state", folder / "state")


def test_a_box_is_moved_to_another_computer(
    command_line: CommandLine, filled: FilledBox, tmp_path: Path
) -> None:
    home, archive, new = filled.models.parent, tmp_path / "hall.tar", tmp_path / "new"
    result = command_line("box", "backup", archive, *places(home), "--config", home / "hall.yaml")
    assert result.code == 0, result.err
    assert "box edge-07" in result.out
    assert "Passwords, keys and certificates are not part of a backup" in result.out
    assert f"{filled.password}: a secret, which is left out" in result.err
    result = command_line("box", "restore", archive, *places(new), "--config", new / "hall.yaml")
    assert result.code == 0, result.err
    assert "Next: put passwords, keys and certificates into place" in result.out
    assert contents_of(new) == contents_of(home)
    # and again, over what is there now
    add_alarm(new / "state", "pump02")
    result = command_line("box", "restore", archive, *places(new))
    assert result.code == 0, result.err
    assert "is in the archive: --config FILE restores it" in result.err
    (before,) = new.glob("state.before-restore-*")
    assert str(before) in result.out
    alarms = json.loads(
        command_line("alarms", "list", "--all", "--json", "--state", new / "state").out
    )
    assert [alarm["machine"] for alarm in alarms] == ["fan01"]


def test_results_as_json(command_line: CommandLine, filled: FilledBox, tmp_path: Path) -> None:
    home, archive, new = filled.models.parent, tmp_path / "hall.tar", tmp_path / "new"
    written = json.loads(command_line("box", "backup", archive, *places(home), "--json").out)
    assert written["bytes"] == archive.stat().st_size
    listed = json.loads(
        command_line("box", "restore", "--check", archive, *places(new), "--json").out
    )
    assert listed["members"] == written["members"]
    assert {"name", "bytes", "sha256"} == set(listed["members"][0])
    assert not new.exists()
    restored = json.loads(command_line("box", "restore", archive, *places(new), "--json").out)
    assert [(each["root"], each["before"]) for each in restored["restored"]] == [
        ("models", None),
        ("state", None),
    ]


def test_check_lists_and_changes_nothing(
    command_line: CommandLine, filled: FilledBox, tmp_path: Path
) -> None:
    archive = tmp_path / "hall.tar"
    command_line("box", "backup", archive, *places(filled.models.parent))
    result = command_line("box", "restore", archive, "--check", *places(tmp_path / "new"))
    assert result.code == 0
    assert "intact; nothing was restored" in result.out
    assert not (tmp_path / "new").exists()


def test_restore_is_refused_while_a_daemon_runs(
    command_line: CommandLine, filled: FilledBox, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(filled.models.parent, home)
    archive = tmp_path / "hall.tar"
    lock = StateLock(home / "state")
    try:
        assert command_line("box", "backup", archive, *places(home)).code == 0
        before = contents_of(home)
        result = command_line("box", "restore", archive, *places(home))
    finally:
        lock.release()
    assert result.code == 1
    assert "another daemon uses this state folder: stop it" in result.message
    assert contents_of(home) == before
    assert command_line("box", "restore", archive, *places(home)).code == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent", None, "no such file"),
        ("text", b"a letter", "is not a backup of asd-monitor"),
        ("cut", 3000, "nothing was changed; use another backup"),
    ],
)
def test_a_bad_archive_is_malformed_input(
    *,
    command_line: CommandLine,
    filled: FilledBox,
    tmp_path: Path,
    name: str,
    content: bytes | int | None,
    message: str,
) -> None:
    archive, file = tmp_path / "hall.tar", tmp_path / name
    command_line("box", "backup", archive, *places(filled.models.parent))
    if isinstance(content, int):
        file.write_bytes(archive.read_bytes()[:content])
    elif content is not None:
        file.write_bytes(content)
    result = command_line("box", "restore", file, *places(tmp_path / "new"))
    assert result.code == 2
    assert message in result.message
    assert not (tmp_path / "new").exists()


def test_an_invalid_configuration_is_refused(
    command_line: CommandLine, filled: FilledBox, tmp_path: Path
) -> None:
    (tmp_path / "bad.yaml").write_text("version: 2\n")
    result = command_line(
        "box", "backup", tmp_path / "x.tar", *places(filled.models.parent),
        "--config", tmp_path / "bad.yaml",
    )  # fmt: skip
    assert result.code == 2
    assert not (tmp_path / "x.tar").exists()
