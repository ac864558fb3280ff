"""Training windows and admitted live sound → an extended detector.

`asd_monitor.model_training.admission` selects the live pieces.  Those that are left out remain in
the fit of the tails, as blocks of at least the highest evidence, so that leaving them out does not
make the tails lighter.  Once it is decided that they are left out their hours count as heard, so
that a fault that begins during the commissioning does not leave the tails as wide as on that day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asd_monitor.detector.back_end import Floats
from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fit import FittedDetector, fit_detector
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.features.windows import Window
from asd_monitor.model_training.admission import RETURN_S, Admission, Mask, admit

ORDINARY_EVIDENCE = 1.5
"""Up to this median evidence of its windows a piece is ordinary."""
_BEFORE_S = 3600.0
"""Time from the last training recording to the first live piece: it does not count for more."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSound:
    """The training windows of a model, in pieces without a gap."""

    pieces: Sequence[Sequence[Window]]
    times_s: Sequence[float]  # of the start of each piece, after that of the first


@dataclass(frozen=True, slots=True, eq=False)
class LiveSound:
    """The windows of n live pieces, in order of time."""

    pieces: Sequence[Sequence[Window]]
    times_s: Floats  # (n,)
    ordinary: Mask  # (n,): see `ordinary_pieces`
    may_be_learned: Mask  # (n,): the others show what has returned
    over: bool  # whether nothing more is learned after these
    blocks: int = 1  # ten-second blocks of each piece
    marked: Mask | None = None  # (n,): by a person, as normal; they are learned


def ordinary_pieces(first: Detector, pieces: Sequence[Sequence[Window]]) -> Mask:
    """Return which live pieces (n,) the model that was trained finds ordinary."""
    found = [np.median([each.evidence for each in first.score(piece)]) for piece in pieces]
    return np.array(found, np.float64) <= ORDINARY_EVIDENCE


@dataclass(frozen=True, slots=True, eq=False)
class Extension:
    """A detector that was extended from n live pieces."""

    fitted: FittedDetector
    admission: Admission
    learned: Mask  # (n,): which pieces it was fitted to
    left_out: int  # pieces that may be learned and were not admitted


def extend(
    training: TrainingSound,
    live: LiveSound,
    between: Floats,
    front_end: FrontEnd,
    encoders: Sequence[Encoder] = (),
) -> Extension:
    """Fit a detector to the training windows and to the live pieces that are admitted.

    Args:
        training: the training windows.
        live: the live sound since.
        between: deviations of all blocks from each other, (b, b); the live pieces are the last n.
        front_end: the front end that the windows were computed with.
        encoders: the encoders that they were computed with.

    Raises:
        ValueError: the machine runs in too few windows, see `fit_detector`.

    """
    admission = admit(between, live.times_s, live.ordinary, marked=live.marked)
    learned = admission.learned & live.may_be_learned
    left_out = live.may_be_learned & ~learned
    is_decided = live.over | (live.times_s < live.times_s.max(initial=-np.inf) - RETURN_S)
    numbers = np.flatnonzero(learned).tolist()
    first_s = float(live.times_s[0]) if len(live.times_s) else 0.0
    before_s = first_s - max(training.times_s, default=0.0) - _BEFORE_S
    begins_s = [before_s + time_s for time_s in training.times_s]
    marked = np.zeros(len(learned), bool) if live.marked is None else live.marked
    fitted = fit_detector(
        [*training.pieces, *(live.pieces[number] for number in numbers)],
        front_end,
        front_end.rate_hz,
        encoders,
        begins_s=begins_s + [float(live.times_s[number]) for number in numbers],
        left_out=int(left_out.sum()) * live.blocks,
        heard_s=live.times_s[left_out & is_decided].tolist(),
        distributed=[
            len(training.pieces) + at for at, number in enumerate(numbers) if marked[number]
        ],
    )
    return Extension(fitted, admission, learned, int(left_out.sum()))
