"""Lost samples of a virtual microphone, which delivers at its rate as long as time passes."""

from __future__ import annotations

from typing import Any

from experiments.chaos.product import RATE_HZ
from experiments.chaos.scenario import SampleLoss

_TOLERANCE_S = 1.5  # of the arrival of two scores

Arrival = tuple[float, dict[str, Any]]
"""The monotonic time in s at which a score arrived, and the score."""


def measured_loss(before: Arrival, after: Arrival) -> SampleLoss:
    """Return what was lost between two scores of one run.

    What was received is what the sample index has advanced by without the counted loss; of the
    time that has passed, the rest is the true loss.
    """
    (before_s, first), (after_s, last) = before, after
    counted = last["lost_samples"] - first["lost_samples"]
    received = last["sample"] - first["sample"] - counted
    true = round((after_s - before_s) * RATE_HZ) - received
    return SampleLoss(counted, true, round(_TOLERANCE_S * RATE_HZ))
