"""What was changed in a sound, and whether findings name it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asd_monitor.explanation.findings import Finding, FindingKind

TOLERANCE = 0.05
_MARGIN = 1.12  # a third-octave band is as wide on each side
PERCENT_TOLERANCE = 0.7
"""Of a change of speed, in points: the speed of a recording varies by 0.4 %."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What findings have to name."""

    text: str
    kinds: frozenset[FindingKind]
    hz: tuple[float, ...] = ()  # accepted frequencies or rates; none: any
    inside_hz: float | None = None  # a frequency that the band contains
    percents: tuple[float, ...] = ()  # accepted changes of speed: from each operating condition


def is_named(truth: Truth, findings: Sequence[Finding]) -> bool:
    """Return whether one of the findings is of an accepted kind, with its number and place."""
    return any(_names(truth, finding) for finding in findings)


def _names(truth: Truth, finding: Finding) -> bool:
    if finding.kind not in truth.kinds:
        return False
    if truth.percents:
        found = finding.change_percent
        return found is not None and any(
            abs(found - each) <= max(TOLERANCE * abs(each), PERCENT_TOLERANCE)
            for each in truth.percents
        )
    inside_hz = truth.inside_hz
    if inside_hz is not None and not (
        finding.from_hz / _MARGIN <= inside_hz <= finding.to_hz * _MARGIN
    ):
        return False
    if not truth.hz:
        return True
    numbers = [finding.rate_hz, finding.sideband_hz]
    if finding.kind in (FindingKind.TONE, FindingKind.MISSING_TONE):
        numbers.append(finding.place_hz)
    return any(
        number is not None and abs(number / hz - 1.0) <= TOLERANCE
        for number in numbers
        for hz in truth.hz
    )
