"""Refit during commissioning: the training windows and live blocks → an extended detector.

`asd_monitor.model_training.admission` selects the live blocks.  Those that are left out remain in
the fit of the tails, as blocks of at least the highest evidence, so that leaving them out does not
make the tails lighter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from asd_monitor.alarm.budget import alarm_rule
from asd_monitor.commissioning.blocks import Layout, LiveBlock
from asd_monitor.config.settings import AlarmSettings
from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fit import FittedDetector, find_blocks, fit_detector
from asd_monitor.errors import OperationError
from asd_monitor.features.windows import Window
from asd_monitor.model_store.reference_file import StoredReference
from asd_monitor.model_training.admission import BlockVectors, admit, block_deviations
from asd_monitor.records import Thresholds
from asd_monitor.wording import count

MAX_MOVED = 3.0
"""A model that moved further, in decades of probability, is a candidate."""
_BEFORE_S = 3600.0
"""Time from the last training recording to the first live block: it does not count for more."""
_MIN_SPREAD_SHARE = 1e-3  # of the median coordinate's, for one that does not vary


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
    learned_until_s: float = math.inf,
) -> RefitResult:
    """Fit a detector to the training windows and to the live blocks that are admitted.

    Args:
        first: the model that was trained.
        blocks: live blocks in order of time, with the features of its front end.
        layout: the layout of their vectors.
        settings: the budgets.
        learned_until_s: age of the commissioning from which on blocks are not learned from; they
            show which earlier sound has been followed by known sound.

    Raises:
        OperationError: the machine runs in too little of the sound.

    """
    detector = first.detector
    front_end = detector.front_end
    live = [block.windows(layout, front_end.rate_hz, front_end.window) for block in blocks]
    training = first.reference.pieces()
    of_training = _windows_of_blocks(training, front_end.rate_hz)
    try:
        between = block_deviations(_block_vectors(of_training, live), len(of_training))
    except ValueError as error:
        raise _failed(error) from error
    admission = admit(between, np.array([block.time_s for block in blocks]))
    in_time = np.array([block.age_s <= learned_until_s for block in blocks], bool)
    learned_from = np.flatnonzero(admission.learned & in_time).tolist()
    left_out = int(np.count_nonzero(in_time)) - len(learned_from)
    pieces = training + [live[number] for number in learned_from]
    times_s = first.reference.piece_times_s()
    before_s = (blocks[0].time_s if blocks else 0.0) - max(times_s, default=0.0) - _BEFORE_S
    begins_s = [before_s + time_s for time_s in times_s]
    begins_s += [blocks[number].time_s for number in learned_from]
    try:
        fitted: FittedDetector = fit_detector(
            pieces,
            front_end,
            front_end.rate_hz,
            detector.encoders,
            begins_s=begins_s,
            censored=left_out,
        )
    except ValueError as error:
        raise _failed(error) from error
    learned = [window for number in learned_from for window in live[number]]
    # the bundle may hold fewer windows than the model was trained on
    quietest = [each.quietest_dbfs for each in (detector, fitted.detector)]
    extended = replace(
        fitted.detector, quietest_dbfs=min(level for level in quietest if level is not None)
    )
    moved = movement(detector, extended, learned)
    notes = (
        [f"{count(left_out, 'block')} left out: sound that has not been followed by known sound"]
        if left_out
        else []
    )
    if moved > MAX_MOVED:
        notes.append(f"moved by {moved:.1f}, more than {MAX_MOVED:g}: a person must decide")
    return RefitResult(
        detector=extended,
        thresholds=alarm_rule(settings.criteria, extended).thresholds,
        moved=moved,
        candidate=moved > MAX_MOVED,
        blocks=int(np.count_nonzero(in_time)),
        admitted=len(learned_from),
        notes=tuple(notes),
    )


def _failed(error: ValueError) -> OperationError:
    return OperationError(
        f"the refit failed: {error}: the model in use stays, and the next refit has more sound"
    )


def _windows_of_blocks(pieces: Sequence[Sequence[Window]], rate_hz: int) -> list[Sequence[Window]]:
    """Return the windows of each ten-second block of the training recordings."""
    windows = [window for piece in pieces for window in piece]
    number = find_blocks(pieces, rate_hz).number
    return [[windows[k] for k in np.flatnonzero(number == each)] for each in np.unique(number)]


def _block_vectors(
    training: Sequence[Sequence[Window]], live: Sequence[Sequence[Window]]
) -> list[BlockVectors]:
    """Return the means of the blocks' vectors by feature; their spread is that of training."""
    found = []
    for name in training[0][0].features:
        of_training = [np.stack([window.features[name] for window in block]) for block in training]
        means = [vectors.mean(0) for vectors in of_training]
        means += [np.mean([window.features[name] for window in block], axis=0) for block in live]
        spreads = np.sqrt(np.mean([vectors.var(0) for vectors in of_training], axis=0))
        least = _MIN_SPREAD_SHARE * float(np.median(spreads)) + 1e-6
        found.append(BlockVectors(np.stack(means), np.maximum(spreads, least)))
    return found


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
