"""Files, folders and patterns given on a command line → paths of recordings."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path

from asd_monitor.audio.files.recording_search import (
    RecordingNotFoundError,
    find_recordings,
    natural_order,
)


def expand_paths(paths: Iterable[str | Path]) -> list[Path]:
    """Return the recordings that files, folders and patterns such as ``*.wav`` name, each once.

    Raises:
        UsageError: a path or pattern names no recording.
        OperationError: no permission to list a folder.

    """
    found: dict[Path, None] = {}
    for text in paths:
        path = Path(text).expanduser()
        matches = [path]
        if glob.has_magic(str(path)) and not path.exists():
            matches = sorted(_matches(path), key=natural_order)
            if not matches:
                raise RecordingNotFoundError(f"{path}: no file matches: correct the pattern")
        for match in matches:
            found.update(dict.fromkeys(find_recordings(match)))
    return list(found)


def _matches(pattern: Path) -> Iterator[Path]:
    relative = [part for part in pattern.parts if part != pattern.anchor]
    return Path(pattern.anchor).glob(str(Path(*relative)))
