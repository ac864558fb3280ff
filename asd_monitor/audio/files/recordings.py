"""Recordings on disk, read as a stream: one reader for monitoring, training and scoring.

What a file is, its content says and not its name.  One channel is heard.  Samples that
are not numbers become a gap; a file that ends early gives what is there.  Each such
thing is a notice: a line for people that names the file.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile

from asd_monitor.errors import OperationError, UsageError
from asd_monitor.records import Block, Samples

_SUFFIXES = "wav wave flac ogg oga opus mp3 aif aiff aifc au snd caf w64 rf64"
SUFFIXES = frozenset(f".{name}" for name in _SUFFIXES.split())
"""Names in a folder that are taken for recordings, in any case of letters."""

BY_DEVICE, BY_OPTION = "`#1` at the end of the device", "`--channel 1`"
READ_S = 1.0
_LOSSY = {"MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III", "VORBIS", "OPUS"}
_LOW_RATE_HZ = 16000
_UNKNOWN_SIZE = 0xFFFFFFFF


class AbsentRecordingError(UsageError):
    """There is no such file or folder (yet)."""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A whole recording in memory."""

    rate_hz: int
    samples: Samples  # (n,), of the chosen channel
    notices: tuple[str, ...]


def natural_order(path: Path) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts ``2.wav`` before ``10.wav``, folder by folder."""
    pieces = re.split(r"(\d+)", str(path).casefold())
    return tuple(
        (0, int(piece), piece) if piece.isdigit() and piece.isascii() else (1, 0, piece)
        for piece in pieces
        if piece
    )


def find_recordings(path: Path) -> list[Path]:
    """Return the file itself, or the recordings below a folder in natural order.

    Hidden files, and what does not have one of `SUFFIXES`, are passed over in a folder.

    Raises:
        UsageError: nothing is there (`AbsentRecordingError`), or no recording is in it.
        OperationError: no permission.

    """
    try:
        if path.is_dir():
            found = list(_walk(path))
        elif path.exists():
            return [path]
        else:
            raise AbsentRecordingError(f"{path}: no such file or folder: correct the path")
    except PermissionError as error:
        raise _no_permission(Path(error.filename or path)) from error
    if not found:
        raise UsageError(f"{path}: no recording in this folder: put WAV or FLAC files there")
    return sorted(found, key=lambda each: natural_order(each.relative_to(path)))


def _walk(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise error

    for here, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(here, name)


def _no_permission(path: Path) -> OperationError:
    return OperationError(
        f"{path}: no permission to read it: allow this user to (chmod o+r, o+x on its folders)"
    )


class RecordingReader:
    """One open recording, read piece by piece in bounded memory; close it, or use ``with``.

    ``other`` tells people how to choose another channel than the first; None: they cannot.

    Raises:
        UsageError: absent, empty, not a recording, or without that channel.
        OperationError: no permission.

    """

    def __init__(
        self, path: Path, channel: int | None = None, *, other: str | None = BY_OPTION
    ) -> None:
        self.path = path
        self._other = other
        self.notices: list[str] = []
        self._file = _open(path)
        self.rate_hz: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.channel = channel or 0
        self.frames: int = self._file.frames
        """Samples of one channel, as far as the header tells truly."""
        try:
            self._look_at_header(chosen=channel is not None)
        except UsageError:
            self.close()
            raise

    def _look_at_header(self, *, chosen: bool) -> None:
        if self.channel >= self.channels:
            raise UsageError(
                f"{self.path}: there is no channel {self.channel}: "
                f"it has {self.channels}, counted from 0"
            )
        if self.frames == 0:
            raise UsageError(
                f"{self.path}: its header says that it holds no sound; if the recorder was cut "
                "off, `sox --ignore-length` can mend it, else record it again"
            )
        if self.channels > 1 and not chosen:
            choice = f"; {self._other} chooses another" if self._other else ""
            self._notice(f"{self.channels} channels: channel 0 is heard{choice}")
        if self._file.subtype in _LOSSY:
            self._notice(f"{self._file.format} inside: lossy compression hides faint faults")
        if self.rate_hz < _LOW_RATE_HZ:
            self._notice(f"{self.rate_hz} Hz: nothing above {self.rate_hz // 2} Hz can be heard")
        promised = _promised_frames(self.path)
        if promised is not None and promised > self.frames:
            self._notice(
                f"cut off: {self.frames / self.rate_hz:.1f} s of "
                f"{promised / self.rate_hz:.1f} s are there and used"
            )

    def _notice(self, text: str) -> None:
        self.notices.append(f"{self.path}: {text}")

    def blocks(self, max_samples: int | None = None) -> Iterator[Block]:
        """Iterate over the sound, from sample index 0, in blocks of at most this size.

        Two blocks that do not join have samples between them that are not numbers.
        """
        size = max_samples or max(1, round(READ_S * self.rate_hz))
        start = unusable = 0
        while True:
            try:
                frames = self._file.read(size, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                self._notice(
                    f"broken after {start / self.rate_hz:.1f} s, used up to there: {error}"
                )
                break
            if not len(frames):
                break
            samples: Samples = np.ascontiguousarray(frames[:, self.channel])
            for first, past in _finite_runs(samples):
                yield Block(start + first, samples[first:past])
                unusable -= past - first
            unusable += len(samples)
            start += len(samples)
        if unusable:
            are = (
                "1 sample is no number" if unusable == 1 else f"{unusable} samples are not numbers"
            )
            self._notice(f"{are} (NaN or infinite): left out, a gap")
        if start < self.frames and not any("broken after" in notice for notice in self.notices):
            self._notice(f"cut off: {start / self.rate_hz:.1f} s are there and used")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> RecordingReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()


def read_recording(path: Path, channel: int | None = None) -> Recording:
    """Read a whole recording into memory; hours of it belong to `RecordingReader`.

    Raises:
        UsageError: as `RecordingReader`, or some of its samples are not numbers.
        OperationError: no permission.

    """
    with RecordingReader(path, channel) as reader:
        blocks = list(reader.blocks())
        starts = [block.start for block in blocks]
        if not blocks or starts[0] or starts[1:] != [block.end for block in blocks[:-1]]:
            raise UsageError(
                f"{path}: some of its samples are not numbers (NaN or infinite): "
                "save it again from its source, as 16 or 24 bit"
            )
        samples = np.concatenate([block.samples for block in blocks])
        return Recording(reader.rate_hz, samples, tuple(reader.notices))


def _open(path: Path) -> soundfile.SoundFile:
    try:
        with path.open("rb") as plain:
            empty = not plain.read(1)
    except FileNotFoundError as error:
        raise AbsentRecordingError(f"{path}: no such file or folder: correct the path") from error
    except PermissionError as error:
        raise _no_permission(path) from error
    except OSError as error:
        raise OperationError(f"{path}: cannot be read: {error.strerror}: check the disk") from error
    if empty:
        raise UsageError(f"{path}: empty file (0 bytes): record it again")
    try:
        return soundfile.SoundFile(path)
    except soundfile.LibsndfileError as error:
        raise UsageError(
            f"{path}: not a recording that can be read ({error.error_string.rstrip('.')}): "
            "convert it to WAV or FLAC"
        ) from error
    except TypeError as error:  # what soundfile says of headerless files
        raise UsageError(f"{path}: headerless sound: convert it to WAV or FLAC") from error


def _promised_frames(path: Path) -> int | None:
    """Return the length that a WAV header claims, which libsndfile quietly corrects."""
    with path.open("rb") as plain:
        if plain.read(4) != b"RIFF":
            return None
        plain.seek(12)
        bytes_a_frame = 0
        while len(head := plain.read(8)) == 8:
            name, size = struct.unpack("<4sI", head)
            if name == b"data":
                known = bytes_a_frame and size != _UNKNOWN_SIZE
                return size // bytes_a_frame if known else None
            if name == b"fmt ":
                layout = plain.read(16)
                bytes_a_frame = int.from_bytes(layout[12:14], "little")
                size -= len(layout)
            plain.seek(size + size % 2, os.SEEK_CUR)
    return None


def _finite_runs(samples: Samples) -> list[tuple[int, int]]:
    finite = np.isfinite(samples)
    if finite.all():
        return [(0, len(samples))]
    edges = np.flatnonzero(np.diff(np.concatenate(([False], finite, [False])).astype(np.int8)))
    return [(int(first), int(past)) for first, past in edges.reshape(-1, 2)]
