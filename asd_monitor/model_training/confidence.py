"""How sure a false-alarm budget is, from so many normals: a block bootstrap of the tail.

The threshold is an extrapolation far beyond the normals heard.  Blocks of the held-out
lasting scores are drawn anew with replacement, as other recordings of the same machine might
have been; each draw gives another tail, and so another rate at the same threshold.  Blocks
and not single scores are drawn, because neighbours share their sound: P. Hall,
J. L. Horowitz & B.-Y. Jing, "On blocking rules for the bootstrap with dependent data",
Biometrika 82 (1995).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asd_monitor.alarm.score import ALARM_SPAN_S
from asd_monitor.config.quantities import Budget
from asd_monitor.detector.calibration import ParetoTail
from asd_monitor.wording import rate

DRAWS = 300
CONFIDENCE = 0.9
BLOCK_S = 10.0
PROVEN = 3.0  # the upper end exceeds the budget at most so many times


@dataclass(frozen=True, slots=True)
class FalseAlarmInterval:
    """How often normal sound reaches a threshold, in times a second, as far as normals tell."""

    budget: Budget
    threshold: float
    low_hz: float
    high_hz: float

    @property
    def proven(self) -> bool:
        """Whether even the upper end keeps the budget, roughly."""
        return self.high_hz <= PROVEN * self.budget.per_second

    def in_words(self) -> str:
        """Tell the interval to a person."""
        low, high = rate(self.low_hz), rate(self.high_hz)
        if low == high:
            return f"by these recordings, {low}"
        return f"by these recordings, between {low} and {high} ({CONFIDENCE:.0%} interval)"


def false_alarm_interval(
    sustained: npt.ArrayLike,
    *,
    budget: Budget,
    threshold: float,
    hop_s: float,
    least_scale: float,
    rng: np.random.Generator,
) -> FalseAlarmInterval:
    """Return the interval of the rate at which the alarm score of normals reaches a threshold.

    ``lasting`` (n,) are the held-out fused scores over the span of the alarm score, in the order
    of time, ``hop_s`` apart, that the detector's tail was fitted to; each tail's scale is at
    least ``least_scale``, as that of the detector.  Over its span the alarm score hardly changes,
    so that each span is one trial.
    """
    scores = np.asarray(sustained, np.float64)
    reached = ParetoTail.fit(scores, least_scale).raw_score(threshold)
    blocks = np.array_split(scores, max(2, round(len(scores) * hop_s / BLOCK_S)))
    rates = []
    for _ in range(DRAWS):
        drawn = rng.integers(len(blocks), size=len(blocks))
        tail = ParetoTail.fit(np.concatenate([blocks[block] for block in drawn]), least_scale)
        rates.append(10.0 ** -float(tail.score(reached)) / ALARM_SPAN_S)
    edge = (1 - CONFIDENCE) / 2
    low, high = np.quantile(rates, [edge, 1 - edge])
    return FalseAlarmInterval(budget, threshold, float(low), float(high))
