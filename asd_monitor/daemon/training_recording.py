"""Recording of the normal sound from which a machine's first model is trained.

The sound is stored in `<state>/learning/<machine>/` as FLAC, one file per minute and a new one
after each gap: a restart loses less than a minute and goes on with the rest.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np
import soundfile
import structlog

from asd_monitor.audio.files.recordings import RecordingReader
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.private_files import create_private_file, create_private_folder
from asd_monitor.records import Block, Samples, Stream

log = structlog.get_logger()

_FILE_S = 60.0
_MIN_PIECE_S = 2.0
_WINDOW_MARGIN_S = 0.1  # a window is rounded to frames, and resampling costs a few samples


def min_piece_s(window_s: float) -> float:
    """Return the shortest duration without a gap, in s, from which training gets windows."""
    return max(_MIN_PIECE_S, window_s + _WINDOW_MARGIN_S)


class TrainingRecording:
    """The normal sound recorded so far; not thread-safe.

    Only sound that training can use counts: a piece between two gaps counts once it is long
    enough, and then remains.  `complete` therefore never becomes false again.

    The methods write to the disk and raise OperationError if that fails.

    Args:
        folder: Where the files are; created by `begin`.
        target_s: How much sound is to be recorded, in s.
        min_piece_s: Shortest piece that counts, in s: a shorter one holds no window.

    """

    def __init__(self, folder: Path, target_s: float, *, min_piece_s: float = _MIN_PIECE_S) -> None:
        self.folder = folder
        self.target_s = target_s
        self._min_piece_s = min_piece_s
        self._rate_hz: int | None = None
        self._stored = 0  # samples on the disk
        self._number = 0  # of the newest file
        self._pending: list[Samples] = []
        self._pending_samples = 0
        self._stream: Stream | None = None
        self._end: int | None = None  # sample index after the newest block

    @property
    def recorded_s(self) -> float:
        """Usable sound, in s, including what is not on the disk yet."""
        return self._usable / self._rate_hz if self._rate_hz else 0.0

    @property
    def begun(self) -> bool:
        """Whether `begin` has been called."""
        return self._rate_hz is not None

    @property
    def complete(self) -> bool:
        """Whether the target is reached."""
        return self._rate_hz is not None and self._usable >= self.target_s * self._rate_hz

    @property
    def _usable(self) -> int:
        pending = self._pending_samples
        return self._stored + (pending if self._is_usable(pending) else 0)

    def _is_usable(self, samples: float) -> bool:
        return self._rate_hz is not None and samples >= self._min_piece_s * self._rate_hz

    def begin(self, rate_hz: int) -> None:
        """Continue the recording of an earlier run at this sample rate.

        Damaged files and files of another rate are deleted.
        """
        self._rate_hz = rate_hz
        self._stored = self._number = 0
        try:
            create_private_folder(self.folder)
            for partial in self.folder.glob("*.part"):
                partial.unlink()
            for path in sorted(self.folder.glob("*.flac")):
                samples = _samples_in(path, rate_hz)
                if samples is None:
                    log.warning(
                        "training recording deleted: it is damaged or has another sample rate",
                        file=str(path),
                    )
                    path.unlink()
                    continue
                self._stored += samples if self._is_usable(samples) else 0
                self._number = max(self._number, int(path.stem))
        except (OSError, ValueError) as error:
            raise OperationError(
                f"{self.folder}: training sound cannot be stored here: {error}"
            ) from error

    def push(self, block: Block) -> None:
        """Record a block; it is ignored once the target is reached."""
        rate_hz = self._rate_hz
        if rate_hz is None or self.complete:
            return
        if block.stream is not self._stream or block.start != self._end:
            self.flush()
        self._stream, self._end = block.stream, block.end
        self._pending.append(block.samples)
        self._pending_samples += len(block.samples)
        missing = self.target_s * rate_hz - self._usable
        # a file is not closed where the rest would be too short for a usable piece of its own
        is_full = self._pending_samples >= _FILE_S * rate_hz and self._is_usable(missing)
        if missing <= 0 or is_full:
            self.flush()

    def flush(self) -> None:
        """Write the pending sound; the next block follows a gap."""
        rate_hz, samples = self._rate_hz, self._pending_samples
        pending, self._pending, self._pending_samples, self._end = self._pending, [], 0, None
        if rate_hz is None or not self._is_usable(samples):
            return
        path = self.folder / f"{self._number + 1:06}.flac"
        partial = path.with_suffix(".part")
        try:
            create_private_file(partial)
            # by name: an open file would need a callback in writable and executable memory,
            # which the service unit forbids
            sound = np.concatenate(pending)
            soundfile.write(os.fsencode(partial), sound, rate_hz, "PCM_16", format="FLAC")
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(path)
        except (OSError, soundfile.SoundFileError) as error:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            raise OperationError(
                f"{path}: the training sound cannot be written ({error}): free some space, or "
                "choose another folder with --state"
            ) from error
        self._number += 1
        self._stored += samples


def _samples_in(path: Path, rate_hz: int) -> int | None:
    """Return the number of samples in a file; None if it is damaged or of another rate.

    Raises:
        OperationError: no permission.

    """
    if not path.stem.isdecimal():
        return None
    try:
        with RecordingReader(path) as reader:
            return round(reader.length_s() * rate_hz) if reader.rate_hz == rate_hz else None
    except UsageError:
        return None
