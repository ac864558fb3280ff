"""Fitting a detector to training windows.

Every view is calibrated by out-of-fold scores.  The training recordings are divided into
blocks of time, consecutive blocks form a fold, and each fold is scored by a back end that
was fitted without it and without the windows that overlap it.  Single windows are not held
out, since the windows next to them contain the same samples (blocked cross-validation:
D. R. Roberts et al., "Cross-validation strategies for data with temporal, spatial,
hierarchical, or phylogenetic structure", Ecography 40 (2017)).  The back ends of the final
detector are fitted to all training windows.

The linear trend within one session of recording is removed before the out-of-fold scores are
computed (`asd_monitor.detector.trend`).  Sound of several days is held out day by day, and its
trend is kept: it is part of how days differ.

Single events (`asd_monitor.detector.events`) are left out of the back ends and the calibrations of
the views.  They remain in the distributions of the fused score and of the evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asd_monitor.detector.back_end import Floats, Vectors
from asd_monitor.detector.calibration import FusedCalibration, ViewCalibration
from asd_monitor.detector.detector import SPECTRUM, Detector
from asd_monitor.detector.events import find_events
from asd_monitor.detector.evidence import Blocks, fit_evidence
from asd_monitor.detector.fusion import fuse
from asd_monitor.detector.idle import idle_region
from asd_monitor.detector.loudness import TrainingLevels
from asd_monitor.detector.prior import FUSED_PRIOR, view_prior
from asd_monitor.detector.spans import Mask, Spans
from asd_monitor.detector.trend import without_trend
from asd_monitor.detector.views import VIEW_KINDS, View, ViewKind, encoder_views, vectors_of
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.features.windows import Window

FOLDS = 5
BLOCK_S = 10.0
MIN_WINDOWS = 12
MIN_KEPT_WINDOWS = 4
"""Windows outside a fold that a back end can be fitted to."""
HOUR_S, DAY_S = 3600.0, 86400.0
SESSION_S = 4 * HOUR_S
"""Sound within this time is one session of recording, from which the trend is removed."""
MIN_DAYS_HELD_OUT = 3
MAX_DAY_FOLDS = 7
MIN_DAY_SHARE = 0.25
"""Share of the mean number of blocks that a day needs to count."""

Segment = Sequence[Window]
"""The windows of one gapless segment of sound, in order."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingWindows:
    """The n running windows that the views are fitted to."""

    windows: Sequence[Window]
    spans: Spans
    folds: npt.NDArray[np.int64]  # (n,)
    times_s: Floats  # (n,)

    def steady_vectors(self, vectors: Vectors) -> Vectors:
        """Return their vectors (n, d), of one session without its trend."""
        is_session = np.ptp(self.times_s) <= SESSION_S
        return without_trend(vectors, self.times_s) if is_session else vectors

    def levels(self) -> TrainingLevels:
        """Return their levels."""
        levels = np.array([[window.rms_dbfs] for window in self.windows], np.float32)
        steady = self.steady_vectors(levels)
        return TrainingLevels(
            levels[:, 0].astype(np.float64),
            steady[:, 0].astype(np.float64),
            self.spans.own_samples(),
        )


@dataclass(frozen=True, slots=True, eq=False)
class FittedDetector:
    """A detector and the out-of-fold scores of its n training windows."""

    detector: Detector
    running: tuple[Segment, ...]  # the training segments without idle windows
    by_view: Floats  # (n, v), deviations
    fused: Floats  # (n,)
    evidence: Floats  # (n,)
    blocks: Blocks


