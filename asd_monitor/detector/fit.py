"""Fitting a detector to training windows.

Every view is calibrated by out-of-fold scores.  The training recordings are divided into
blocks of time, consecutive blocks form a fold, and each fold is scored by a back end that
was fitted without it and without the windows that overlap it.  Single windows are not held
out, since the windows next to them contain the same samples (blocked cross-validation:
D. R. Roberts et al., "Cross-validation strategies for data with temporal, spatial,
hierarchical, or phylogenetic structure", Ecography 40 (2017)).  The back ends of the final
detector are fitted to all training windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asd_monitor.alarm.score import AlarmScore
from asd_monitor.detector.back_end import Floats
from asd_monitor.detector.calibration import ParetoTail
from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fusion import fuse
from asd_monitor.detector.idle import idle_region
from asd_monitor.detector.spans import Spans
from asd_monitor.detector.views import VIEW_KINDS, View, ViewKind, encoder_views, vectors_of
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.features.windows import Window

FOLDS = 5
BLOCK_S = 10.0
MIN_WINDOWS = 12
MIN_SUSTAINED_SCALE = 0.05
"""Lower limit of the scale of the sustained scores' tail, in units of the fused score: minutes of
training recordings do not contain the variation from day to day."""

Segment = Sequence[Window]
"""The windows of one gapless segment of sound, in order."""


@dataclass(frozen=True, slots=True, eq=False)
class FittedDetector:
    """A detector and the out-of-fold scores of its n training windows."""

    detector: Detector
    running: tuple[Segment, ...]  # the training segments without idle windows
    by_view: Floats  # (n, v), calibrated
    fused: Floats  # (n,)
    sustained: Floats  # (k,): medians of the fused scores over the alarm span


def fit_detector(
    segments: Sequence[Segment],
    front_end: FrontEnd,
    rate_hz: int,
    encoders: Sequence[Encoder] = (),
) -> FittedDetector:
    """Fit a detector to training windows.

    Args:
        segments: the windows of each gapless segment of the training recordings.
        front_end: the front end that the windows were computed with.
        rate_hz: sampling rate of the windows' sample indices.
        encoders: the encoders that the windows were computed with; their views are added to
            those of the window statistics.

    Raises:
        ValueError: the machine runs in fewer than MIN_WINDOWS windows, or only in one block.

    """
    windows = [window for segment in segments for window in segment]
    levels_dbfs = [window.rms_dbfs for window in windows]
    idle_dbfs = idle_region(levels_dbfs) if windows else None
    running = without_idle(segments, idle_dbfs)
    windows = [window for segment in running for window in segment]
    if len(windows) < MIN_WINDOWS:
        raise ValueError(f"the machine runs in {len(windows)} windows: {MIN_WINDOWS} are needed")
    spans = Spans.of(running)
    folds = assign_folds(running, rate_hz)
    if folds.max() == 0:
        raise ValueError(f"the machine runs in less than {2 * BLOCK_S:g} s of one recording")
    views, held_out = [], []
    for kind in (*VIEW_KINDS, *(kind for e in encoders for kind in encoder_views(e.card))):
        raw = held_out_scores(kind, windows, spans, folds)
        back_end = kind.fit(vectors_of(windows, kind.feature), spans)
        views.append(View(kind, back_end, kind.calibrate(raw)))
        held_out.append(views[-1].calibration.score(raw))
    by_view = np.stack(held_out, axis=1)
    fused = fuse(by_view)
    sustained = sustained_scores(fused, spans, front_end.hop_s)
    detector = Detector(
        front_end,
        tuple(views),
        ParetoTail.fit(fused),
        ParetoTail.fit(sustained, MIN_SUSTAINED_SCALE),
        idle_dbfs,
        tuple(encoders),
        quietest_dbfs=min(levels_dbfs),
    )
    return FittedDetector(detector, tuple(running), by_view, fused, sustained)


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


def assign_folds(segments: Sequence[Segment], rate_hz: int) -> npt.NDArray[np.int64]:
    """Return the fold of each window, (n,): consecutive blocks of BLOCK_S in order."""
    blocks: list[int] = []
    block = 0
    for segment in segments:
        block_start = segment[0].start if segment else 0
        for window in segment:
            if window.start - block_start >= BLOCK_S * rate_hz:
                block, block_start = block + 1, window.start
            blocks.append(block)
        block += 1
    numbers = np.unique(np.array(blocks), return_inverse=True)[1]
    count = int(numbers.max()) + 1
    return np.asarray(numbers * min(FOLDS, count) // count)


def held_out_scores(
    kind: ViewKind, windows: Sequence[Window], spans: Spans, folds: npt.NDArray[np.int64]
) -> Floats:
    """Return the out-of-fold raw scores (n,) of a view.

    Each fold is scored by a back end fitted to the windows that do not overlap it.

    Args:
        kind: the view.
        windows: n training windows.
        spans: their positions.
        folds: the fold of each, (n,), at least two.

    """
    vectors = vectors_of(windows, kind.feature)
    raw = np.zeros(len(vectors))
    for fold in np.unique(folds):
        held_out = folds == fold
        kept = np.flatnonzero(~spans.overlapping(held_out))
        raw[held_out] = kind.fit(vectors[kept], spans.take(kept)).score(vectors[held_out])
    return raw


def sustained_scores(fused: Floats, spans: Spans, hop_s: float) -> Floats:
    """Return the medians (k,) of the fused scores over the alarm span, k ≤ n.

    They are computed as by the alarm rule on the same sound: idle windows are skipped within a
    segment, each segment starts with an empty span, and only full spans count.  If the segments
    are too short for MIN_WINDOWS of them, they are concatenated; if that is too short as well,
    the fused scores are returned.

    Fused scores are used, not calibrated ones: a single impact in the training recordings
    affects the tail of single windows but hardly the medians.

    Args:
        fused: out-of-fold fused scores of the n training windows, (n,).
        spans: positions of these windows.
        hop_s: seconds from window to window.

    """
    segment_starts = np.diff(spans.segment, prepend=spans.segment[:1]) != 0
    for restarts in (segment_starts, np.zeros(len(fused))):
        alarm_score = AlarmScore(hop_s)
        medians = []
        for score, restart in zip(fused.tolist(), restarts, strict=True):
            if restart:
                alarm_score.reset()
            median = alarm_score.push(score)
            if alarm_score.full:
                medians.append(median)
        if len(medians) >= MIN_WINDOWS:
            return np.array(medians)
    return fused
