"""An open file of sound, decoded by libsndfile.

The file is passed to libsndfile as a descriptor: its name may contain any bytes, only a regular
file is opened, and the descriptor's position shows how much of the file was read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile

from asd_monitor.audio.files import containers
from asd_monitor.audio.files.recording_search import no_permission, not_found
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.wording import printable

MIN_RATE_HZ, MAX_RATE_HZ = 1000, 1_000_000
"""A header that declares less or more is not that of a recording of sound."""
_LOSSY = {"MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III", "VORBIS", "OPUS"}
_SAMPLE_BYTES = {
    "PCM_S8": 1,
    "PCM_U8": 1,
    "PCM_16": 2,
    "PCM_24": 3,
    "PCM_32": 4,
    "FLOAT": 4,
    "DOUBLE": 8,
    "ULAW": 1,
    "ALAW": 1,
}
_UNWRITTEN = np.uint32(0x7FC0DEAD)  # a NaN that no decoder writes


class Decoder:
    """Decodes a file once, from its start or from a sample; to be closed.

    Raises:
        UsageError: absent (`RecordingNotFoundError`), empty, no regular file, or not a recording.
        OperationError: no permission, or the disk fails.

    """

    def __init__(self, path: Path) -> None:
        """Open the file and read its header."""
        self.path = path
        self.file = _open_regular(path)
        """Shares its position with libsndfile."""
        self.size = os.fstat(self.file.fileno()).st_size
        """Bytes of the file."""
        try:
            self._sound = _open_sound(path, self.file, self.size)
        except UsageError:
            self.file.close()
            raise
        self.rate_hz: int = self._sound.samplerate
        self.channels: int = self._sound.channels
        self.frames: int = self._sound.frames
        """Samples of one channel by the header and the size of the file; a claim, which may be
        absurd."""
        self.format: str = self._sound.format

    @property
    def is_lossy(self) -> bool:
        """Whether the format is a lossy one, which cannot be decoded from an exact sample."""
        return self._sound.subtype in _LOSSY

    @property
    def bytes_per_frame(self) -> int | None:
        """Bytes of one sample of all channels; None in a compressed format."""
        width = None if self.format == "FLAC" else _SAMPLE_BYTES.get(self._sound.subtype)
        return None if width is None else width * self.channels

    def declared_frames(self) -> int | None:
        """Return the samples of one channel that the header declares, see `containers`."""
        with self._position_kept():
            return containers.declared_frames(self.file)

    def unread_bytes(self) -> int:
        """Return the bytes behind those read so far that are not known to be metadata."""
        with self._position_kept() as position:
            return containers.unread_bytes(self.file, position, self.size)

    @property
    def has_end(self) -> bool:
        """Whether the format does not mark its end, or the mark is there."""
        if self.format != "OGG":
            return True
        with self._position_kept():
            return containers.has_ogg_end(self.file, self.size)

    @contextmanager
    def _position_kept(self) -> Iterator[int]:
        position = self.file.tell()
        try:
            yield position
        finally:
            self.file.seek(position)

    @property
    def read_bytes(self) -> int:
        """Position in the file up to which libsndfile has read."""
        return self.file.tell()

    def seek(self, sample: int) -> bool:
        """Move to a sample; False: that is not possible, and the decoder is of no further use."""
        try:
            return bool(self._sound.seekable() and self._sound.seek(sample) == sample)
        except soundfile.LibsndfileError:
            return False

    def read(self, frames: int) -> tuple[npt.NDArray[np.float32], str | None]:
        """Return the next samples, (n, channels), fewer at the end, and why the rest is missing.

        The reason is None where the end of the sound is reached.
        """
        buffer = np.empty((frames, self.channels), np.float32)
        bits = buffer.view(np.uint32)
        bits[:] = _UNWRITTEN
        try:
            return self._sound.read(out=buffer), None
        except soundfile.LibsndfileError as error:
            # FLAC is decoded up to the damage; other formats fill the buffer with anything
            is_written = bits[:, -1] != _UNWRITTEN if self.format == "FLAC" else np.zeros(1, bool)
            written = frames if is_written.all() else int(np.argmin(is_written))
            return buffer[:written], str(error.error_string).rstrip(".")

    def close(self) -> None:
        """Close the file."""
        self._sound.close()
        self.file.close()


def _open_regular(path: Path) -> BinaryIO:
    try:
        # without O_NONBLOCK, opening a named pipe would wait for a writer
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise not_found(path) from error
    except PermissionError as error:
        raise no_permission(path) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise OperationError(
            f"{printable(path)}: cannot be read: {reason}: check the disk"
        ) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UsageError(
            f"{printable(path)}: not a file (a folder, pipe or device): give the file of a "
            "recording"
        )
    return os.fdopen(descriptor, "rb", buffering=0)


def _open_sound(path: Path, file: BinaryIO, size: int) -> soundfile.SoundFile:
    if size == 0:
        raise UsageError(f"{printable(path)}: empty file (0 bytes): record it again")
    try:
        return soundfile.SoundFile(file.fileno(), closefd=False)
    except soundfile.LibsndfileError as error:
        raise UsageError(
            f"{printable(path)}: not a recording that can be read "
            f"({error.error_string.rstrip('.')}): convert it to WAV or FLAC"
        ) from error
