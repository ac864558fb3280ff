"""Reader of recordings, for monitoring, training and scoring.

The format of a file is detected from its content, not its name.  One channel is read.  Samples that
are not finite become a gap; a truncated file delivers what it contains.  Each such finding is a
notice: a line for the user that names the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from asd_monitor.audio.files.recording_search import no_permission, not_found
from asd_monitor.audio.files.wav_header import declared_frames
from asd_monitor.dsp.resampling import Resampler
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.records import Block, Samples, Stream
from asd_monitor.wording import count

BY_DEVICE, BY_OPTION = "`#1` at the end of the device", "`--channel 1`"
READ_S = 1.0
_LOSSY = {"MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III", "VORBIS", "OPUS"}
_LOW_RATE_HZ = 16000
_GAP_SAMPLES = 1  # least gap, so that the blocks around it do not join


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A whole recording in memory."""

    rate_hz: int
    samples: Samples  # (n,), of the selected channel
    notices: tuple[str, ...]


class RecordingReader:
    """An open recording, read block by block in bounded memory; a context manager.

    Raises:
        UsageError: absent (`RecordingNotFoundError`), empty, not a recording, or without the
            channel.
        OperationError: no permission, or the disk fails.

    """

    def __init__(
        self, path: Path, channel: int | None = None, *, other: str | None = BY_OPTION
    ) -> None:
        """``channel`` from 0; None: the first, with a notice if there are several.

        ``other`` is how the user selects another channel, for this notice; None: not possible.
        """
        self.path = path
        self._other = other
        self.notices: list[str] = []
        """One line for each finding so far."""
        self._is_truncated = False
        self._file = _open(path)
        self.rate_hz: int = self._file.samplerate
        self.stream = Stream(self.rate_hz)
        self.channels: int = self._file.channels
        self.channel = channel or 0
        self.frames: int = self._file.frames
        """Samples of one channel, as libsndfile finds from header and file size."""
        try:
            self._check_header(is_selected=channel is not None)
        except UsageError:
            self.close()
            raise

    def _check_header(self, *, is_selected: bool) -> None:
        if self.channel >= self.channels:
            raise UsageError(
                f"{self.path}: no channel {self.channel}: the recording has "
                f"{count(self.channels, 'channel')}, numbered from 0: choose another"
            )
        if self.frames == 0:
            raise UsageError(
                f"{self.path}: the header declares no samples: if the recording was interrupted, "
                "repair it by `sox --ignore-length`, otherwise record it again"
            )
        if self.channels > 1 and not is_selected:
            remedy = f"; {self._other} selects another" if self._other else ""
            self._notice(f"{self.channels} channels: channel 0 is used{remedy}")
        if self._file.subtype in _LOSSY:
            self._notice(f"{self._file.format} data: lossy compression hides weak faults")
        if self.rate_hz < _LOW_RATE_HZ:
            self._notice(f"{self.rate_hz} Hz: contains nothing above {self.rate_hz // 2} Hz")
        declared = declared_frames(self.path)
        if declared is not None and declared > self.frames:
            self._notice(
                f"truncated: {self.frames / self.rate_hz:.1f} s of "
                f"{declared / self.rate_hz:.1f} s are present and used"
            )

    def _notice(self, text: str) -> None:
        self.notices.append(f"{self.path}: {text}")

    def blocks(self, max_samples: int | None = None, *, from_sample: int = 0) -> Iterator[Block]:
        """Iterate over the recording in blocks of at most ``max_samples``.

        Samples that are not finite are omitted: the blocks around them do not join.  Blocks
        before the one with sample ``from_sample`` are skipped where the format can seek exactly;
        lossy formats cannot, and begin at sample 0.
        """
        size = max_samples or max(1, round(READ_S * self.rate_hz))
        start = self._seek(from_sample // size * size)
        omitted = 0
        while True:
            try:
                frames = self._file.read(size, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                self._is_truncated = True
                self._notice(
                    f"damaged after {start / self.rate_hz:.1f} s, used up to there: {error}"
                )
                break
            if not len(frames):
                break
            samples: Samples = np.ascontiguousarray(frames[:, self.channel])
            for first, past in _finite_runs(samples):
                yield Block(self.stream, start + first, samples[first:past])
                omitted -= past - first
            omitted += len(samples)
            start += len(samples)
        if omitted:
            count = "1 sample is" if omitted == 1 else f"{omitted} samples are"
            self._notice(f"{count} not finite (NaN or infinite): omitted, a gap")
        if start < self.frames and not self._is_truncated:
            self._notice(f"truncated: {start / self.rate_hz:.1f} s are present and used")

    def blocks_at(self, rate_hz: int) -> Iterator[Block]:
        """Iterate over the recording at another sample rate, as one stream; gaps remain gaps."""
        if self.rate_hz == rate_hz:
            yield from self.blocks()
            return
        resampler, stream = Resampler(self.rate_hz, rate_hz), Stream(rate_hz)
        expected = position = 0
        for block in self.blocks():
            if block.start != expected:
                rest = resampler.flush()
                yield Block(stream, position, rest)
                position += len(rest) + _GAP_SAMPLES
                position = max(position, round(block.start * rate_hz / self.rate_hz))
            expected = block.end
            samples = resampler.push(block.samples)
            yield Block(stream, position, samples)
            position += len(samples)
        yield Block(stream, position, resampler.flush())

    def _seek(self, sample: int) -> int:
        """Move to a sample, or to the start where that is not exact; return the position."""
        if not sample or self._file.subtype in _LOSSY or not self._file.seekable():
            return 0
        try:
            return int(self._file.seek(sample))
        except soundfile.LibsndfileError:  # beyond the end of a damaged file, which fails for good
            self._file.close()
            self._file = _open(self.path)
            return 0

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> RecordingReader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def read_recording(path: Path, channel: int | None = None) -> Recording:
    """Read a whole recording into memory; for long ones use `RecordingReader`.

    Raises:
        UsageError: as `RecordingReader`, or samples are not finite.
        OperationError: as `RecordingReader`.

    """
    with RecordingReader(path, channel) as reader:
        blocks = list(reader.blocks())
        starts = [block.start for block in blocks]
        if not blocks or starts[0] or starts[1:] != [block.end for block in blocks[:-1]]:
            raise UsageError(
                f"{path}: samples are not finite (NaN or infinite): "
                "export it again from its source, as 16 or 24 bit"
            )
        samples = np.concatenate([block.samples for block in blocks])
        return Recording(reader.rate_hz, samples, tuple(reader.notices))


def _open(path: Path) -> soundfile.SoundFile:
    try:
        with path.open("rb") as file:
            is_empty = not file.read(1)
    except FileNotFoundError as error:
        raise not_found(path) from error
    except PermissionError as error:
        raise no_permission(path) from error
    except OSError as error:
        raise OperationError(f"{path}: cannot be read: {error.strerror}: check the disk") from error
    if is_empty:
        raise UsageError(f"{path}: empty file (0 bytes): record it again")
    try:
        return soundfile.SoundFile(path)
    except soundfile.LibsndfileError as error:
        raise UsageError(
            f"{path}: not a recording that can be read ({error.error_string.rstrip('.')}): "
            "convert it to WAV or FLAC"
        ) from error
    except TypeError as error:  # soundfile's error for files without a header
        raise UsageError(f"{path}: no header: convert it to WAV or FLAC") from error


def _finite_runs(samples: Samples) -> list[tuple[int, int]]:
    """Return (first, past) of each run of finite samples."""
    finite = np.isfinite(samples)
    if finite.all():
        return [(0, len(samples))]
    edges = np.flatnonzero(np.diff(np.concatenate(([False], finite, [False])).astype(np.int8)))
    return [(int(first), int(past)) for first, past in edges.reshape(-1, 2)]
