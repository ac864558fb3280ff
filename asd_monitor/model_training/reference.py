"""Recordings of normal sound → windows to learn from, and what was left out of them.

Nothing is lost silently: what is not used, or is worse than it could be, is a notice, a
line that names the file.  Memory is bounded: sound is streamed, and of hours of it pieces
are taken evenly.  Pieces and not single windows, because how high the alarm score of
normals gets depends on how alike neighbouring windows are.
"""

from __future__ import annotations

import glob
import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from asd_monitor.audio.files.recordings import (
    BY_OPTION,
    RecordingNotFoundError,
    RecordingReader,
    find_recordings,
    natural_order,
)
from asd_monitor.dsp.front_end import MIN_RATE_HZ, FrontEnd, front_end_for
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.errors import AsdMonitorError, UsageError
from asd_monitor.features.windows import Window
from asd_monitor.pipeline import WindowExtractor
from asd_monitor.records import Block, Samples
from asd_monitor.wording import length

LEAST_S = 60.0  # of usable sound, to train
MOST_WINDOWS = 10_000  # learned; more take time and memory and teach little
PIECE_S = 20.0  # of longer sound, pieces of this length are taken
CONSTANT_S = 0.5  # samples that do not change for so long are no sound
CLIPPED = 0.9995  # of full scale
CLIPPED_SHARE = 1e-4  # of a file's samples: reported

Progress = Callable[[str, float], None]
"""Told what is being done and which share of that (0 … 1) is over."""


