"""The command line, called in this process, with and without root's privileges."""

import contextlib
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

from asd_monitor.cli.app import main

NOBODY = 65534


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def message(self) -> str:
        """The last line on stderr: the error message of a command that failed."""
        return self.err.strip().splitlines()[-1]


CommandLine = Callable[..., CommandResult]
"""Arguments of `asd-monitor` → its result."""


def run_command(*arguments: object) -> CommandResult:
    """Call `asd-monitor` in this process and capture its output."""
    with (
        mock.patch.object(sys, "argv", ["asd-monitor", *map(str, arguments)]),
        mock.patch.dict(os.environ),  # the command sets the number of threads
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as err,
        pytest.raises(SystemExit) as ended,
    ):
        main()
    code = ended.value.code
    assert "Traceback" not in err.getvalue()
    return CommandResult(
        code if isinstance(code, int) else int(bool(code)), out.getvalue(), err.getvalue()
    )


@pytest.fixture
def command_line(monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line on a terminal of 200 columns."""
    monkeypatch.setenv("COLUMNS", "200")
    return run_command


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """An empty folder that every user may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    _make_deletable(folder)
    shutil.rmtree(folder)


def _make_deletable(folder: Path) -> None:
    """Let an ordinary user delete a folder, whatever a test has closed in it."""
    folder.chmod(0o700)
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            _make_deletable(path)


@contextlib.contextmanager
def without_privileges() -> Iterator[None]:
    """Run the block as the user nobody, so that the modes of files apply to root as well."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
