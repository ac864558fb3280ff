"""How sure a false-alarm budget is, from so many normals: a block bootstrap of the tail.

The threshold is an extrapolation far beyond the normals heard.  Blocks of the held-out
scores are drawn anew with replacement, as other recordings of the same machine might have
been; each draw gives another tail, and so another rate at the same threshold.  Blocks and
not windows are drawn, because neighbours share their sound: P. Hall, J. L. Horowitz &
B.-Y. Jing, "On blocking rules for the bootstrap with dependent data", Biometrika 82 (1995).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asd_monitor.config.quantities import PERIOD_S, Budget
from asd_monitor.detector.tail import HIGHEST, Tail

Floats = npt.NDArray[np.float64]

DRAWS = 300
CONFIDENCE = 0.9


@dataclass(frozen=True, slots=True)
class RateInterval:
    """Windows at or above the alarm's threshold, a second, as far as the normals tell."""

    budget: Budget
    threshold: float
    low_hz: float
    high_hz: float

    @property
    def proven(self) -> bool:
        """Whether even the upper end keeps the budget within a factor of three."""
        return self.high_hz <= 3 * self.budget.per_second

    def in_words(self) -> str:
        """Tell the interval to a person."""
        return (
            f"{CONFIDENCE:.0%} of what these recordings allow lies between "
            f"{rate_in_words(self.low_hz)} and {rate_in_words(self.high_hz)}"
        )


def rate_interval(
    tail: Tail,
    fused: npt.ArrayLike,
    blocks: npt.ArrayLike,
    *,
    budget: Budget,
    threshold: float,
    hop_s: float,
    rng: np.random.Generator,
) -> RateInterval:
    """Return the interval of the rate at which normal windows reach the threshold.

    ``fused`` (n,) are held-out fused scores of normals, ``blocks`` (n,) the number of the
    block of time of each.
    """
    fused = np.asarray(fused, np.float64)
    level = raw_at(tail, threshold, highest=max(HIGHEST, float(fused.max()) * 2))
    numbers = np.asarray(blocks)
    members = [np.flatnonzero(numbers == number) for number in np.unique(numbers)]
    rates = []
    for _ in range(DRAWS):
        drawn = rng.integers(len(members), size=len(members))
        scores = fused[np.concatenate([members[block] for block in drawn])]
        rates.append(10.0 ** -float(Tail.fit(scores).score(level)) / hop_s)
    edge = (1 - CONFIDENCE) / 2
    low, high = np.quantile(rates, [edge, 1 - edge])
    return RateInterval(budget, threshold, float(low), float(high))


def raw_at(tail: Tail, score: float, highest: float) -> float:
    """Return the least raw score, up to ``highest``, that the tail calls this score."""
    low, high = tail.knots[0], highest
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if float(tail.score(middle)) >= score else (middle, high)
    return high


def rate_in_words(per_second: float) -> str:
    """Return ``3 per week``, in the unit that gives a number of at least one."""
    century_s = 100 * PERIOD_S["year"]
    if per_second * century_s < 1:
        return "less than 1 in 100 years"
    for unit in ("minute", "hour", "day", "week", "month", "year"):
        number = per_second * PERIOD_S[unit]
        if number >= 1:
            return f"{_round(number)} per {unit}"
    return f"1 in {_round(1 / (per_second * PERIOD_S['year']))} years"


def _round(number: float) -> str:
    return f"{number:.0f}" if number >= 9.5 else f"{math.floor(number * 10 + 0.5) / 10:g}"
