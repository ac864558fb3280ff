"""A little sound of commissioning, to listen to: ``commissioning/<machine>/sound/*.flac``.

A piece is named by the time of its start in UTC, the lower end of its band of level, and whether an
alarm was active: ``20231114T221320Z_-33dBFS_alarm.flac``.  Beyond `MAX_SOUND_BYTES`, which a few
pieces of 48 kHz reach, those are deleted that are redundant.
"""

from __future__ import annotations

import contextlib
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import soundfile

from asd_monitor.commissioning.blocks import BAND_DB, SoundMode, SoundPiece
from asd_monitor.commissioning.sound_schedule import most_redundant_piece
from asd_monitor.commissioning.store_errors import CommissioningStoreError
from asd_monitor.private_files import create_private_file, create_private_folder
from asd_monitor.records import Samples

MAX_SOUND_BYTES = 3_500_000

_TIME = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"([0-9]{8}T[0-9]{6}Z)_(-?[0-9]{1,4})dBFS(_alarm)?\.flac")


def stored_sound(folder: Path) -> list[SoundPiece]:
    """Return the pieces, oldest first."""
    return [piece for piece, _ in _pieces(folder)]


def sound_path(folder: Path, piece: SoundPiece) -> Path:
    """Return the file of a piece."""
    return folder / _name(piece)


def normal_sound(folder: Path) -> list[Path]:
    """Return the files of the pieces that were captured without an active alarm, newest first."""
    found = [path for piece, path in _pieces(folder) if not piece.mode.alarm_active]
    return found[::-1]


def write_sound(folder: Path, piece: SoundPiece, sound: Samples, rate_hz: int) -> list[SoundPiece]:
    """Write a piece (n,), and delete what is beyond the limit; return what is stored then.

    Raises:
        CommissioningStoreError: it cannot be written.

    """
    path = sound_path(folder, piece)
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
        return _delete_redundant(folder)
    except (OSError, soundfile.SoundFileError) as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise CommissioningStoreError(
            f"{path}: the sound of commissioning cannot be written ({error}): free some space, or "
            "choose another folder with --state"
        ) from error


def delete_sound(folder: Path) -> None:
    """Delete all pieces.

    Raises:
        CommissioningStoreError: they cannot be deleted.

    """
    try:
        for _, path in _pieces(folder):
            path.unlink()
    except OSError as error:
        raise CommissioningStoreError(
            f"{folder}: the sound of commissioning cannot be deleted ({error}): delete it"
        ) from error


def _delete_redundant(folder: Path) -> list[SoundPiece]:
    """Delete pieces beyond the limit, and return the others; one is left however long it is."""
    pieces = _pieces(folder)
    total = sum(path.stat().st_size for _, path in pieces)
    while total > MAX_SOUND_BYTES and len(pieces) > 1:
        _, path = pieces.pop(most_redundant_piece([piece for piece, _ in pieces]))
        total -= path.stat().st_size
        path.unlink()
    return [piece for piece, _ in pieces]


def _pieces(folder: Path) -> list[tuple[SoundPiece, Path]]:
    """Return the pieces with their files, oldest first; other files are left alone."""
    found = ((_piece(path.name), path) for path in folder.glob("*.flac"))
    return sorted((piece, path) for piece, path in found if piece is not None)


def _name(piece: SoundPiece) -> str:
    time = datetime.fromtimestamp(piece.time_s, UTC).strftime(_TIME)
    alarm = "_alarm" if piece.mode.alarm_active else ""
    return f"{time}_{piece.mode.band * BAND_DB}dBFS{alarm}.flac"


def _piece(name: str) -> SoundPiece | None:
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    time, level_dbfs, alarm = found.groups()
    try:
        time_s = datetime.strptime(time, _TIME).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
    return SoundPiece(time_s, SoundMode(int(level_dbfs) // BAND_DB, bool(alarm)))
