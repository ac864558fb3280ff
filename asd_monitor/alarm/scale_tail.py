"""The distribution of the evidence of normal sound at one time scale.

It is a located and scaled Student t.  Its exceedance probability is that of a normal variable
after the approximation of D. L. Wallace, "Bounds on normal approximations to Student's and the
chi-square distributions", Annals of Mathematical Statistics 30 (1959), in its improved form::

    w = ± sqrt(ν · ln(1 + t² / ν)) · (8 ν + 1) / (8 ν + 3),    P(T_ν ≥ t) ≈ P(Z ≥ w)

It overestimates small probabilities: at P = 10⁻⁵·⁴², log10 P is 0.05 too high for ν = 8, 0.13 for
ν = 5 and 0.52 for ν = 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

_SMALLEST = 1e-300  # probability


@dataclass(frozen=True, slots=True)
class ScaleTail:
    """Distribution of the evidence of normal sound at one time scale."""

    seconds: float  # the time scale
    location: float
    scale: float  # > 0
    dof: float  # degrees of freedom ν > 0

    def __post_init__(self) -> None:
        """Raise ValueError for parameters that are out of range."""
        values = (self.seconds, self.location, self.scale, self.dof)
        if not all(map(math.isfinite, values)) or min(self.seconds, self.scale, self.dof) <= 0:
            raise ValueError(f"invalid parameters of a tail: {self}")

    def normal_equivalent(self, evidence: float) -> float:
        """Return the value w of a standard normal variable that is exceeded as often."""
        t, dof = (evidence - self.location) / self.scale, self.dof
        w = math.sqrt(dof * math.log1p(t * t / dof)) * (8 * dof + 1) / (8 * dof + 3)
        return math.copysign(w, t)

    def score(self, evidence: float) -> float:
        """Return −log10 P(normal sound has at least this evidence at this time scale), 0 … 300."""
        return normal_score(self.normal_equivalent(evidence))


def normal_score(value: float) -> float:
    """Return −log10 P(Z ≥ value) of a standard normal variable Z, 0 … 300."""
    return -math.log10(max(_SMALLEST, 0.5 * math.erfc(value / math.sqrt(2.0))))
