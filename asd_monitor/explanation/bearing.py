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

from asd_monitor.records import Bearing, MachineGeometry

TOLERANCE = 0.03
_MAX_MULTIPLE = 4


@dataclass(frozen=True, slots=True)
class RateSource:
    """What a rate belongs to."""

    part: str  # "outer race", "shaft" …
    order: float  # the rate as a multiple of the shaft's speed
    multiple: int  # of the part's rate


def part_orders(bearing: Bearing) -> dict[str, float]:
    """Return the rates of a bearing's parts as multiples of the shaft's speed."""
    share = bearing.ball_mm / bearing.pitch_mm * math.cos(math.radians(bearing.angle_deg))
    return {
        "outer race": bearing.balls / 2.0 * (1.0 - share),
        "inner race": bearing.balls / 2.0 * (1.0 + share),
        "ball": bearing.pitch_mm / (2.0 * bearing.ball_mm) * (1.0 - share**2),
        "cage": 0.5 * (1.0 - share),
    }


def rate_source(rate_hz: float, geometry: MachineGeometry) -> RateSource | None:
    """Return the part within 3 % of whose rate, or a low multiple, a rate lies; None: no one.

    The part whose rate is nearest; of equal ones that of the lowest multiple.
    """
    order = rate_hz / geometry.shaft_hz
    parts = {} if geometry.bearing is None else part_orders(geometry.bearing)
    candidates: list[tuple[float, RateSource]] = []
    for part, own in {**parts, "shaft": 1.0}.items():
        for multiple in range(1, _MAX_MULTIPLE + 1):
            deviation = abs(order / (own * multiple) - 1.0)
            if deviation <= TOLERANCE:
                # a high multiple meets any rate by chance
                candidates.append(
                    (deviation + 0.005 * (multiple - 1), RateSource(part, order, multiple))
                )
    return min(candidates, key=lambda each: each[0])[1] if candidates else None
