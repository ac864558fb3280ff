"""Tones: new ones, more prominent ones, missing ones; their harmonics and sidebands.

A tone is judged by its prominence above its neighbourhood, so that neither the gain nor a change
of the noise level makes one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from asd_monitor.explanation.band_layout import Values
from asd_monitor.explanation.comparison import (
    Comparison,
    interpolated,
    local_peaks,
    shared_half_widths,
    widened,
)
from asd_monitor.explanation.findings import Finding, FindingKind

MIN_PROMINENCE_DB = 8.0
MIN_EXCESS_DB = 5.0
_UNIT_DB = 5.0
_SPEED_TOLERANCE = 0.006
_MATCH = 0.006  # of the frequency of a harmonic
_MAX_PEAKS = 40
_KNOWN_DB = 6.0  # a line of such prominence in training is a tone of the training sound
_MAX_SIDEBAND_HZ = 200.0


@dataclass(frozen=True, slots=True)
class _Peak:
    hz: float
    excess_db: float  # above the highest prominence of the training sound
    change_db: float  # above the usual prominence
    prominence_db: float
    known: bool


def tone_findings(comparison: Comparison, ratio: float) -> list[Finding]:
    """Return new and more prominent tones, the strongest first, one of each harmonic series.

    Args:
        comparison: the sound beside the training sound.
        ratio: of the machine's tones to those of the training sound.

    """
    peaks = _peaks(comparison, ratio)
    found: list[Finding] = []
    left = peaks
    while left and len(found) < 3:
        group, series = _series(left)
        base = left[0]
        spacing = _sideband_spacing(base, left)
        members = {peak.hz for peak in group}
        finding = _finding(base, group, series, comparison.layout.line_step_hz)
        if spacing is not None:
            finding = replace(finding, sideband_hz=spacing)
            members |= {
                peak.hz
                for peak in left
                if abs(peak.hz - base.hz) <= 5 * spacing
                and abs((peak.hz - base.hz) / spacing - round((peak.hz - base.hz) / spacing)) < 0.15
            }
        found.append(finding)
        left = [
            peak for peak in left if peak.hz not in members and abs(peak.hz / base.hz - 1.0) > 0.06
        ]
    return found


def missing_tone(comparison: Comparison, ratio: float) -> Finding | None:
    """Return the most prominent tone of the training sound that is missing; None: none is."""
    lines_hz, step = comparison.layout.lines_hz, comparison.layout.line_step_hz
    training = comparison.training("prominence")
    now = _moved(comparison.sound.prominence, lines_hz, ratio)
    reach = shared_half_widths(lines_hz, step, 2 * _SPEED_TOLERANCE, 3)
    deficit = training.low - np.maximum(widened(now, reach), 0.0)
    deficit = np.where(training.low >= MIN_PROMINENCE_DB, deficit, 0.0)
    peaks = local_peaks(deficit, MIN_EXCESS_DB)
    if not peaks:
        return None
    at = peaks[0]
    hz = float(lines_hz[0] + step * interpolated(training.usual, at))
    change = float(widened(now, reach)[at] - training.usual[at])
    return Finding(
        FindingKind.MISSING_TONE,
        strength=float(deficit[at]) / _UNIT_DB,
        from_hz=hz - 2 * step,
        to_hz=hz + 2 * step,
        change_db=change,
    )


def _peaks(comparison: Comparison, ratio: float) -> list[_Peak]:
    lines_hz, step = comparison.layout.lines_hz, comparison.layout.line_step_hz
    training = comparison.training("prominence")
    reach = shared_half_widths(lines_hz, step, _SPEED_TOLERANCE, 3)
    highest = widened(training.high, reach)
    usual = widened(training.usual, reach)
    if abs(ratio - 1.0) > _SPEED_TOLERANCE:
        highest = np.maximum(highest, _moved(highest, lines_hz, 1.0 / ratio))
        usual = np.maximum(usual, _moved(usual, lines_hz, 1.0 / ratio))
    prominence = comparison.sound.prominence
    excess = prominence - highest
    excess = np.where(prominence >= MIN_PROMINENCE_DB, excess, -np.inf)
    found = []
    for at in local_peaks(excess, MIN_EXCESS_DB)[:_MAX_PEAKS]:
        near = slice(max(0, at - 1), at + 2)
        top = near.start + int(prominence[near].argmax())
        found.append(
            _Peak(
                float(lines_hz[0] + step * interpolated(prominence, top)),
                float(excess[at]),
                float(prominence[at] - max(0.0, usual[at])),
                float(prominence[at]),
                bool(usual[at] >= _KNOWN_DB),
            )
        )
    return found


def _moved(values: Values, lines_hz: Values, ratio: float) -> Values:
    """Return the values (n,) as they would stand at frequencies divided by a ratio."""
    if ratio == 1.0:
        return values
    return np.asarray(np.interp(lines_hz * ratio, lines_hz, values))


def _series(peaks: Sequence[_Peak]) -> tuple[list[_Peak], float]:
    """Return the harmonic series that the first peak belongs to, and its fundamental in Hz."""
    first = peaks[0]
    best: tuple[list[_Peak], float] = ([first], first.hz)
    for divisor in range(1, 7):
        fundamental = first.hz / divisor
        if fundamental < 20.0:
            break
        members = [peak for peak in peaks if _is_multiple(peak.hz, fundamental)]
        orders = {round(peak.hz / fundamental) for peak in members}
        if 1 not in orders and not {2, 3} <= orders and not {2, 4, 6} <= orders:
            continue
        if len(orders) > len(best[0]) + (divisor > 1):
            best = (members, fundamental)
    return best


def _is_multiple(hz: float, fundamental: float) -> bool:
    order = round(hz / fundamental)
    return 1 <= order <= 12 and abs(hz - order * fundamental) <= max(_MATCH * hz, 1.5)


def _sideband_spacing(base: _Peak, peaks: Sequence[_Peak]) -> float | None:
    """Return the distance of sidebands on both sides of a peak; None: it has none."""
    best: tuple[float, float] | None = None
    below = [p for p in peaks if 4.0 <= base.hz - p.hz <= _MAX_SIDEBAND_HZ]
    above = [p for p in peaks if 4.0 <= p.hz - base.hz <= _MAX_SIDEBAND_HZ]
    for low in below:
        for high in above:
            left, right = base.hz - low.hz, high.hz - base.hz
            if abs(left - right) <= max(1.5, 0.03 * left):
                weight = min(low.excess_db, high.excess_db)
                if best is None or weight > best[0]:
                    best = (weight, (left + right) / 2.0)
    if best is None or abs(best[1] - base.hz) < 0.05 * base.hz:
        return None
    return best[1]


def _finding(base: _Peak, group: Sequence[_Peak], fundamental: float, step_hz: float) -> Finding:
    orders = {round(peak.hz / fundamental) for peak in group}
    return Finding(
        FindingKind.TONE,
        strength=base.excess_db / _UNIT_DB,
        from_hz=base.hz - 2 * step_hz,
        to_hz=base.hz + 2 * step_hz,
        change_db=base.change_db if base.known else base.prominence_db,
        rate_hz=fundamental if len(orders) > 1 else None,
        harmonics=len(orders),
        new=not base.known,
    )
