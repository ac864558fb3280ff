"""The test of an adapted encoder against the frozen one on held-out sound.

A detector with each encoder is fitted without the last fifth of the training recordings.  Both
score that fifth: as it is, and with injected faults of other kinds than the encoder was adapted
with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from asd_monitor.encoders.encoder import Encoder
from asd_monitor.errors import UsageError
from asd_monitor.features.windows import Window, WindowStream
from asd_monitor.metrics import auc
from asd_monitor.model_training.adaptation_result import EVIDENCE_LEVELS, TrialScores
from asd_monitor.model_training.encoder_sound import RATE_HZ
from asd_monitor.model_training.encoder_vectors import encode_windows, with_vectors
from asd_monitor.model_training.held_out_split import hold_out
from asd_monitor.model_training.reference import Reference
from asd_monitor.records import Samples
from asd_monitor.synthesis.injection import INJECTED, inject

TRAINED_FAULTS = ("tone", "dropout", "band", "speed")
TESTED_FAULTS = tuple(kind for kind in INJECTED if kind not in TRAINED_FAULTS)
TESTED_SEVERITIES = (0.15, 0.3, 0.45)
PIECE_S, MIN_PIECES, MAX_PIECES = 10.0, 6, 12  # of held-out sound


@dataclass(frozen=True, slots=True, eq=False)
class TrialPiece:
    """A piece of held-out sound, with or without an injected fault."""

    sound: Samples  # (n,) at 16 kHz
    anomalous: bool
    windows: tuple[Window, ...]


def trial_pieces(held_out: Sequence[Samples], reference: Reference, seed: int) -> list[TrialPiece]:
    """Cut held-out sound into pieces; return each without a fault and with every tested fault.

    Raises:
        UsageError: no gapless part of it is long enough.

    """
    rng = np.random.default_rng((seed, 8))
    front_end = reference.front_end
    total = sum(len(sound) for sound in held_out)
    shortest = front_end.window + 2 * front_end.hop
    n = max(shortest, min(round(PIECE_S * RATE_HZ), total // MIN_PIECES))
    normal = [sound[at : at + n] for sound in held_out for at in range(0, len(sound) - n + 1, n)]
    if not normal:
        raise UsageError(
            "the last fifth of the recordings has gaps, and its pieces are too short for a test: "
            "record longer ones, or leave out --adapt"
        )
    normal = normal[:: -(-len(normal) // MAX_PIECES)]
    sounds = [(sound, False) for sound in normal]
    for number, sound in enumerate(normal):
        for turn, kind in enumerate(TESTED_FAULTS):
            severity = TESTED_SEVERITIES[(number + turn) % len(TESTED_SEVERITIES)]
            sounds.append((inject(sound, kind, severity, rng), True))
    return [
        TrialPiece(sound, anomalous, tuple(WindowStream(front_end, reference.encoders).push(sound)))
        for sound, anomalous in sounds
    ]


def reencode_pieces(
    pieces: Sequence[TrialPiece], encoder: Encoder, reference: Reference
) -> list[TrialPiece]:
    """Return the pieces with the embeddings of another encoder that has the same views."""
    return [
        replace(
            piece,
            windows=with_vectors(
                piece.windows, encode_windows(piece.sound, encoder, reference.front_end)
            ),
        )
        for piece in pieces
    ]


def run_trial(
    reference: Reference, pieces: Sequence[TrialPiece], views: Sequence[str]
) -> TrialScores:
    """Fit a detector without the held-out part, and score the pieces.

    Raises:
        UsageError: the machine runs in too little of the rest.

    """
    try:
        detector = reference.fit(hold_out(reference).kept).detector
    except ValueError as error:
        raise UsageError(
            f"the machine runs in too little of these recordings to adapt to it ({error}): "
            "record more of it while it runs, or leave out --adapt"
        ) from error
    scored = [detector.score(piece.windows) for piece in pieces]
    anomalous = [piece.anomalous for piece in pieces]
    normal = np.array(
        [
            window.evidence
            for piece, windows in zip(pieces, scored, strict=True)
            if not piece.anomalous
            for window in windows
        ]
    )
    return TrialScores(
        auc(anomalous, [np.mean([w.fused for w in windows]) for windows in scored]),
        {
            name: auc(anomalous, [np.mean([w.views[name] for w in windows]) for windows in scored])
            for name in views
        },
        tuple(float(np.mean(normal >= level)) for level in EVIDENCE_LEVELS),
    )
