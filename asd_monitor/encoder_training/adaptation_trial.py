"""Whether an adapted encoder hears better than the frozen one, and what is told of that.

Both listen, in detectors fitted without the last fifth of the normals, to that fifth: as it is,
and with injected faults of kinds that the encoder was not adapted to.  No sound of it was
trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from asd_monitor.detector.fit import fit_detector
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.errors import UsageError
from asd_monitor.features.windows import Window, WindowStream
from asd_monitor.metrics import auc
from asd_monitor.model_training.adaptation_result import SCORE_LEVELS, TrialScores
from asd_monitor.model_training.encoder_vectors import RATE_HZ, encode_windows, with_vectors
from asd_monitor.model_training.held_out_trial import hold_out
from asd_monitor.model_training.reference import Reference
from asd_monitor.records import Samples
from asd_monitor.synthesis.injection import INJECTED, inject

TRAINED_FAULTS = ("tone", "dropout", "band", "speed")
TRIED_FAULTS = tuple(kind for kind in INJECTED if kind not in TRAINED_FAULTS)
TRIED_SEVERITIES = (0.15, 0.3, 0.45)
PIECE_S, FEWEST_PIECES, MOST_PIECES = 10.0, 6, 12  # of held-out sound


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Held-out sound, as it is or with a fault."""

    sound: Samples
    anomalous: bool
    windows: tuple[Window, ...]


def trial_pieces(held_out: Sequence[Samples], reference: Reference, seed: int) -> list[Piece]:
    """Cut what was held out into pieces; each stands there as it is and with every fault.

    Raises UsageError where no gapless part of it is long enough.
    """
    rng = np.random.default_rng((seed, 8))
    front_end = reference.front_end
    total = sum(len(sound) for sound in held_out)
    shortest = front_end.window + 2 * front_end.hop
    n = max(shortest, min(round(PIECE_S * RATE_HZ), total // FEWEST_PIECES))
    whole = [sound[at : at + n] for sound in held_out for at in range(0, len(sound) - n + 1, n)]
    if not whole:
        raise UsageError(
            "the last fifth of the recordings is in pieces too short to try the encoder on: "
            "record longer ones, or leave out --adapt"
        )
    whole = whole[:: -(-len(whole) // MOST_PIECES)]
    sounds = [(sound, False) for sound in whole]
    for number, sound in enumerate(whole):
        for turn, kind in enumerate(TRIED_FAULTS):
            severity = TRIED_SEVERITIES[(number + turn) % len(TRIED_SEVERITIES)]
            sounds.append((inject(sound, kind, severity, rng), True))
    return [
        Piece(sound, anomalous, tuple(WindowStream(front_end, reference.encoders).push(sound)))
        for sound, anomalous in sounds
    ]


def with_encoder(pieces: Sequence[Piece], encoder: Encoder, reference: Reference) -> list[Piece]:
    """Return the pieces with another encoder's vectors in the place of one's of the same views."""
    return [
        replace(
            piece,
            windows=with_vectors(
                piece.windows, encode_windows(piece.sound, encoder, reference.front_end)
            ),
        )
        for piece in pieces
    ]


def listen(reference: Reference, pieces: Sequence[Piece], views: Sequence[str]) -> TrialScores:
    """Fit a detector without the part held out, and let it hear that.

    Raises UsageError where the machine hardly runs before it.
    """
    try:
        detector = fit_detector(
            [segment.windows for segment in hold_out(reference).kept],
            reference.front_end,
            reference.front_end.rate_hz,
            reference.encoders,
        ).detector
    except ValueError as error:
        raise UsageError(
            f"the machine runs in too little of these recordings to adapt to it ({error}): "
            "record more of it while it works, or leave out --adapt"
        ) from error
    judged = [detector.score(piece.windows) for piece in pieces]
    anomalous = [piece.anomalous for piece in pieces]
    usual = np.array(
        [
            window.score
            for piece, windows in zip(pieces, judged, strict=True)
            if not piece.anomalous
            for window in windows
        ]
    )
    return TrialScores(
        auc(anomalous, [np.mean([w.fused for w in windows]) for windows in judged]),
        {
            name: auc(anomalous, [np.mean([w.views[name] for w in windows]) for windows in judged])
            for name in views
        },
        tuple(float(np.mean(usual >= score)) for score in SCORE_LEVELS),
    )
