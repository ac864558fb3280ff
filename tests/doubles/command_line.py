"""The command line called in this process, as a user and as one who may not."""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

from asd_monitor.cli.app import main

NOBODY = 65534


@dataclass(frozen=True, slots=True)
class Called:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def verdict(self) -> str:
        """The last line on stderr."""
        return self.err.strip().splitlines()[-1]


class CommandLine:
    """Calls `asd-monitor` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._capsys, self._patch = capsys, patch

    def __call__(self, *arguments: object) -> Called:
        self._patch.setattr(sys, "argv", ["asd-monitor", *map(str, arguments)])
        self._capsys.readouterr()
        # it sets the number of threads of processes that it starts
        with mock.patch.dict(os.environ), pytest.raises(SystemExit) as ended:
            main()
        out, err = self._capsys.readouterr()
        assert "Traceback" not in err
        code = ended.value.code
        return Called(code if isinstance(code, int) else int(bool(code)), out, err)


@pytest.fixture
def command_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    monkeypatch.setenv("COLUMNS", "200")
    return CommandLine(capsys, monkeypatch)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@contextlib.contextmanager
def without_privileges() -> Iterator[None]:
    """What happens in here, root may not: modes of files count."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
