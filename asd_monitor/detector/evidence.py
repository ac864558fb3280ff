"""Evidence: the fused score of a window, standardised, and its distribution at each time scale.

The location and the spread are the median and the interquartile range of the out-of-fold fused
scores of the training windows.  The tail of ten seconds is fitted to the medians that the alarm
score is made of; the variance of a mean over a longer time falls with the number of its blocks down
to that between days, which is a prior: minutes of training recordings do not contain it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from asd_monitor.alarm.scale_tail import ScaleTail
from asd_monitor.alarm.span_median import ALARM_SPAN_S, SpanMedian
from asd_monitor.alarm.time_scales import TIME_SCALES
from asd_monitor.detector.back_end import Floats
from asd_monitor.detector.spans import Spans

MIN_SPREAD = 0.02  # of the fused score
PRIOR_SCALE = 0.5
"""Standard deviation of the evidence between days."""
MIN_DOF = 8.0
_IQR_OF_NORMAL = 1.349
_MIN_MEDIANS = 12


@dataclass(frozen=True, slots=True)
class EvidenceCalibration:
    """Location and spread of the fused score, and the tails of the evidence in normal sound."""

    location: float
    spread: float  # > 0
    tails: tuple[ScaleTail, ...]  # of each time scale, the shortest first
    effect_bound: float = math.inf
    """Evidence of ten seconds that is an alarm whatever the tails say."""

    def __post_init__(self) -> None:
        """Raise ValueError for parameters that are out of range."""
        if not (math.isfinite(self.location) and 0 < self.spread < math.inf):
            raise ValueError("invalid location or spread of the evidence")

    def evidence(self, fused: Floats) -> Floats:
        """Return the evidence (n,) of fused scores (n,)."""
        return np.asarray((fused - self.location) / self.spread)

    def to_json(self) -> dict[str, Any]:
        """Return the parameters for a manifest."""
        bound = self.effect_bound if math.isfinite(self.effect_bound) else None
        return {
            "location": self.location,
            "spread": self.spread,
            "tails": [asdict(tail) for tail in self.tails],
            "effect_bound": bound,
        }

    @classmethod
    def from_json(cls, parameters: dict[str, Any]) -> Self:
        """Return the calibration with these parameters.

        Raises:
            KeyError, TypeError, ValueError: a parameter is missing or out of range.

        """
        tails = tuple(ScaleTail(**tail) for tail in parameters["tails"])
        if [tail.seconds for tail in tails] != [scale.seconds for scale in TIME_SCALES]:
            raise ValueError("the time scales are not those of this version")
        bound = parameters["effect_bound"]
        return cls(
            float(parameters["location"]),
            float(parameters["spread"]),
            tails,
            math.inf if bound is None else float(bound),
        )


def fit_evidence(fused: Floats, spans: Spans, hop_s: float) -> EvidenceCalibration:
    """Fit the calibration to out-of-fold scores.

    Args:
        fused: out-of-fold fused scores of the n training windows, (n,).
        spans: positions of these windows.
        hop_s: seconds from window to window.

    """
    low, location, high = np.quantile(fused, [0.25, 0.5, 0.75]).tolist()
    spread = max(MIN_SPREAD, (high - low) / _IQR_OF_NORMAL)
    return EvidenceCalibration(
        location, spread, fit_tails(span_medians((fused - location) / spread, spans, hop_s), hop_s)
    )


def fit_tails(medians: Floats, hop_s: float) -> tuple[ScaleTail, ...]:
    """Return the tail of each time scale from the medians (k,) of the evidence over ten seconds."""
    low, location, high = np.quantile(medians, [0.25, 0.5, 0.75]).tolist()
    spread = (high - low) / _IQR_OF_NORMAL
    dof = max(MIN_DOF, len(medians) * hop_s / ALARM_SPAN_S - 1.0)
    return tuple(
        ScaleTail(
            scale.seconds,
            location,
            math.hypot(spread / math.sqrt(scale.seconds / ALARM_SPAN_S), PRIOR_SCALE),
            dof,
        )
        for scale in TIME_SCALES
    )


def span_medians(scores: Floats, spans: Spans, hop_s: float) -> Floats:
    """Return the medians (k,) of the scores (n,) over ten seconds.

    They are computed as by the alarm rule on the same sound: idle windows are skipped within a
    segment, each segment starts with an empty span, and only full spans count.  If the segments
    are too short for twelve of them, they are concatenated; if that is too short as well, the
    scores are returned.

    Args:
        scores: fused scores or evidence of the n training windows, (n,).
        spans: positions of these windows.
        hop_s: seconds from window to window.

    """
    segment_starts = np.diff(spans.segment, prepend=spans.segment[:1]) != 0
    for restarts in (segment_starts, np.zeros(len(scores))):
        medians = _running_medians(scores.tolist(), restarts.tolist(), hop_s)
        if len(medians) >= _MIN_MEDIANS:
            return np.array(medians)
    return scores


def _running_medians(
    scores: Sequence[float], restarts: Sequence[float], hop_s: float
) -> list[float]:
    span = SpanMedian(hop_s)
    medians = []
    for score, restart in zip(scores, restarts, strict=True):
        if restart:
            span.reset()
        median = span.push(score)
        if span.full:
            medians.append(median)
    return medians
