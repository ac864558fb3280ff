"""Reader of recordings, for monitoring, training and scoring.

The format of a file is detected from its content, not its name.  One channel is read.  Unusable
samples become a gap; a truncated file delivers what it contains.  Each such finding is a
notice: a line for the user that names the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asd_monitor.audio.files.decoder import MAX_RATE_HZ, MIN_RATE_HZ, Decoder
from asd_monitor.dsp.resampling import Resampler
from asd_monitor.dsp.sample_faults import MAX_AMPLITUDE, usable_runs
from asd_monitor.errors import UsageError
from asd_monitor.records import Block, Samples, Stream
from asd_monitor.wording import count, length, printable

BY_DEVICE, BY_OPTION = "`#1` at the end of the device", "`--channel 1`"
READ_S = 1.0
MIN_RUN_S = 0.05
"""Sound between unusable samples, if shorter, is omitted with them: it holds no frame."""
_LOW_RATE_HZ = 16000
_LONG_S = 600.0
_MAX_BLOCK_VALUES = 1 << 20  # 4 MB: a header may declare 1024 channels
_MIN_UNREAD_BYTES = 256  # less is a tag or padding
_UNKNOWN_FRAMES = 1 << 62  # libsndfile's number for FLAC without a length is 2⁶³ − 1
_GAP_SAMPLES = 1  # least gap, so that the blocks around it do not join


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A whole recording in memory."""

    rate_hz: int
    samples: Samples  # (n,), of the selected channel
    notices: tuple[str, ...]


