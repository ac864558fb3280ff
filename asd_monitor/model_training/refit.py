"""Refit during commissioning: the bundle's training windows and live blocks → a new detector."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from asd_monitor.commissioning.blocks import Layout, LiveBlock
from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fit import find_blocks
from asd_monitor.errors import OperationError
from asd_monitor.features.windows import Window
from asd_monitor.microphone.baseline import MicrophoneBaseline
from asd_monitor.model_store.marked_sound import MarkedPiece
from asd_monitor.model_store.reference_file import StoredReference
from asd_monitor.model_training.admission import BlockVectors, block_deviations
from asd_monitor.model_training.extension import (
    LiveSound,
    TrainingSound,
    extend,
    ordinary_pieces,
)
from asd_monitor.model_training.marked_pieces import without_sound_of
from asd_monitor.model_training.microphone_baseline import piece_of
from asd_monitor.wording import count

MANY_LEFT_OUT, MIN_LEARNED_SHARE = 100, 0.1
"""Where so many blocks are left out and few are learned, the training recordings are not of the
machine as it runs now, or it has had a fault since."""
MAX_MOVED = 3.0
"""A model that moved further, in decades of probability, is a candidate."""


@dataclass(frozen=True, slots=True, eq=False)
class FirstModelReference:
    """The model that was trained, and the training windows that its bundle holds."""

    detector: Detector
    reference: StoredReference
    approved: Detector | None = None
    """The model in use, where a person has extended it: the distance is measured from it."""


@dataclass(frozen=True, slots=True, eq=False)
class LearnedPiece:
    """Live sound that a model was fitted to."""

    time_s: float  # Unix time
    windows: Sequence[Window]


@dataclass(frozen=True, slots=True, eq=False)
class RefitResult:
    """A refitted detector and what is known of it."""

    detector: Detector
    moved: float
    """How far it moved from the first model: see `movement`."""
    candidate: bool
    """Whether it moved so far that a person must decide on its use."""
    blocks: int
    """Live blocks that were at hand."""
    admitted: int
    """Live blocks that were learned from."""
    notes: tuple[str, ...]
    learned: tuple[LearnedPiece, ...] = ()
    """The live sound that it was fitted to, in order of time."""


def refit(
    first: FirstModelReference,
    blocks: Sequence[LiveBlock],
    layout: Layout,
    learned_until_s: float = math.inf,
    *,
    over: bool = True,
    marked: Sequence[MarkedPiece] = (),
) -> RefitResult:
    """Fit a detector to the training windows and to the live blocks that are admitted.

    Args:
        first: the model that was trained.
        blocks: live blocks in order of time, with the features of its front end.
        layout: the layout of their vectors.
        learned_until_s: age of the commissioning from which on blocks are not learned from; they
            show which earlier sound has been followed by known sound.
        over: whether this is the last refit: what it leaves out stays left out.
        marked: sound that a person has marked as normal: it is learned, also in place of the blocks
            that hold the same sound.

    Raises:
        OperationError: the machine runs in too little of the sound.

    """
    detector = first.detector
    front_end = detector.front_end
    live = _live_sound(first, blocks, layout, learned_until_s, marked=marked, over=over)
    training = TrainingSound(first.reference.pieces(), first.reference.piece_times_s())
    of_training = _windows_of_blocks(training.pieces, front_end.rate_hz)
    try:
        between = block_deviations(_block_vectors(of_training, live.pieces), len(of_training))
        extension = extend(training, live, between, front_end, detector.encoders)
    except ValueError as error:
        raise OperationError(
            f"the refit failed: {error}: the model in use stays, and the next refit has more sound"
        ) from error
    fitted, left_out = extension.fitted, extension.left_out
    numbers = np.flatnonzero(extension.learned).tolist()
    # the bundle may hold fewer windows than the model was trained on
    quietest_dbfs = min(detector.quietest_dbfs, fitted.detector.quietest_dbfs)
    extended = replace(
        fitted.detector,
        quietest_dbfs=quietest_dbfs,
        microphone=extended_baseline(detector, [live.pieces[number] for number in numbers]),
    )
    learned = [LearnedPiece(float(live.times_s[number]), live.pieces[number]) for number in numbers]
    windows = [window for piece in learned for window in piece.windows]
    moved = movement(first.approved or detector, extended, windows)
    notes = (
        [f"{count(left_out, 'block')} left out: sound that has not been followed by known sound"]
        if left_out
        else []
    )
    if left_out >= MANY_LEFT_OUT and len(numbers) < MIN_LEARNED_SHARE * left_out:
        notes.append(
            "hardly any of the live sound resembles the training recordings: if the machine is in "
            "order, record it as it runs now and train again"
        )
    if moved > MAX_MOVED:
        notes.append(f"moved by {moved:.1f}, more than {MAX_MOVED:g}: a person must decide")
    return RefitResult(
        detector=extended,
        moved=moved,
        candidate=moved > MAX_MOVED,
        blocks=int(np.count_nonzero(live.may_be_learned)),
        admitted=len(numbers),
        notes=tuple(notes),
        learned=tuple(learned),
    )


def _live_sound(
    first: FirstModelReference,
    blocks: Sequence[LiveBlock],
    layout: Layout,
    learned_until_s: float,
    *,
    marked: Sequence[MarkedPiece],
    over: bool,
) -> LiveSound:
    """Return the live blocks and the marked sound, in order of time."""
    detector = first.detector
    front_end = detector.front_end
    of_blocks = [
        MarkedPiece(
            "", block.time_s, tuple(block.windows(layout, front_end.rate_hz, front_end.window))
        )
        for block in blocks
    ]
    others = without_sound_of(of_blocks, [piece.time_s for piece in marked])
    may_be_learned = {block.time_s for block in blocks if block.age_s <= learned_until_s}
    found = sorted([*others, *marked], key=lambda piece: piece.time_s)
    pieces = [piece.windows for piece in found]
    is_marked = np.array([bool(piece.span_id) for piece in found], bool)
    return LiveSound(
        pieces,
        np.array([piece.time_s for piece in found]),
        ordinary_pieces(detector, pieces),
        np.array([piece.time_s in may_be_learned for piece in found], bool) | is_marked,
        over,
        marked=is_marked,
    )


def extended_baseline(
    first: Detector, learned: Sequence[Sequence[Window]]
) -> MicrophoneBaseline | None:
    """Return what the microphone has captured in training and in the pieces learned from."""
    if first.microphone is None:
        return None
    return first.microphone.extended([piece_of(first, piece) for piece in learned if piece])


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
        variances = [vectors.var(0) for vectors in of_training]
        found.append(BlockVectors.of(np.stack(means), variances))
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
