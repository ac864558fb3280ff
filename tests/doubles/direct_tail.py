"""A tail with which the alarm score is the evidence."""

from __future__ import annotations

import math

from asd_monitor.alarm.scale_tail import ScaleTail
from asd_monitor.alarm.time_scales import SHARES, STEP_S


class DirectTail(ScaleTail):
    """The tail of ten seconds for which the alarm score is the evidence, 0 … 12."""

    def __init__(self) -> None:
        super().__init__(STEP_S, 0.0, 1.0, 10.0)

    def normal_equivalent(self, evidence: float) -> float:
        return math.inf if evidence > 0 else -math.inf

    def score(self, evidence: float) -> float:
        return evidence - math.log10(SHARES[STEP_S])
