"""The outcome of adapting an encoder to a machine: both encoders on the held-out part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from asd_monitor.encoders.encoder import Encoder

MIN_AUC_GAIN = 0.01
"""By so much the AUC of the fused score must be better."""
MAX_SHARE_INCREASE = 0.005
"""So many more of the held-out normal windows may lie above a score: one or two of hundreds."""
SCORE_LEVELS = (1.0, 2.0)


@dataclass(frozen=True, slots=True)
class TrialScores:
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
                for score, share in zip(SCORE_LEVELS, self.above, strict=True)
            },
        }


@dataclass(frozen=True, slots=True, eq=False)
class Adaptation:
    """What came of it."""

    encoder: Encoder  # the adapted one, kept or not
    frozen: TrialScores
    adapted: TrialScores
    others: int  # machines of the user's; 0: made ones took their place
    steps: int
    seed: int
    seconds: float

    @property
    def kept(self) -> bool:
        """Whether it hears better, and finds no more in the normals."""
        quiet = all(
            share <= before + MAX_SHARE_INCREASE
            for share, before in zip(self.adapted.above, self.frozen.above, strict=True)
        )
        return quiet and self.adapted.auc >= self.frozen.auc + MIN_AUC_GAIN

    def in_words(self) -> str:
        """Return both figures, and which encoder they speak for."""
        figures = (
            f"AUC {self.adapted.auc:.3f} after {self.frozen.auc:.3f} on injected faults, "
            f"{100 * self.adapted.above[0]:.1f} % after {100 * self.frozen.above[0]:.1f} % of the "
            f"normal windows above {SCORE_LEVELS[0]:g}, on the part held out"
        )
        if self.kept:
            return f"the encoder was adapted to this machine ({figures})"
        return (
            f"the encoder was not adapted, the frozen one is kept: adapting did not make it "
            f"clearly better ({figures}; {MIN_AUC_GAIN:g} and no more in the normals were asked for)"
        )

    def to_json(self) -> dict[str, Any]:
        """Return what a manifest keeps."""
        return {
            "kept": self.kept,
            "frozen": self.frozen.to_json(),
            "adapted": self.adapted.to_json(),
            "margin": MIN_AUC_GAIN,
            "others": self.others,
            "steps": self.steps,
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
        }
