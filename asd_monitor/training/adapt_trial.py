"""Whether an adapted encoder hears better than the frozen one, and what is told of that.

Both listen, in detectors fitted without the last fifth of the normals, to that fifth: as it is,
and with injected faults of kinds that the encoder was not adapted to.  No sound of it was
trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from asd_monitor.detector.fit import fit_detector
from asd_monitor.errors import UsageError
from asd_monitor.features.encoder import Encoder
from asd_monitor.features.windows import Window, WindowStream
from asd_monitor.metrics import auc
from asd_monitor.records import Samples
from asd_monitor.synthesis.injection import INJECTED, inject
from asd_monitor.training.hearing import RATE_HZ, encoded, with_vectors
from asd_monitor.training.recordings import Normals
from asd_monitor.training.trial import hold_out

TRAINED_FAULTS = ("tone", "dropout", "band", "speed")
TRIED_FAULTS = tuple(kind for kind in INJECTED if kind not in TRAINED_FAULTS)
TRIED_SEVERITIES = (0.15, 0.3, 0.45)
PIECE_S, FEWEST_PIECES, MOST_PIECES = 10.0, 6, 12  # of held-out sound
MARGIN = 0.01
"""By so much the AUC of the fused score must be better."""
SLACK = 0.005
"""So many more of the held-out normal windows may lie above a score: one or two of hundreds."""
SCORES = (1.0, 2.0)


@dataclass(frozen=True, slots=True)
class Heard:
    """What a detector made of the held-out sound."""

    auc: float  # of the fused score: pieces with a fault against pieces as they are
    auc_of_views: dict[str, float]  # of each of the encoder's
    above: tuple[float, ...]  # share of the normal windows at or above each of `SCORES`

    def to_json(self) -> dict[str, Any]:
        """Return what a manifest keeps."""
        return {
            "auc": round(self.auc, 4),
            "views": {name: round(area, 4) for name, area in self.auc_of_views.items()},
            "share_above": {
                f"{score:g}": round(share, 4)
                for score, share in zip(SCORES, self.above, strict=True)
            },
        }


@dataclass(frozen=True, slots=True, eq=False)
class Adaptation:
    """What came of it."""

    encoder: Encoder  # the adapted one, kept or not
    frozen: Heard
    adapted: Heard
    others: int  # machines of the user's; 0: made ones took their place
    steps: int
    seed: int
    seconds: float

    @property
    def kept(self) -> bool:
        """Whether it hears better, and finds no more in the normals."""
        quiet = all(
            share <= before + SLACK
            for share, before in zip(self.adapted.above, self.frozen.above, strict=True)
        )
        return quiet and self.adapted.auc >= self.frozen.auc + MARGIN

    def in_words(self) -> str:
        """Return both figures, and which encoder they speak for."""
        figures = (
            f"AUC {self.adapted.auc:.3f} after {self.frozen.auc:.3f} on injected faults, "
            f"{100 * self.adapted.above[0]:.1f} % after {100 * self.frozen.above[0]:.1f} % of the "
            f"normal windows above {SCORES[0]:g}, on the part held out"
        )
        if self.kept:
            return f"the encoder was adapted to this machine ({figures})"
        return (
            f"the encoder was not adapted, the frozen one is kept: adapting did not make it "
            f"clearly better ({figures}; {MARGIN:g} and no more in the normals were asked for)"
        )

    def to_json(self) -> dict[str, Any]:
        """Return what a manifest keeps."""
        return {
            "kept": self.kept,
            "frozen": self.frozen.to_json(),
            "adapted": self.adapted.to_json(),
            "margin": MARGIN,
            "others": self.others,
            "steps": self.steps,
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Held-out sound, as it is or with a fault."""

    sound: Samples
    anomalous: bool
    windows: tuple[Window, ...]


def trial_pieces(held_out: Sequence[Samples], normals: Normals, seed: int) -> list[Piece]:
    """Cut what was held out into pieces; each stands there as it is and with every fault.

    Raises UsageError where no gapless part of it is long enough.
    """
    rng = np.random.default_rng((seed, 8))
    front_end = normals.front_end
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
        Piece(sound, anomalous, tuple(WindowStream(front_end, normals.encoders).push(sound)))
        for sound, anomalous in sounds
    ]


def with_encoder(pieces: Sequence[Piece], encoder: Encoder, normals: Normals) -> list[Piece]:
    """Return the pieces with another encoder's vectors in the place of one's of the same views."""
    return [
        replace(
            piece,
            windows=with_vectors(piece.windows, encoded(piece.sound, encoder, normals.front_end)),
        )
        for piece in pieces
    ]


def listen(normals: Normals, pieces: Sequence[Piece], views: Sequence[str]) -> Heard:
    """Fit a detector without the part held out, and let it hear that.

    Raises UsageError where the machine hardly runs before it.
    """
    try:
        detector = fit_detector(
            [stretch.windows for stretch in hold_out(normals).kept],
            normals.front_end,
            normals.front_end.rate_hz,
            normals.encoders,
        ).detector
    except ValueError as error:
        raise UsageError(
            f"the machine runs in too little of these recordings to adapt to it ({error}): "
            "record more of it while it works, or leave out --adapt"
        ) from error
    judged = [detector.judge(piece.windows) for piece in pieces]
    anomalous = [piece.anomalous for piece in pieces]
    usual = np.array(
        [
            window.score
            for piece, windows in zip(pieces, judged, strict=True)
            if not piece.anomalous
            for window in windows
        ]
    )
    return Heard(
        auc(anomalous, [np.mean([w.fused for w in windows]) for windows in judged]),
        {
            name: auc(anomalous, [np.mean([w.views[name] for w in windows]) for windows in judged])
            for name in views
        },
        tuple(float(np.mean(usual >= score)) for score in SCORES),
    )
