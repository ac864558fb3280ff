"""Normals → detector.

Every view is calibrated by the scores of windows that it was not fitted on: the normals
are cut into blocks of time, the blocks dealt to folds in their order, and each fold is
scored by what was fitted on the others.  Single windows are never held out, since their
neighbours share their sound.  The views that ship are then fitted on all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asd_monitor.alarm.score import AlarmScore
from asd_monitor.detector.calibration import ParetoTail
from asd_monitor.detector.detector import Detector
from asd_monitor.detector.estimators import Floats
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
"""Of the tail of fused scores that last: minutes of normals do not show how days differ."""

Stretch = Sequence[Window]
"""The windows of one gapless stretch of sound, in order; starts count at ``rate_hz``."""


@dataclass(frozen=True, slots=True, eq=False)
class FittedDetector:
    """A detector, and the scores of its normals by what had not heard them."""

    detector: Detector
    running: tuple[Stretch, ...]  # the stretches without the windows in which it is off
    by_view: Floats  # (n, views), calibrated
    fused: Floats  # (n,)
    sustained: Floats  # (m,): medians of the fused scores over the alarm score's span


def fit_detector(
    stretches: Sequence[Stretch],
    front_end: FrontEnd,
    rate_hz: int,
    encoders: Sequence[Encoder] = (),
) -> FittedDetector:
    """Fit a detector to the normals; ``rate_hz`` is that of the windows' sample indices.

    The windows were made with the same ``encoders``, whose views join the statistics'.
    Raises ValueError when fewer than 12 windows, or a single block of time, are left of a
    running machine.
    """
    windows = [window for stretch in stretches for window in stretch]
    idle_dbfs = idle_region([window.rms_dbfs for window in windows]) if windows else None
    running = without_idle(stretches, idle_dbfs)
    windows = [window for stretch in running for window in stretch]
    if len(windows) < MIN_WINDOWS:
        raise ValueError(f"{len(windows)} windows of a running machine: too few to learn from")
    spans = Spans.of(running)
    folds = assign_folds(running, rate_hz)
    if folds.max() == 0:
        raise ValueError(f"less than {2 * BLOCK_S:g} s of a running machine in one recording")
    views, held_out = [], []
    for kind in (*VIEW_KINDS, *(kind for e in encoders for kind in encoder_views(e.card))):
        raw = held_out_scores(kind, windows, spans, folds)
        back_end = kind.fit(vectors_of(windows, kind.feature), spans)
        views.append(View(kind, back_end, kind.calibrated(raw)))
        held_out.append(views[-1].tail.score(raw))
    by_view = np.stack(held_out, axis=1)
    fused = fuse(by_view)
    tail = ParetoTail.fit(fused)
    sustained = _sustained(fused, spans, front_end)
    detector = Detector(
        front_end,
        tuple(views),
        tail,
        ParetoTail.fit(sustained, MIN_SUSTAINED_SCALE),
        idle_dbfs,
        tuple(encoders),
    )
    return FittedDetector(detector, tuple(running), by_view, fused, sustained)


def _sustained(fused: Floats, spans: Spans, front_end: FrontEnd) -> Floats:
    """Return the medians of the normals' fused scores over the span of the alarm score.

    They are fused scores, not yet calibrated: what a knock among the normals does to the tail of
    single windows makes nothing here look likely that lasts.  They are those that the monitor
    forms on the same sound: idle windows are skipped within a stretch, and each stretch begins
    anew.  Where too few are found, stretches are strung together.
    """
    for breaks in (np.diff(spans.stretch, prepend=spans.stretch[:1]) != 0, np.zeros(len(fused))):
        alarm_score = AlarmScore(front_end.hop_s)
        found = []
        for score, begins in zip(fused.tolist(), breaks, strict=True):
            if begins:
                alarm_score.reset()
            smoothed = alarm_score.push(score)
            if alarm_score.full:
                found.append(smoothed)
        if len(found) >= MIN_WINDOWS:
            return np.array(found)
    return fused


def without_idle(
    stretches: Sequence[Stretch], idle_dbfs: tuple[float, float] | None
) -> list[Stretch]:
    """Return the stretches without the windows in which the machine is off."""
    if idle_dbfs is None:
        return list(stretches)
    low, high = idle_dbfs
    return [
        [window for window in stretch if not low <= window.rms_dbfs <= high]
        for stretch in stretches
    ]


def assign_folds(stretches: Sequence[Stretch], rate_hz: int) -> npt.NDArray[np.int64]:
    """Return the fold (n,) of each window: whole blocks of time, in their order."""
    blocks: list[int] = []
    block = 0
    for stretch in stretches:
        begun = stretch[0].start if stretch else 0
        for window in stretch:
            if window.start - begun >= BLOCK_S * rate_hz:
                block, begun = block + 1, window.start
            blocks.append(block)
        block += 1
    numbers = np.unique(np.array(blocks), return_inverse=True)[1]
    count = int(numbers.max()) + 1
    return np.asarray(numbers * min(FOLDS, count) // count)


def held_out_scores(
    kind: ViewKind, windows: Sequence[Window], spans: Spans, folds: npt.NDArray[np.int64]
) -> Floats:
    """Return each window's raw score (n,) by a back end that heard none of its sound."""
    vectors = vectors_of(windows, kind.feature)
    raw = np.zeros(len(vectors))
    for fold in np.unique(folds):
        out = folds == fold
        kept = np.flatnonzero(~spans.touching(out))
        raw[out] = kind.fit(vectors[kept], spans.take(kept)).score(vectors[out])
    return raw
