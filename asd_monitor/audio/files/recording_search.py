"""Search for recordings below a path, in natural order."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from asd_monitor.errors import OperationError, UsageError
from asd_monitor.wording import count, printable

_SUFFIXES = "wav wave flac ogg oga opus mp3 aif aiff aifc au snd caf w64 rf64"
SUFFIXES = frozenset(f".{name}" for name in _SUFFIXES.split())
"""File name suffixes of recordings in a folder, in lower case; the search ignores case."""


_BESIDE = frozenset({".json", ".part"})
"""Suffixes of what `record` writes beside a recording."""
_SUFFIXES_LISTED = 5


@dataclass(frozen=True, slots=True)
class FoundRecordings:
    """The result of a search."""

    paths: tuple[Path, ...]
    notices: tuple[str, ...]
    """One line for each kind of file that was left out."""


class RecordingNotFoundError(UsageError):
    """The file or folder does not exist."""


def not_found(path: Path) -> RecordingNotFoundError:
    """Return the error for a path that does not exist."""
    return RecordingNotFoundError(f"{printable(path)}: no such file or folder: correct the path")


def no_permission(path: Path) -> OperationError:
    """Return the error for a file or folder that this user may not read."""
    return OperationError(
        f"{printable(path)}: no permission to read it: allow this user to (chmod -R o+rX on it, "
        "o+x on the folders above it)"
    )


def natural_order(path: Path) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key that places ``2.wav`` before ``10.wav``, folder by folder."""
    pieces = re.split(r"(\d+)", str(path).casefold())
    return tuple(
        (0, int(piece), piece) if piece.isdigit() and piece.isascii() else (1, 0, piece)
        for piece in pieces
        if piece
    )


def find_recordings(path: Path) -> list[Path]:
    """Return the paths that `search_recordings` finds."""
    return list(search_recordings(path).paths)


def search_recordings(path: Path) -> FoundRecordings:
    """Return a file itself, or the recordings below a folder in natural order.

    Links to folders are followed, each folder once.  In a folder, files without one of the
    `SUFFIXES` and folders that this user may not list are left out with a notice; hidden files and
    what `record` writes beside a recording are left out.

    Raises:
        RecordingNotFoundError: the path does not exist.
        UsageError: the folder contains no recording.
        OperationError: no permission.

    """
    try:
        if not path.is_dir():
            if not path.exists():
                raise not_found(path)
            return FoundRecordings((path,), ())
        os.scandir(path).close()  # a folder below it that cannot be listed is left out only
    except PermissionError as error:
        raise no_permission(Path(error.filename or path)) from error
    except (OSError, ValueError) as error:
        raise OperationError(f"{printable(path)}: cannot be read: {error}: check it") from error
    search = _Search()
    search.run(path)
    notices = tuple(search.notices(path))
    if not search.found:
        raise UsageError(
            f"{printable(path)}: no recording in this folder: put WAV or FLAC files there"
            + (f" ({notices[0].partition(': ')[2]})" if notices else "")
        )
    found = sorted(search.found, key=lambda each: natural_order(each.relative_to(path)))
    return FoundRecordings(tuple(found), notices)


@dataclass(slots=True)
class _Search:
    """A search through a folder and those below it."""

    found: list[Path] = field(default_factory=list)
    _other: Counter[str] = field(default_factory=Counter)  # suffixes of files left out
    _failures: list[str] = field(default_factory=list)

    def run(self, top: Path) -> None:
        """Search a folder and those below it, each once."""
        seen: set[tuple[int, int]] = set()  # device and inode of each folder
        due = [top]
        while due:
            folder = due.pop()
            try:
                status = folder.stat()
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
                with os.scandir(folder) as entries:
                    due += self._add(sorted(entries, key=lambda each: each.name))
            except OSError as error:
                self._failures.append(
                    f"{printable(folder)}: folder left out ({error.strerror}): allow this user to "
                    "read it"
                )

    def _add(self, entries: list[os.DirEntry[str]]) -> list[Path]:
        """Note the recordings among the entries of a folder; return the folders."""
        folders = []
        for entry in entries:
            path = Path(entry.path)
            if entry.name.startswith("."):
                continue
            if _is_folder(entry):
                folders.append(path)
            elif path.suffix.lower() in SUFFIXES:
                self.found.append(path)
            elif path.suffix.lower() not in _BESIDE:
                self._other[path.suffix.lower() or "no suffix"] += 1
        return folders

    def notices(self, path: Path) -> Iterator[str]:
        """Iterate over what was left out."""
        yield from self._failures
        if self._other:
            listed = [printable(name) for name, _ in self._other.most_common(_SUFFIXES_LISTED)]
            if len(self._other) > _SUFFIXES_LISTED:
                listed.append("…")
            yield (
                f"{printable(path)}: {count(self._other.total(), 'file')} left out, by the suffix "
                f"no recording ({', '.join(listed)}): name a recording among them by itself"
            )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, which is reported when it is opened
        return False
