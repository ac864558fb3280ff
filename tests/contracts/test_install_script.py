"""`scripts/install`, with a Python and a Debian that only note what they are asked for."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = """#!/bin/sh
[ "$1" = --version ] && echo "asd-monitor 1.2.3"
case "$2" in
    venv) mkdir -p "$3/bin" && touch "$3/pyvenv.cfg" && cp "$0" "$3/bin/python" ;;
    pip) echo "$@" >> "$NOTES" && here=$(dirname "$0") && cp "$here/python" "$here/asd-monitor" ;;
esac
"""
DPKG_QUERY = """#!/bin/sh
echo "$4" >> "$NOTES.packages"
echo "install ok installed"
"""


@dataclass
class Computer:
    """Where the script is run; its folders are below one."""

    folder: Path

    @property
    def venv(self) -> Path:
        return self.folder / "opt/asd-monitor"

    @property
    def command(self) -> Path:
        return self.folder / "bin/asd-monitor"

    @property
    def pip(self) -> list[str]:
        """What pip was asked for, a line for each call."""
        notes = self.folder / "notes"
        return notes.read_text().splitlines() if notes.exists() else []

    @property
    def packages(self) -> set[str]:
        """The packages of Debian that were asked for."""
        return set((self.folder / "notes.packages").read_text().split())

    def install(self, *options: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{self.folder}/programs:{os.environ['PATH']}",
            "NOTES": str(self.folder / "notes"),
            "ASD_VENV": str(self.venv),
            "ASD_BIN": str(self.command.parent),
            "ASD_PYTHON": "noting-python",
        }
        return subprocess.run(
            [ROOT / "scripts/install", *options],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    for name in ("programs", "bin", "opt"):
        (tmp_path / name).mkdir()
    for name, text in (("noting-python", PYTHON), ("dpkg-query", DPKG_QUERY)):
        program = tmp_path / "programs" / name
        program.write_text(text)
        program.chmod(0o755)
    return Computer(tmp_path)


def test_it_installs_the_page_too_and_the_command_and_may_be_repeated(computer: Computer) -> None:
    for times in (1, 2):
        done = computer.install()
        assert done.returncode == 0, done.stderr
        assert len(computer.pip) == times
        assert computer.pip[-1].endswith("--constraint constraints.txt --upgrade .[web]")
        assert computer.command.resolve() == computer.venv / "bin/asd-monitor"
        assert ("Next: sudo asd-monitor setup" in done.stderr) == (times == 1)
        assert ("sudo systemctl restart 'asd-monitor@*'" in done.stderr) == (times == 2)
    assert computer.packages >= {"libportaudio2", "python3-venv", "mosquitto"}


def test_without_a_broker(computer: Computer) -> None:
    assert computer.install("--no-broker").returncode == 0
    assert computer.packages == {"libportaudio2", "python3-venv"}


@pytest.mark.parametrize("options", [("--help",), ("--no-brokre",), ("--no-broker", "x")])
def test_help_and_a_wrong_option_install_nothing(
    computer: Computer, options: tuple[str, ...]
) -> None:
    assert computer.install(*options).returncode == int(options != ("--help",))
    assert not computer.venv.exists()


def test_a_folder_that_is_no_environment_is_left_as_it_is(computer: Computer) -> None:
    computer.venv.mkdir()
    (computer.venv / "clone").write_text("work of a week")
    done = computer.install()
    assert done.returncode == 1
    assert "is no virtual environment: move it away" in done.stderr
    assert (computer.venv / "clone").read_text() == "work of a week"
    assert computer.pip == []
