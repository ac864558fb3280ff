"""Confidence interval of the false-alarm rate at a threshold: a block bootstrap of the tail.

The threshold extrapolates far beyond the recorded normal sound.  Blocks of the medians of the
out-of-fold evidence over ten seconds are drawn with replacement, as other recordings of the same
machine might have been; each draw gives another tail, and so another rate at the same threshold.
Blocks and not single medians are drawn, because successive ones are correlated: P. Hall,
J. L. Horowitz & B.-Y. Jing, "On blocking rules for the bootstrap with dependent data", Biometrika
82 (1995).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asd_monitor.alarm.time_scales import STEP_S, evidence_at, scale_score
from asd_monitor.config.quantities import Budget
from asd_monitor.detector.evidence import fit_tails

DRAWS = 300
CONFIDENCE = 0.9
BLOCK_S = 10.0
MAX_EXCESS = 3.0
"""The recordings support a budget whose upper confidence limit is at most this multiple of it."""


@dataclass(frozen=True, slots=True)
class FalseAlarmInterval:
    """Confidence interval of the rate at which normal sound reaches the alarm threshold."""

    budget: Budget
    threshold: float
    low_hz: float  # events per second
    high_hz: float

    @property
    def supports_budget(self) -> bool:
        """Whether the upper limit is within `MAX_EXCESS` times the budget."""
        return self.high_hz <= MAX_EXCESS * self.budget.per_second


def false_alarm_interval(
    medians: npt.ArrayLike,
    *,
    budget: Budget,
    threshold: float,
    hop_s: float,
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> FalseAlarmInterval:
    """Return the confidence interval of the false-alarm rate at an alarm threshold.

    ``medians`` (n,) are those of the out-of-fold evidence over ten seconds, in order of time and
    ``hop_s`` apart, to which the detector's tail of this scale was fitted.  The rate is the one
    over all time scales, if each keeps its share.
    """
    scores = np.asarray(medians, np.float64)
    reached = evidence_at(fit_tails(scores, hop_s)[0], threshold)
    blocks = np.array_split(scores, max(2, round(len(scores) * hop_s / BLOCK_S)))
    rates = []
    for _ in range(draws):
        drawn = rng.integers(len(blocks), size=len(blocks))
        tail = fit_tails(np.concatenate([blocks[block] for block in drawn]), hop_s)[0]
        rates.append(10.0 ** -scale_score(tail, reached) / STEP_S)
    edge = (1 - CONFIDENCE) / 2
    low, high = np.quantile(rates, [edge, 1 - edge])
    return FalseAlarmInterval(budget, threshold, float(low), float(high))
