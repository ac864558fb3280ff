"""Files, folders and patterns given on a command line → paths of recordings."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path

from asd_monitor.audio.files.recording_search import (
    FoundRecordings,
    RecordingNotFoundError,
    natural_order,
    search_recordings,
)
from asd_monitor.wording import printable


def expand_paths(paths: Iterable[str | Path]) -> list[Path]:
    """Return the paths that `expand_and_search` finds."""
    return list(expand_and_search(paths).paths)


def expand_and_search(paths: Iterable[str | Path]) -> FoundRecordings:
    """Return the recordings that files, folders and patterns such as ``*.wav`` name, each once.

    Raises:
        UsageError: a path or pattern names no recording.
        OperationError: no permission to list a folder.

    """
    found: dict[Path, None] = {}
    notices: dict[str, None] = {}
    for text in paths:
        path = Path(text).expanduser()
        matches = [path]
        if glob.has_magic(str(path)) and not path.exists():
            matches = sorted(_matches(path), key=natural_order)
            if not matches:
                raise RecordingNotFoundError(
                    f"{printable(path)}: no file matches: correct the pattern"
                )
        for match in matches:
            searched = search_recordings(match)
            found.update(dict.fromkeys(searched.paths))
            notices.update(dict.fromkeys(searched.notices))
    return FoundRecordings(tuple(found), tuple(notices))


def _matches(pattern: Path) -> Iterator[Path]:
    relative = [part for part in pattern.parts if part != pattern.anchor]
    return Path(pattern.anchor).glob(str(Path(*relative)))