def fit_detector(
    segments: Sequence[Segment],
    front_end: FrontEnd,
    rate_hz: int,
    encoders: Sequence[Encoder] = (),
    *,
    begins_s: Sequence[float] | None = None,
    left_out: int = 0,
    heard_s: Sequence[float] = (),
    distributed: Collection[int] = (),
    report: Callable[[float], None] = lambda _: None,
) -> FittedDetector:
    """Fit a detector to training windows.

    Args:
        segments: the windows of each gapless segment of the training recordings.
        front_end: the front end that the windows were computed with.
        rate_hz: sampling rate of the windows' sample indices.
        encoders: the encoders that the windows were computed with; their views are added to
            those of the window statistics.
        begins_s: time of each segment, in any order; None: they follow each other.
        left_out: blocks of the machine's sound that were left out since they were unusual.
        heard_s: times of those of them whose hours count as heard.
        distributed: indices of segments that are known to be normal whatever the rest shows: their
            blocks are distributed over the folds, so that no fold is scored without such sound.
        report: called with the share that is done, 0 … 1.

    Raises:
        ValueError: the machine runs in fewer than MIN_WINDOWS windows, or almost only in one block.

    """
    windows = [window for segment in segments for window in segment]
    levels_dbfs = [window.rms_dbfs for window in windows]
    idle_dbfs = idle_region(levels_dbfs) if windows else None
    running = without_idle(segments, idle_dbfs)
    windows = [window for segment in running for window in segment]
    if len(windows) < MIN_WINDOWS:
        raise ValueError(f"the machine runs in {len(windows)} windows: {MIN_WINDOWS} are needed")
    spans = Spans.of(running)
    blocks = find_blocks(running, rate_hz, begins_s, left_out, heard_s)
    folds = assign_folds(blocks)
    if distributed:
        segment = np.repeat(np.arange(len(running)), [len(each) for each in running])
        folds = _distribute(folds, blocks, np.isin(segment, list(distributed)))
    if fewest_kept(spans, folds) < MIN_KEPT_WINDOWS:
        raise ValueError(f"the machine runs in less than {2 * BLOCK_S:g} s of one recording")
    kinds = (*VIEW_KINDS, *(kind for e in encoders for kind in encoder_views(e.card)))
    training = TrainingWindows(windows, spans, folds, window_times(blocks, spans, rate_hz))
    everything = np.ones(len(windows), bool)
    views, by_view = fit_views(kinds, training, everything, lambda done: report(done / 2))
    events = find_events(fuse(by_view), spans)
    if events.any():
        views, by_view = fit_views(kinds, training, ~events, lambda done: report((1 + done) / 2))
    fused = fuse(by_view)
    spectra = vectors_of(windows, SPECTRUM)
    levels = training.levels()
    evidence = fit_evidence(fused, spectra, levels, blocks)
    mode = evidence.mode_of(spectra)
    fused = evidence.raised(fused, mode, levels.steady)
    detector = Detector(
        front_end,
        views,
        FusedCalibration.fit(
            fused, FUSED_PRIOR, hours=blocks.hours, days=blocks.days, blocks=len(blocks)
        ),
        evidence,
        idle_dbfs,
        min(levels_dbfs),
        tuple(encoders),
    )
    return FittedDetector(
        detector,
        tuple(running),
        by_view,
        fused,
        evidence.evidence(fused, mode),
        blocks,
    )


def fit_views(
    kinds: Sequence[ViewKind],
    training: TrainingWindows,
    usual: Mask,
    report: Callable[[float], None] = lambda _: None,
) -> tuple[tuple[View, ...], Floats]:
    """Fit views to training windows.

    Args:
        kinds: the v views.
        training: the n training windows.
        usual: which of them (n,) the back ends and the calibrations are fitted to.
        report: called with the share of the views that is fitted.

    Returns:
        The views, and the out-of-fold deviations (n, v) of all windows.

    """
    reference = np.flatnonzero(usual)
    views, by_view = [], []
    for kind in kinds:
        vectors = vectors_of(training.windows, kind.feature)
        steady = training.steady_vectors(vectors)
        raw = held_out_scores(kind, steady, training.spans, training.folds, usual)
        calibration = ViewCalibration.fit(raw[usual], view_prior(kind.name))
        back_end = kind.fit(vectors[reference], training.spans.take(reference))
        views.append(View(kind, back_end, calibration))
        by_view.append(calibration.deviation(raw))
        report(len(views) / len(kinds))
    return tuple(views), np.stack(by_view, axis=1)


def without_idle(
    segments: Sequence[Segment], idle_dbfs: tuple[float, float] | None
) -> list[Segment]:
    """Return the segments without the windows whose level lies in the idle region."""
    if idle_dbfs is None:
        return list(segments)
    low, high = idle_dbfs
    return [
        [window for window in segment if not low <= window.rms_dbfs <= high] for segment in segments
    ]