class RecordingReader:
    """An open recording, read block by block in bounded memory; a context manager.

    A length in a header is a claim: what is present is read, and a notice says where the header
    declares more or less than that.

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
        self._decoder = Decoder(path)
        self.rate_hz = self._decoder.rate_hz
        self.stream = Stream(self.rate_hz)
        self.channels = self._decoder.channels
        self.channel = channel or 0
        self._length_s: float | None = None
        try:
            self._check_header(is_selected=channel is not None)
        except UsageError:
            self.close()
            raise

    def _check_header(self, *, is_selected: bool) -> None:
        decoder = self._decoder
        if not MIN_RATE_HZ <= self.rate_hz <= MAX_RATE_HZ:
            raise UsageError(
                f"{printable(self.path)}: {self.rate_hz} Hz is no sample rate of sound: the header "
                "is damaged: record it again"
            )
        if self.channel >= self.channels:
            raise UsageError(
                f"{printable(self.path)}: no channel {self.channel}: the recording has "
                f"{count(self.channels, 'channel')}, numbered from 0: choose another"
            )
        if decoder.frames <= 0:
            raise UsageError(
                f"{printable(self.path)}: the header declares no samples: if the recording was "
                "interrupted, repair it by `sox --ignore-length`, otherwise record it again"
            )
        if self.channels > 1 and not is_selected:
            remedy = f"; {self._other} selects another" if self._other else ""
            self._notice(f"{self.channels} channels: channel 0 is used{remedy}")
        if decoder.is_lossy:
            self._notice(f"{decoder.format} data: lossy compression hides weak faults")
        if self.rate_hz < _LOW_RATE_HZ:
            self._notice(f"{self.rate_hz} Hz: contains nothing above {self.rate_hz // 2} Hz")
        declared = decoder.declared_frames()
        if declared is not None and declared > decoder.frames:
            self._notice(
                f"truncated: {self._span(decoder.frames)} of {self._span(declared)} are present "
                "and used"
            )

    def _notice(self, text: str) -> None:
        self.notices.append(f"{printable(self.path)}: {text}")

    def _span(self, samples: float) -> str:
        """Return a duration, to a tenth of a second where that is short."""
        seconds = samples / self.rate_hz
        return f"{seconds:.1f} s" if seconds < _LONG_S else length(seconds)

    def length_s(self) -> float:
        """Return the duration of what is present, in s.

        The length that a compressed file declares is taken where its last sample can be decoded;
        otherwise the file is decoded up to its end, once.
        """
        if self._length_s is None:
            frames = self._decoder.frames
            if self._decoder.bytes_per_frame is None and not _is_present(self.path, frames - 1):
                frames = _count(self.path, self._block_samples)
            self._length_s = frames / self.rate_hz
        return self._length_s

    @property
    def _block_samples(self) -> int:
        """Samples of a block, such that all channels fit into the memory for one block."""
        return max(1, min(round(READ_S * self.rate_hz), _MAX_BLOCK_VALUES // self.channels))

    def blocks(self, max_samples: int | None = None, *, from_sample: int = 0) -> Iterator[Block]:
        """Iterate over the recording in blocks of at most ``max_samples``.

        Unusable samples (`dsp.sample_faults`) are omitted: the blocks around them do not join.
        Blocks before the one with sample ``from_sample`` are skipped where the format can seek
        exactly; lossy formats cannot, and begin at sample 0.
        """
        size = min(max_samples or self._block_samples, self._block_samples)
        start = self._seek(from_sample // size * size)
        omitted = 0
        while True:
            frames, failure = self._decoder.read(size)
            samples: Samples = np.ascontiguousarray(frames[:, self.channel])
            for first, past in _long_runs(samples, round(MIN_RUN_S * self.rate_hz)):
                yield Block(self.stream, start + first, samples[first:past])
                omitted -= past - first
            omitted += len(samples)
            start += len(samples)
            if failure is not None or not len(samples):
                break
        if omitted:
            number = "1 sample is" if omitted == 1 else f"{omitted} samples are"
            self._notice(
                f"{number} not finite (NaN or infinite) or absurdly large (above "
                f"{MAX_AMPLITUDE:.0e}): omitted, a gap"
            )
        self._notice_end(start, failure)

    def _notice_end(self, end: int, failure: str | None) -> None:
        """Note why the sound ended at this sample, where it is not the end of the file."""
        decoder = self._decoder
        unread = decoder.unread_bytes()
        if decoder.frames >= _UNKNOWN_FRAMES:
            text = (
                f"the recording was interrupted (its header declares no length): {self._span(end)}"
            )
            if unread >= _MIN_UNREAD_BYTES:
                text += f" of about {self._span(self._with(unread, end))}"
            self._notice(f"{text} are present and used")
        elif failure is not None:
            self._notice(
                f"damaged after {self._span(end)} of {self._span(decoder.frames)}, used up to "
                f"there: {failure}"
            )
        elif end < decoder.frames:
            self._notice(
                f"truncated: {self._span(end)} of {self._span(decoder.frames)} are present and used"
            )
        elif unread >= _MIN_UNREAD_BYTES:
            self._notice(
                f"{self._span(end)} of about {self._span(self._with(unread, end))} read: "
                f"{unread} bytes follow the end that its header declares: "
                + (
                    "split joined recordings into files of their own"
                    if decoder.bytes_per_frame is None
                    else "if they are sound, as in a WAV file of more than 4 GB, convert it to "
                    "FLAC by `sox --ignore-length`"
                )
            )
        elif not decoder.has_end:
            self._notice(f"truncated: its end is missing, {self._span(end)} are present and used")

    def _with(self, unread: int, end: int) -> float:
        """Return the samples up to the end of the file, estimated for a compressed one."""
        decoder = self._decoder
        if decoder.bytes_per_frame is not None:
            return end + unread / decoder.bytes_per_frame
        return end * (1 + unread / max(1, decoder.read_bytes))

    def blocks_at(self, rate_hz: int, block_s: float = READ_S) -> Iterator[Block]:
        """Iterate over the recording at another sample rate, as one stream; gaps remain gaps.

        ``block_s`` of it, or what the memory for one block permits, is read at once.
        """
        size = max(1, round(block_s * self.rate_hz))
        if self.rate_hz == rate_hz:
            yield from self.blocks(size)
            return
        resampler, stream = Resampler(self.rate_hz, rate_hz), Stream(rate_hz)
        expected = position = 0
        for block in self.blocks(size):
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
        if not sample or self._decoder.is_lossy:
            return 0
        if self._decoder.seek(sample):
            return sample
        self._decoder.close()  # beyond the end of a damaged file, which fails for good
        self._decoder = Decoder(self.path)
        return 0

    def close(self) -> None:
        """Close the file."""
        self._decoder.close()

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
                f"{printable(path)}: samples are not finite (NaN or infinite), or not sound: "
                "export it again from its source, as 16 or 24 bit"
            )
        samples = np.concatenate([block.samples for block in blocks])
        return Recording(reader.rate_hz, samples, tuple(reader.notices))


def _is_present(path: Path, sample: int) -> bool:
    """Return whether a sample can be decoded."""
    with closing(Decoder(path)) as decoder:
        return decoder.seek(sample) and len(decoder.read(1)[0]) == 1


def _count(path: Path, block: int) -> int:
    """Return the samples of one channel that can be decoded from the start."""
    total = 0
    with closing(Decoder(path)) as decoder:
        while True:
            frames, failure = decoder.read(block)
            total += len(frames)
            if failure is not None or not len(frames):
                return total


def _long_runs(samples: Samples, min_run: int) -> list[tuple[int, int]]:
    """Return (first, past) of each run of usable samples.

    Runs shorter than ``min_run`` between others are omitted; the first and the last may be parts
    of longer ones.
    """
    return [
        (first, past)
        for first, past in usable_runs(samples)
        if past - first >= min_run or first == 0 or past == len(samples)
    ]
