"""A little sound of commissioning, to listen to: ``commissioning/<machine>/sound/*.flac``.

A piece is named by the time of its start in UTC.  Beyond `MAX_SOUND_BYTES`, which a few pieces of
48 kHz reach, those are deleted that are nearest in time to others.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import soundfile

from asd_monitor.commissioning.blocks import hour_of_day
from asd_monitor.commissioning.store_errors import CommissioningStoreError
from asd_monitor.private_files import create_private_file, create_private_folder
from asd_monitor.records import Samples

MAX_SOUND_BYTES = 3_500_000

_NAME = "%Y%m%dT%H%M%SZ"


def sound_hours(folder: Path) -> set[int]:
    """Return the hours of the day (UTC) of which there is a piece."""
    return {hour_of_day(_time_s(path)) for path in _pieces(folder)}


def write_sound(folder: Path, time_s: float, sound: Samples, rate_hz: int) -> Path:
    """Write a piece (n,) that begins at a Unix time, in s, and delete what is beyond the limit.

    Returns:
        The file, which is deleted at once where pieces close to it are stored.

    Raises:
        CommissioningStoreError: it cannot be written.

    """
    path = folder / f"{datetime.fromtimestamp(time_s, UTC).strftime(_NAME)}.flac"
    partial = path.with_suffix(".part")
    try:
        create_private_folder(folder)
        for unfinished in folder.glob("*.part"):
            unfinished.unlink()
        create_private_file(partial)
        # by name: an open file would need a callback in writable and executable memory, which the
        # service unit forbids
        soundfile.write(os.fsencode(partial), sound, rate_hz, "PCM_16", format="FLAC")
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
        _delete_redundant(folder)
    except (OSError, soundfile.SoundFileError) as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise CommissioningStoreError(
            f"{path}: the sound of commissioning cannot be written ({error}): free some space, or "
            "choose another folder with --state"
        ) from error
    return path


def delete_sound(folder: Path) -> None:
    """Delete all pieces.

    Raises:
        CommissioningStoreError: they cannot be deleted.

    """
    try:
        for path in _pieces(folder):
            path.unlink()
    except OSError as error:
        raise CommissioningStoreError(
            f"{folder}: the sound of commissioning cannot be deleted ({error}): delete it"
        ) from error


def _delete_redundant(folder: Path) -> None:
    """Delete pieces beyond the limit; one is left however long it is."""
    pieces = _pieces(folder)
    total = sum(path.stat().st_size for path in pieces)
    while total > MAX_SOUND_BYTES and len(pieces) > 1:
        path = pieces.pop(_most_redundant(pieces))
        total -= path.stat().st_size
        path.unlink()


def _most_redundant(pieces: Sequence[Path]) -> int:
    """Return the index of the later one of the two pieces that are nearest in time.

    Of equal distances the first counts, so that the pieces that are left are evenly spread.
    """
    apart_s = [_time_s(later) - _time_s(earlier) for earlier, later in pairwise(pieces)]
    return 1 + apart_s.index(min(apart_s))


def _pieces(folder: Path) -> list[Path]:
    """Return the pieces, oldest first; other files are left alone."""
    return sorted(path for path in folder.glob("*.flac") if _time_s(path) > 0)


def _time_s(path: Path) -> float:
    try:
        return datetime.strptime(path.stem, _NAME).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0
