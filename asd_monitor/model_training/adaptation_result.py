"""The outcome of adapting an encoder to a machine: both encoders on held-out sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from asd_monitor.encoders.encoder import Encoder

MIN_AUC_GAIN = 0.01
"""Least gain in AUC of the fused score for which the adapted encoder is kept."""
MAX_SHARE_INCREASE = 0.005
"""Largest increase of the share of held-out normal windows above a level: one or two windows."""
EVIDENCE_LEVELS = (2.0, 4.0)


@dataclass(frozen=True, slots=True)
class TrialScores:
    """Figures of a detector on the held-out sound."""

    auc: float  # of the fused score: pieces with injected faults against the same without
    auc_of_views: dict[str, float]  # of each view of the encoder
    above: tuple[float, ...]  # share of the normal windows with at least each of `EVIDENCE_LEVELS`

    def to_json(self) -> dict[str, Any]:
        """Return the entry of the manifest."""
        return {
            "auc": round(self.auc, 4),
            "views": {name: round(area, 4) for name, area in self.auc_of_views.items()},
            "share_above": {
                f"{level:g}": round(share, 4)
                for level, share in zip(EVIDENCE_LEVELS, self.above, strict=True)
            },
        }


@dataclass(frozen=True, slots=True, eq=False)
class Adaptation:
    """An adapted encoder in comparison with the frozen one."""

    encoder: Encoder  # the adapted one, kept or not
    frozen: TrialScores
    adapted: TrialScores
    others: int  # other machines given by the user; 0: synthetic machines were used
    steps: int
    seed: int
    seconds: float

    @property
    def kept(self) -> bool:
        """Whether it detects more faults, with no more high scores on normal sound."""
        specific = all(
            share <= before + MAX_SHARE_INCREASE
            for share, before in zip(self.adapted.above, self.frozen.above, strict=True)
        )
        return specific and self.adapted.auc >= self.frozen.auc + MIN_AUC_GAIN

    def to_json(self) -> dict[str, Any]:
        """Return the entry of the manifest."""
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
