"""Recordings of normal sound → the training windows of a machine.

Sound is streamed, so that memory is bounded; of more than `MAX_WINDOWS` windows, evenly spaced
excerpts are used.  Whole excerpts and not single windows, because the distribution of the alarm
score depends on the correlation of successive windows.  Everything that is left out, or limits
the model, is a notice: one line of text that names the file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from asd_monitor.audio.files.levels import LevelAccumulator, LevelSummary
from asd_monitor.audio.files.recordings import BY_OPTION, RecordingReader
from asd_monitor.config.field_types import MIN_TRAINING_S
from asd_monitor.detector.fit import FittedDetector, fit_detector
from asd_monitor.dsp.front_end import FrontEnd, front_end_for
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.explanation.sound_profile import SoundProfile
from asd_monitor.features.windows import Window
from asd_monitor.microphone.sample_counter import COUNTED_S, NO_SAMPLE_FAULTS, SampleFaults
from asd_monitor.model_training.constant_runs import ConstantRunRemover
from asd_monitor.model_training.excerpts import ExcerptSelection
from asd_monitor.model_training.profile_blocks import ProfileBlocks
from asd_monitor.model_training.sample_fault_counts import SampleFaultsOfStretches, usual_counts
from asd_monitor.model_training.sound_files import SoundFile, survey_recordings
from asd_monitor.model_training.training_progress import Progress, no_progress
from asd_monitor.pipeline import WindowExtractor
from asd_monitor.records import Block
from asd_monitor.wording import length, printable, short_duration

MAX_WINDOWS = 10_000
"""Training windows; beyond them time and memory grow, and the model hardly changes."""
EXCERPT_S = 20.0
MIN_CONSTANT_RUN_S = 0.5
"""Shorter than `DEAD_CHANNEL_S`: a drop-out must not be learned as normal sound, while a fault of
the microphone is reported only where it lasts, and until then its sound is scored."""


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """The windows of a gapless segment of a recording; indices count at the front end's rate."""

    file: SoundFile
    windows: tuple[Window, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class FileLevels:
    """The levels of what is used of a recording."""

    file: SoundFile
    summary: LevelSummary


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """The training windows of a machine, and where they come from."""

    front_end: FrontEnd
    segments: tuple[Segment, ...]
    files: tuple[SoundFile, ...]
    excerpt_stride: int  # every n-th excerpt was used; 1: all sound
    notices: tuple[str, ...]
    encoders: tuple[Encoder, ...] = ()  # whose embeddings are among the windows' features
    levels: tuple[FileLevels, ...] = ()  # of each file
    silent_s: float = 0.0  # of samples that do not change, left out
    sample_faults: SampleFaults = NO_SAMPLE_FAULTS  # counts that are usual
    profile: SoundProfile | None = None  # None: no segment is long enough

    @property
    def usable_s(self) -> float:
        """Seconds of sound in all segments."""
        return sum(segment.seconds for segment in self.segments)

    @property
    def windows(self) -> list[Window]:
        """All windows, in order of time."""
        return [window for segment in self.segments for window in segment.windows]

    @property
    def windows_by_segment(self) -> list[Sequence[Window]]:
        """The windows of each segment."""
        return [segment.windows for segment in self.segments]

    def fit(
        self,
        segments: Sequence[Segment] | None = None,
        report: Callable[[float], None] = lambda _: None,
    ) -> FittedDetector:
        """Fit a detector to these segments, or to all; ``report`` is called with the share done.

        Raises ValueError where the machine runs in too few windows, see `fit_detector`.
        """
        chosen = self.segments if segments is None else segments
        begins = [begin_s for each in chosen if (begin_s := self.begin_s(each)) is not None]
        return fit_detector(
            [segment.windows for segment in chosen],
            self.front_end,
            self.front_end.rate_hz,
            self.encoders,
            begins_s=begins if len(begins) == len(chosen) else None,
            report=report,
        )

    def begin_s(self, segment: Segment) -> float | None:
        """Return the Unix time at which a segment begins; None: it is not known."""
        began = segment.file.began
        if began is None:
            return None
        return began.timestamp() + segment.windows[0].start / self.front_end.rate_hz


def read_reference(
    paths: Sequence[Path],
    *,
    window_s: float = 1.984,
    hop_s: float = 0.512,
    channel: int | None = None,
    other_channel: str | None = BY_OPTION,
    encoders: Sequence[Encoder] = (),
    max_windows: int = MAX_WINDOWS,
    excerpt_s: float = EXCERPT_S,
    progress: Progress = no_progress,
) -> Reference:
    """Read recordings of normal sound; unreadable files are skipped with a notice.

    The lowest sampling rate of the files is the front end's upper limit.  Encoders that do not
    fit the resulting front end are left out with a notice.  ``other_channel`` is passed to
    `RecordingReader`.

    Raises:
        UsageError: no file is a usable recording, or the window does not suit the rate.
        OperationError: no file could be read, for lack of permission.

    """
    files, notices = survey_recordings(paths, channel, progress)
    try:
        front_end = front_end_for(min(file.rate_hz for file in files), window_s, hop_s)
    except ValueError as error:
        raise UsageError(f"window_s {window_s:g}, hop_s {hop_s:g}: {error}") from error
    if len(rates := {file.rate_hz for file in files}) > 1:
        listed = ", ".join(f"{rate} Hz" for rate in sorted(rates))
        notices.append(f"the recordings have several rates ({listed}): the lowest one is used")
    usable = _fitting_encoders(encoders, front_end, notices)
    total_s = sum(file.seconds for file in files)
    stride = max(1, -int(-total_s / front_end.hop_s // max_windows))
    if stride > 1:
        notices.append(
            f"{length(total_s)} of sound: {excerpt_s:g} s of every {stride * excerpt_s:g} s "
            "are used"
        )
    segments: list[Segment] = []
    levels: list[FileLevels] = []
    silent_s = done_s = 0.0
    counts: list[SampleFaults] = []
    profile = ProfileBlocks(front_end.rate_hz, total_s / stride)
    for file in files:
        extraction = _Extraction(file, front_end, usable, channel, other_channel, profile=profile)
        excerpts = ExcerptSelection(
            round(excerpt_s * file.rate_hz), stride, round(done_s * file.rate_hz)
        )
        try:
            segments += extraction.run(excerpts, partial(_report_share, progress, done_s, total_s))
            levels.append(FileLevels(file, extraction.levels.summary()))
        except (UsageError, OperationError) as error:  # since it was surveyed
            notices.append(f"left out: {error}")
        notices += extraction.notices
        silent_s += extraction.silent_s
        counts += extraction.counts.counts
        done_s += file.seconds
    return Reference(
        front_end,
        tuple(segments),
        tuple(files),
        stride,
        tuple(notices),
        usable,
        tuple(levels),
        silent_s,
        usual_counts(counts),
        profile.profile(),
    )


def _report_share(progress: Progress, done_s: float, total_s: float, file_s: float) -> None:
    progress("extracting features", min(1.0, (done_s + file_s) / max(total_s, 1e-9)))


def _fitting_encoders(
    encoders: Sequence[Encoder], front_end: FrontEnd, notices: list[str]
) -> tuple[Encoder, ...]:
    reasons = [(encoder, encoder.incompatibility(front_end)) for encoder in encoders]
    notices.extend(
        f"the encoder {encoder.name} is left out, the other views stay: {reason}"
        for encoder, reason in reasons
        if reason is not None
    )
    return tuple(encoder for encoder, reason in reasons if reason is None)


def require_duration(reference: Reference, min_s: float = MIN_TRAINING_S) -> None:
    """Check the amount of usable sound.

    Raises:
        UsageError: less than ``min_s``.

    """
    if reference.usable_s >= min_s:
        return
    if reference.silent_s > reference.usable_s:
        raise UsageError(
            f"{short_duration(reference.usable_s)} of usable sound beside "
            f"{short_duration(reference.silent_s)} of dead silence (samples that do not change): "
            "the microphone is muted or not connected: check it before recording again"
        )
    raise UsageError(too_short(reference.usable_s, min_s))


def too_short(usable_s: float, min_s: float) -> str:
    """Return the message on less usable sound than is needed."""
    return (
        f"{short_duration(usable_s)} of usable sound are too little, at least {min_s:.0f} s "
        f"are needed: record {math.ceil(min_s - usable_s)} s more of the machine's normal sound"
    )


class _Extraction:
    """Extracts the windows of one file, segment by segment."""

    def __init__(
        self,
        file: SoundFile,
        front_end: FrontEnd,
        encoders: Sequence[Encoder],
        channel: int | None,
        other_channel: str | None,
        *,
        profile: ProfileBlocks,
    ) -> None:
        self.notices: list[str] = []
        self.levels = LevelAccumulator(file.rate_hz)
        self.silent_s = 0.0
        self.counts = SampleFaultsOfStretches(file.rate_hz)
        self._file, self._front_end = file, front_end
        self._channel, self._other_channel = channel, other_channel
        self._profile = profile
        self._extractor = WindowExtractor(front_end, encoders)
        self._windows: list[Window] = []
        self._segments: list[Segment] = []

    def run(self, excerpts: ExcerptSelection, report: Callable[[float], None]) -> list[Segment]:
        """Read the file once; ``report`` is called with the seconds read."""
        file = self._file
        remover = ConstantRunRemover(round(MIN_CONSTANT_RUN_S * file.rate_hz))
        begin = end = total = 0
        with RecordingReader(file.path, self._channel, other=self._other_channel) as reader:
            for block in remover.remove(self._counted(excerpts.select(reader.blocks()))):
                if block.start != end:
                    self._end_segment(begin, end)
                    begin = block.start
                end = block.end
                total += len(block.samples)
                self.levels.push(block.samples)
                self._profile.push(block)
                self._windows += self._extractor.push(block)
                report(end / file.rate_hz)
            self._end_segment(begin, end)
            self.notices += reader.notices
        self.silent_s = remover.removed / file.rate_hz
        self._note_left_out(total)
        self._note_dropouts()
        return self._segments

    def _counted(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Yield the blocks, also what is left out later, once their faults are counted."""
        for block in blocks:
            self.counts.push(block)
            yield block

    def _end_segment(self, begin: int, end: int) -> None:
        rate_hz = self._file.rate_hz
        self._windows += self._extractor.flush()
        self._profile.end_segment()
        if self._windows:
            placed = tuple(_at_rate(w, rate_hz, self._front_end.rate_hz) for w in self._windows)
            self._segments.append(Segment(self._file, placed, (end - begin) / rate_hz))
            self._windows = []

    def _note_dropouts(self) -> None:
        affected, total = self.counts.with_dropouts, len(self.counts.counts)
        if affected:
            self.notices.append(
                f"{printable(self._file.path)}: dropouts (runs of equal samples) in {affected} of "
                f"{total} stretches of {COUNTED_S:g} s: check cable, USB port and driver of the "
                "microphone; what occurs in a tenth of all recordings is taken as usual for it"
            )

    def _note_left_out(self, total: int) -> None:
        """Note the silence, and the segments without a window, of ``total`` other samples."""
        file, front_end = self._file, self._front_end
        if self.silent_s:
            self.notices.append(
                f"{printable(file.path)}: {self.silent_s:.1f} s of dead silence "
                "(samples that do not change) left out"
            )
        short_s = total / file.rate_hz - sum(segment.seconds for segment in self._segments)
        if short_s > (front_end.window_s if self._segments else 0):
            self.notices.append(
                f"{printable(file.path)}: {short_s:.1f} s in pieces shorter than a window "
                f"({front_end.window_s:.2f} s) left out"
            )


def _at_rate(window: Window, from_hz: int, to_hz: int) -> Window:
    if from_hz == to_hz:
        return window
    ratio = to_hz / from_hz
    return Window(round(window.start * ratio), round(window.end * ratio), window.features)
