"""A file system of limited size in memory, for a state folder."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Self

_FILLER = "filler"
_CHUNK_BYTES = 4096


class SmallDisk:
    """A tmpfs that is mounted on a folder; use it with ``with``.

    Raises:
        OSError: This process may not mount.

    """

    def __init__(self, folder: Path, size_bytes: int) -> None:
        self.folder = folder
        self._size_bytes = size_bytes
        self._mounted = False

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._run("mount", "-t", "tmpfs", "-o", f"size={self._size_bytes}", "chaos")
        self._mounted = True
        return self

    def __exit__(self, *_: object) -> None:
        if self._mounted:
            self._run("umount", "--lazy")

    def fill(self) -> None:
        """Use all space that is left."""
        with (self.folder / _FILLER).open("ab", buffering=0) as filler:
            try:
                while filler.write(bytes(_CHUNK_BYTES)):
                    pass
            except OSError:
                return

    def free(self) -> None:
        """Give the space back."""
        (self.folder / _FILLER).unlink(missing_ok=True)

    def make_read_only(self) -> None:
        """Permit no write from now on."""
        self._run("mount", "-o", "remount,ro")

    def make_writable(self) -> None:
        """Permit writing again."""
        self._run("mount", "-o", "remount,rw")

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            [*command, str(self.folder)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
