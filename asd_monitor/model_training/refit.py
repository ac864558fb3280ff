"""Refit during commissioning: the training windows and live blocks → an extended detector.

The selection of live blocks is `admit`; everything else only carries it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from asd_monitor.alarm.budget import alarm_rule
from asd_monitor.commissioning.blocks import Layout, LiveBlock
from asd_monitor.config.settings import AlarmSettings
from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fit import FittedDetector, fit_detector
from asd_monitor.errors import OperationError
from asd_monitor.features.windows import Window
from asd_monitor.model_store.reference_file import StoredReference
from asd_monitor.records import Thresholds
from asd_monitor.wording import count

MAX_MOVED = 3.0
"""A model that moved further, in decades of probability, is a candidate."""
MIN_RETURNS = 3
"""Separate occasions on which sound beyond the warning threshold must occur to be learned."""
RETURN_APART_S = 3600.0

_LEVEL_BAND_DB = 3.0

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class FirstModelReference:
    """The model that was trained, and the training windows that its bundle holds."""

    detector: Detector
    reference: StoredReference


@dataclass(frozen=True, slots=True, eq=False)
class RefitResult:
    """A refitted detector and what is known of it."""

    detector: Detector
    thresholds: Thresholds
    moved: float
    """How far it moved from the first model: see `movement`."""
    candidate: bool
    """Whether it moved so far that a person must decide on its use."""
    blocks: int
    """Live blocks that were at hand."""
    admitted: int
    """Live blocks that were learned from."""
    notes: tuple[str, ...]


def refit(
    first: FirstModelReference,
    blocks: Sequence[LiveBlock],
    layout: Layout,
    settings: AlarmSettings,
) -> RefitResult:
    """Fit a detector to the training windows and to the live blocks that are admitted.

    Args:
        first: the model that was trained.
        blocks: live blocks in order of time, with the features of its front end.
        layout: the layout of their vectors.
        settings: the budgets.

    Raises:
        OperationError: the machine runs in too little of the sound.

    """
    detector = first.detector
    front_end = detector.front_end
    live = [block.windows(layout, front_end.rate_hz, front_end.window) for block in blocks]
    scores = [_typical_score(detector, windows) for windows in live]
    warning = alarm_rule(settings.criteria, detector).thresholds.warning
    admitted = admit(blocks, np.array(scores), warning)
    pieces = first.reference.pieces()
    pieces += [windows for windows, kept in zip(live, admitted, strict=True) if kept]
    try:
        fitted: FittedDetector = fit_detector(
            pieces, front_end, front_end.rate_hz, detector.encoders
        )
    except ValueError as error:
        raise OperationError(
            f"the refit failed: {error}: the model in use stays, and the next refit has more sound"
        ) from error
    learned = [
        window for windows, kept in zip(live, admitted, strict=True) if kept for window in windows
    ]
    # the bundle may hold fewer windows than the model was trained on
    quietest = [each.quietest_dbfs for each in (detector, fitted.detector)]
    extended = replace(
        fitted.detector, quietest_dbfs=min(level for level in quietest if level is not None)
    )
    moved = movement(detector, extended, learned)
    left_out = len(blocks) - int(admitted.sum())
    notes = (
        [f"{count(left_out, 'block')} beyond the warning threshold left out"] if left_out else []
    )
    if moved > MAX_MOVED:
        notes.append(f"moved by {moved:.1f}, more than {MAX_MOVED:g}: a person must decide")
    return RefitResult(
        detector=extended,
        thresholds=alarm_rule(settings.criteria, extended).thresholds,
        moved=moved,
        candidate=moved > MAX_MOVED,
        blocks=len(blocks),
        admitted=int(admitted.sum()),
        notes=tuple(notes),
    )


def admit(blocks: Sequence[LiveBlock], scores: Floats, warning: float) -> Mask:
    """Return which blocks (n,) are learned from.

    Those below the warning threshold are, and those beyond it that recur: on `MIN_RETURNS`
    occasions at least, `RETURN_APART_S` apart, at a similar level, with sound below the threshold
    in between.  What stays or grows is one occasion.  No block with an active alarm is learned.

    Args:
        blocks: n live blocks in order of time.
        scores: their typical score by the first model, (n,).
        warning: the warning threshold.

    """
    alarm = np.array([block.alarm_active for block in blocks], bool)
    below: Mask = (scores < warning) & ~alarm
    admitted: Mask = below.copy()
    occasions: dict[int, list[list[int]]] = {}
    for number in np.flatnonzero(~below & ~alarm).tolist():
        band = int(blocks[number].level_dbfs // _LEVEL_BAND_DB)
        found = occasions.setdefault(band, [])
        if not found or _apart(blocks, below, found[-1][-1], number):
            found.append([])
        found[-1].append(number)
    for found in occasions.values():
        if len(found) >= MIN_RETURNS:
            admitted[[number for occasion in found for number in occasion]] = True
    return admitted


def _apart(blocks: Sequence[LiveBlock], below: Mask, before: int, after: int) -> bool:
    """Return whether normal sound, and some time, lie between two blocks."""
    distant = blocks[after].time_s - blocks[before].time_s >= RETURN_APART_S
    return distant and bool(below[before:after].any())


def movement(first: Detector, refitted: Detector, windows: Sequence[Window]) -> float:
    """Return by how many decades the score of the windows learned from has fallen, at the median.

    0 where they had been normal already.
    """
    if not windows:
        return 0.0
    before, after = (
        np.array([window.score for window in detector.score(windows)])
        for detector in (first, refitted)
    )
    return max(0.0, float(np.median(before - after)))


def _typical_score(detector: Detector, windows: Sequence[Window]) -> float:
    return float(np.median([window.score for window in detector.score(windows)]))