def find_blocks(
    segments: Sequence[Segment],
    rate_hz: int,
    begins_s: Sequence[float] | None = None,
    left_out: int = 0,
    heard_s: Sequence[float] = (),
) -> Blocks:
    """Return the blocks of BLOCK_S of the windows, in order.

    Args:
        segments: the running windows of each segment.
        rate_hz: sampling rate of their sample indices.
        begins_s: time of each segment; None: the segments follow each other.
        left_out: number of blocks that were left out.
        heard_s: times of those of them whose hours count as heard.

    """
    numbers: list[int] = []
    times: list[float] = []
    for index, segment in enumerate(segments):
        if not segment:
            continue
        first = block_start = segment[0].start
        after_s = times[-1] + BLOCK_S if times else 0.0
        begin_s = after_s if begins_s is None else begins_s[index]
        times.append(begin_s)
        for window in segment:
            if window.start - block_start >= BLOCK_S * rate_hz:
                block_start = window.start
                times.append(begin_s + (block_start - first) / rate_hz)
            numbers.append(len(times) - 1)
    known_s = [*times, *heard_s]
    return Blocks(
        np.array(numbers, np.intp),
        np.array(times),
        count_hours(known_s),
        count_days(known_s),
        left_out,
    )


def window_times(blocks: Blocks, spans: Spans, rate_hz: int) -> Floats:
    """Return the time in s of each window (n,), on the clock of the blocks."""
    first = np.flatnonzero(np.diff(blocks.number, prepend=-1))  # window of each block
    within = spans.start - spans.start[first][blocks.number]
    return np.asarray(blocks.begins_s[blocks.number] + within / rate_hz)


def fewest_kept(spans: Spans, folds: npt.NDArray[np.int64]) -> int:
    """Return how many windows overlap no window of a fold, the fewest of all folds."""
    held_out = (spans.overlapping(folds == fold) for fold in np.unique(folds))
    return min(int(np.count_nonzero(~each)) for each in held_out)


def count_hours(times_s: Sequence[float]) -> int:
    """Return of how many hours blocks of sound at these times are, 1 at least."""
    return max(
        1, len(np.unique(np.floor((np.array(times_s) - min(times_s, default=0.0)) / HOUR_S)))
    )


def count_days(times_s: Sequence[float]) -> int:
    """Return of how many days blocks of sound at these times are, 1 at least.

    Days are counted from the first block; a day with few blocks does not count.
    """
    if not times_s:
        return 1
    day = np.floor((np.array(times_s) - min(times_s)) / DAY_S).astype(int)
    counts = np.bincount(day)
    counts = counts[counts > 0]
    return max(1, int(np.count_nonzero(counts >= MIN_DAY_SHARE * counts.mean())))


def assign_folds(blocks: Blocks) -> npt.NDArray[np.int64]:
    """Return the fold of each window, (n,): consecutive blocks, or days where there are several."""
    if count_days(blocks.begins_s.tolist()) >= MIN_DAYS_HELD_OUT:
        day = np.floor((blocks.begins_s - blocks.begins_s.min()) / DAY_S).astype(np.int64)
        numbers = np.unique(day, return_inverse=True)[1]
        return np.asarray((numbers % MAX_DAY_FOLDS)[blocks.number])
    count = len(blocks)
    return np.asarray(blocks.number * min(FOLDS, count) // count)


def _distribute(
    folds: npt.NDArray[np.int64], blocks: Blocks, distributed: Mask
) -> npt.NDArray[np.int64]:
    """Return the folds (n,), with the blocks of some of the windows (n,) in turn in each fold."""
    turn = np.unique(blocks.number[distributed], return_inverse=True)[1]
    names = np.unique(folds)
    result = folds.copy()
    result[distributed] = names[turn % len(names)]
    return result


def held_out_scores(
    kind: ViewKind, vectors: Vectors, spans: Spans, folds: npt.NDArray[np.int64], usual: Mask
) -> Floats:
    """Return the out-of-fold distances (n,) of a view.

    Each fold is scored by a back end fitted to the usual windows that do not overlap it.

    Args:
        kind: the view.
        vectors: the training vectors, (n, d).
        spans: the positions of their windows.
        folds: the fold of each, (n,), at least two.
        usual: which of them (n,) a back end is fitted to.

    """
    raw = np.zeros(len(vectors))
    for fold in np.unique(folds):
        held_out = folds == fold
        kept = np.flatnonzero(usual & ~spans.overlapping(held_out))
        raw[held_out] = kind.fit(vectors[kept], spans.take(kept)).score(vectors[held_out])
    return raw