def no_progress(what: str, share: float) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class SoundFile:
    """One recording that can be read."""

    path: Path
    sha256: str
    rate_hz: int
    seconds: float
    modified: datetime  # UTC


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """The windows of a gapless piece of a recording; they count samples at the front end's rate."""

    file: SoundFile
    windows: tuple[Window, ...]
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What can be learned from."""

    front_end: FrontEnd
    segments: tuple[Segment, ...]
    files: tuple[SoundFile, ...]
    every: int  # one piece in so many is taken
    notices: tuple[str, ...]
    encoders: tuple[Encoder, ...] = ()  # whose vectors the windows have

    @property
    def usable_s(self) -> float:
        """Seconds of sound that windows were made of."""
        return sum(segment.seconds for segment in self.segments)

    @property
    def windows(self) -> list[Window]:
        """All windows, in order."""
        return [window for segment in self.segments for window in segment.windows]

    def lists(self) -> list[Sequence[Window]]:
        """Return the windows stretch by stretch, as a detector is fitted to them."""
        return [segment.windows for segment in self.segments]


def expand_paths(paths: Iterable[str | Path]) -> list[Path]:
    """Return the recordings that files, folders and patterns such as ``*.wav`` stand for.

    Raises:
        UsageError: one of them stands for nothing.
        OperationError: no permission to look into a folder.

    """
    found: dict[Path, None] = {}
    for text in paths:
        path = Path(text).expanduser()
        hits = [path]
        if glob.has_magic(str(path)) and not path.exists():
            hits = sorted(_matches(path), key=natural_order)
            if not hits:
                raise RecordingNotFoundError(f"{path}: no file matches: correct the pattern")
        for hit in hits:
            found.update(dict.fromkeys(find_recordings(hit)))
    return list(found)


def _matches(pattern: Path) -> Iterator[Path]:
    plain = [part for part in pattern.parts if part != pattern.anchor]
    return Path(pattern.anchor).glob(str(Path(*plain)))


def read_reference(
    paths: Sequence[Path],
    *,
    window_s: float = 1.984,
    hop_s: float = 0.512,
    channel: int | None = None,
    other_channel: str | None = BY_OPTION,
    encoders: Sequence[Encoder] = (),
    progress: Progress = no_progress,
) -> Reference:
    """Read recordings of normal sound; files that cannot be read are noticed and passed over.

    So are encoders that cannot look at sound of this rate or through windows of this length.
    ``other_channel`` is for `RecordingReader`.

    Raises:
        UsageError: no file is a recording that can be used.
        OperationError: no file could be read, for want of permission.

    """
    notices: list[str] = []
    files = _survey(paths, channel, notices, progress)
    try:
        front_end = front_end_for(min(file.rate_hz for file in files), window_s, hop_s)
    except ValueError as error:
        raise UsageError(f"window_s {window_s:g}, hop_s {hop_s:g}: {error}") from error
    if len(rates := {file.rate_hz for file in files}) > 1:
        told = ", ".join(f"{rate} Hz" for rate in sorted(rates))
        notices.append(f"the recordings have several rates ({told}): the lowest one decides")
    usable = _usable(encoders, front_end, notices)
    total_s = sum(file.seconds for file in files)
    every = max(1, -int(-total_s / front_end.hop_s // MOST_WINDOWS))
    if every > 1:
        notices.append(
            f"{length(total_s)} of sound: {PIECE_S:g} s of every {every * PIECE_S:g} s are learned"
        )
    segments: list[Segment] = []
    done_s = 0.0
    for file in files:

        def tell(seconds: float, before_s: float = done_s) -> None:
            progress("listening", min(1.0, (before_s + seconds) / max(total_s, 1e-9)))

        pieces = _Pieces(round(PIECE_S * file.rate_hz), every, round(done_s * file.rate_hz))
        segments += _stretches_of(
            file,
            front_end,
            pieces,
            encoders=usable,
            channel=channel,
            other_channel=other_channel,
            notices=notices,
            tell=tell,
        )
        done_s += file.seconds
    return Reference(front_end, tuple(segments), tuple(files), every, tuple(notices), usable)


def _usable(
    encoders: Sequence[Encoder], front_end: FrontEnd, notices: list[str]
) -> tuple[Encoder, ...]:
    misfits = [(encoder, encoder.incompatibility(front_end)) for encoder in encoders]
    notices.extend(
        f"the network {encoder.name} is left out, the other views stay: {incompatibility}"
        for encoder, incompatibility in misfits
        if incompatibility is not None
    )
    return tuple(encoder for encoder, incompatibility in misfits if incompatibility is None)


def require_duration(reference: Reference, least_s: float = LEAST_S) -> None:
    """Refuse too little.

    Raises:
        UsageError: less than ``least_s`` of usable sound.

    """
    if reference.usable_s < least_s:
        missing_s = math.ceil(least_s - reference.usable_s)
        raise UsageError(
            f"{reference.usable_s:.0f} s of usable sound are too little, at least {least_s:.0f} s "
            f"are needed: record {missing_s} s more of the machine's normal sound"
        )


def _survey(
    paths: Sequence[Path], channel: int | None, notices: list[str], progress: Progress
) -> list[SoundFile]:
    """Look into each file; return those that can be heard, each content once."""
    files: list[SoundFile] = []
    seen: dict[str, Path] = {}
    refusals: list[AsdMonitorError] = []
    for number, path in enumerate(paths):
        progress("opening the recordings", number / len(paths))
        try:
            file = inspect_recording(path, channel)
            if file.rate_hz < MIN_RATE_HZ:
                raise UsageError(
                    f"{path}: {file.rate_hz} Hz is too low to hear a machine: "
                    f"record at {MIN_RATE_HZ} Hz or more"
                )
        except AsdMonitorError as error:
            refusals.append(error)
            continue
        if file.sha256 in seen:
            notices.append(f"{path}: the same as {seen[file.sha256]}: counted once")
            continue
        seen[file.sha256] = path
        files.append(file)
    if not files:
        raise refusals[0]
    notices.extend(f"left out: {error}" for error in refusals)
    return files


def inspect_recording(path: Path, channel: int | None = None) -> SoundFile:
    """Return what a recording is.  Raises UsageError and OperationError, as its reader."""
    with RecordingReader(path, channel) as reader:
        seconds, rate_hz = reader.frames / reader.rate_hz, reader.rate_hz
    with path.open("rb") as plain:
        digest = hashlib.file_digest(plain, "sha256").hexdigest()
    modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return SoundFile(path, digest, rate_hz, seconds, modified)


def _stretches_of(
    file: SoundFile,
    front_end: FrontEnd,
    pieces: _Pieces,
    *,
    encoders: Sequence[Encoder],
    channel: int | None,
    other_channel: str | None,
    notices: list[str],
    tell: Callable[[float], None],
) -> list[Segment]:
    windows = WindowExtractor(front_end, file.rate_hz, encoders)
    cutter = ConstantRunRemover(round(CONSTANT_S * file.rate_hz))
    segments: list[Segment] = []
    kept: list[Window] = []
    begin = end = clipped = total = 0

    def finish() -> None:
        kept.extend(windows.finish())
        if kept:
            placed = tuple(_at_rate(window, file.rate_hz, front_end.rate_hz) for window in kept)
            segments.append(Segment(file, placed, (end - begin) / file.rate_hz))
            kept.clear()

    with RecordingReader(file.path, channel, other=other_channel) as reader:
        for block in cutter.cut(pieces.of(reader.blocks())):
            if block.start != end:
                finish()
                begin = block.start
            end = block.end
            total += len(block.samples)
            clipped += int(np.count_nonzero(np.abs(block.samples) >= CLIPPED))
            kept.extend(windows.push(block))
            tell(end / file.rate_hz)
        finish()
        notices.extend(reader.notices)
    usable = sum(segment.seconds for segment in segments)
    if cutter.dropped:
        notices.append(
            f"{file.path}: {cutter.dropped / file.rate_hz:.1f} s of dead silence "
            "(samples that do not change) left out"
        )
    short_s = total / file.rate_hz - usable
    if short_s > (front_end.window_s if segments else 0):
        notices.append(
            f"{file.path}: {short_s:.1f} s in pieces shorter than a window "
            f"({front_end.window_s:.2f} s) left out"
        )
    if clipped > CLIPPED_SHARE * total:
        notices.append(
            f"{file.path}: clipped in {100 * clipped / total:.2g} % of its samples: "
            "lower the gain and record it again"
        )
    return segments


def _at_rate(window: Window, from_hz: int, to_hz: int) -> Window:
    if from_hz == to_hz:
        return window
    ratio = to_hz / from_hz
    return Window(round(window.start * ratio), round(window.end * ratio), window.features)


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Every so many pieces of a length in samples, the file beginning at ``offset`` of them."""

    length: int
    every: int
    offset: int

    def of(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Yield what of the blocks lies in the pieces taken."""
        for block in blocks:
            if self.every == 1:
                yield block
                continue
            start = block.start
            while start < block.end:
                number, within = divmod(start + self.offset, self.length)
                end = min(block.end, start + self.length - within)
                if number % self.every == 0:
                    yield Block(start, block.samples[start - block.start : end - block.start])
                start = end


class ConstantRunRemover:
    """Takes constant runs of at least ``patience`` samples out of a stream; gaps remain."""

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._held: Samples = np.zeros(0, np.float32)  # the constant run that the stream ends with
        self._end: int | None = None
        self.dropped = 0  # samples

    def cut(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Yield what changes, in blocks that join where nothing was taken out."""
        for block in blocks:
            if not len(block.samples):
                continue
            if block.start != self._end:
                yield from self._let_go()
            self._end = block.end
            yield from self._cut(np.concatenate([self._held, block.samples]))
        yield from self._let_go()

    def _cut(self, samples: Samples) -> Iterator[Block]:
        assert self._end is not None  # noqa: S101 - cut() sets it
        origin = self._end - len(samples)
        edges = np.flatnonzero(samples[1:] != samples[:-1]) + 1
        starts = np.concatenate(([0], edges))
        last = int(starts[-1])
        begin = 0
        for run in np.flatnonzero(np.diff(starts) >= self._patience):
            first, past = int(starts[run]), int(starts[run + 1])
            self.dropped += past - first
            if first > begin:
                yield Block(origin + begin, samples[begin:first])
            begin = past
        if last > begin:
            yield Block(origin + begin, samples[begin:last])
        # A run that is dead already need not be held in full, however long it lasts.
        excess = max(0, len(samples) - last - self._patience)
        self.dropped += excess
        self._held = samples[last + excess :]

    def _let_go(self) -> Iterator[Block]:
        if self._end is not None and len(self._held):
            if len(self._held) >= self._patience:
                self.dropped += len(self._held)
            else:
                yield Block(self._end - len(self._held), self._held)
        self._held = np.zeros(0, np.float32)
