"""The rates of a rolling-element bearing: which of them a rate of impacts or modulation is.

For a stationary outer ring, with the shaft's speed f, Z balls of diameter d on the pitch diameter D
and the contact angle φ::

    outer race (BPFO)  Z f / 2 · (1 − d / D · cos φ)
    inner race (BPFI)  Z f / 2 · (1 + d / D · cos φ)
    ball (BSF)         D f / (2 d) · (1 − (d / D · cos φ)²)
    cage (FTF)         f / 2 · (1 − d / D · cos φ)

R. B. Randall and J. Antoni, "Rolling element bearing diagnostics - a tutorial", Mech. Syst. Signal
Process. 25(2), 2011, §2.1; they slip by 1 to 2 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

TOLERANCE = 0.03
_MAX_MULTIPLE = 4


@dataclass(frozen=True, slots=True)
class BearingGeometry:
    """A bearing and the speed of its shaft."""

    shaft_rpm: float
    balls: int
    ball_mm: float
    pitch_mm: float
    angle_deg: float = 0.0

    def __post_init__(self) -> None:
        """Raise ValueError for dimensions that no bearing has."""
        numbers = (self.shaft_rpm, self.ball_mm, self.pitch_mm, self.angle_deg)
        if not all(math.isfinite(each) for each in numbers) or self.shaft_rpm <= 0:
            raise ValueError("the speed of the shaft and the dimensions are finite and above 0")
        if self.balls < 3 or not 0 < self.ball_mm < self.pitch_mm:
            raise ValueError("a bearing has at least 3 balls, smaller than its pitch diameter")
        if not 0 <= self.angle_deg < 90:
            raise ValueError("the contact angle is from 0 to below 90 degrees")

    @property
    def shaft_hz(self) -> float:
        """Revolutions per second."""
        return self.shaft_rpm / 60.0

    @property
    def orders(self) -> dict[str, float]:
        """The rates of its parts as multiples of the shaft's speed."""
        share = self.ball_mm / self.pitch_mm * math.cos(math.radians(self.angle_deg))
        ball = self.pitch_mm / (2.0 * self.ball_mm) * (1.0 - share**2)
        return {
            "outer race": self.balls / 2.0 * (1.0 - share),
            "inner race": self.balls / 2.0 * (1.0 + share),
            "ball": ball,
            "cage": 0.5 * (1.0 - share),
        }


@dataclass(frozen=True, slots=True)
class RateSource:
    """What a rate belongs to."""

    part: str  # "outer race", "shaft" …
    order: float  # the rate as a multiple of the shaft's speed
    multiple: int  # of the part's rate


def rate_source(rate_hz: float, geometry: BearingGeometry) -> RateSource | None:
    """Return the part within 3 % of whose rate, or a low multiple, a rate lies; None: no one.

    The part whose rate is nearest; of equal ones that of the lowest multiple.
    """
    order = rate_hz / geometry.shaft_hz
    candidates: list[tuple[float, RateSource]] = []
    for part, own in {**geometry.orders, "shaft": 1.0}.items():
        for multiple in range(1, _MAX_MULTIPLE + 1):
            deviation = abs(order / (own * multiple) - 1.0)
            if deviation <= TOLERANCE:
                # a high multiple meets any rate by chance
                candidates.append(
                    (deviation + 0.005 * (multiple - 1), RateSource(part, order, multiple))
                )
    return min(candidates, key=lambda each: each[0])[1] if candidates else None
