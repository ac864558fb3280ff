"""A change of speed: all tones of a machine move by one ratio.

The prominent lines of the sound and of the training sound are compared on a logarithmic axis of
frequency, on which a ratio is a displacement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asd_monitor.explanation.band_layout import Values
from asd_monitor.explanation.comparison import Comparison, widened
from asd_monitor.explanation.findings import Finding, FindingKind

MAX_CHANGE = 0.15
MIN_CHANGE = 0.012
"""A smaller change is within what the load does to the speed of an induction motor."""
_STEP = 0.001
_LOW_HZ, _HIGH_HZ = 40.0, 4000.0
_BACKGROUND_DB, _CAP_DB = 6.0, 14.0
_MIN_CORRELATION = 0.3
_MIN_GAIN = 1.35  # of the correlation by the displacement
_MIN_NEW_DB, _MIN_KNOWN_DB = 3.0, 4.0  # above `_BACKGROUND_DB`
_SAME = 6  # steps within which a line is the same
_MIN_LINES, _MANY_LINES = 3, 5
_MIN_COVERAGE, _HIGH_COVERAGE = 0.5, 0.85
_ABOVE_CHANCE = 0.3
_TRIALS, _MAX_CHANCE = 40.0, 0.05


@dataclass(frozen=True, slots=True)
class SpeedRatio:
    """The ratio of a machine's tones to those of the training sound."""

    ratio: float
    strength: float
    is_change: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Displacement:
    """The displacement that explains the lines, or the new lines, best."""

    ratio: float
    value: float  # correlation, or share of the new lines that are known ones, displaced
    without: float  # without a displacement, or by chance


def speed_ratio(comparison: Comparison) -> SpeedRatio:
    """Return the ratio that explains the lines of the sound best; 1 where there are no tones.

    It is a change where lines correlate far better with it, or where lines that the training
    sound does not have are displaced lines of the training sound.
    """
    layout, training = comparison.layout, comparison.training("prominence")
    steady = np.where(training.usual >= _BACKGROUND_DB, training.high, training.usual)
    grid = np.arange(np.log(_LOW_HZ), np.log(min(_HIGH_HZ, layout.lines_hz[-1])), _STEP)
    known = _pattern(steady, layout.lines_hz, grid)
    any_known = _pattern(training.high, layout.lines_hz, grid)
    now = _pattern(comparison.sound.prominence, layout.lines_hz, grid)
    correlated = _correlated(known, now)
    reach = np.full(len(grid), float(_SAME))
    new = np.clip(now - widened(any_known, reach), 0.0, None)
    new[new < _MIN_NEW_DB] = 0.0
    lines = int(np.count_nonzero((new[1:] > 0.0) & (new[:-1] == 0.0)))
    covered = _covered(any_known, new)
    at_correlated = _covered_at(any_known, new, correlated.ratio)
    if (
        lines >= _MANY_LINES
        and covered.value >= max(_HIGH_COVERAGE, covered.without + _ABOVE_CHANCE)
        and _chance(covered.without, lines * covered.value) <= _MAX_CHANCE
    ):
        changed, strength = covered, covered.value - covered.without
    elif (
        lines >= _MIN_LINES
        and correlated.value >= max(_MIN_CORRELATION, _MIN_GAIN * correlated.without)
        and at_correlated >= _MIN_COVERAGE
    ):
        changed, strength = correlated, correlated.value - correlated.without
    else:
        return SpeedRatio(correlated.ratio, 0.0, is_change=False)
    return SpeedRatio(changed.ratio, strength, is_change=abs(changed.ratio - 1.0) >= MIN_CHANGE)


def _correlated(known: Values, now: Values) -> _Displacement:
    norm = float(np.sqrt((known**2).sum() * (now**2).sum()))
    if norm <= 0.0:
        return _Displacement(1.0, 0.0, 0.0)
    reach = round(MAX_CHANGE / _STEP)
    correlation = np.correlate(np.pad(now, reach), known, "valid") / norm
    near = round(MIN_CHANGE / 2 / _STEP)
    without = float(correlation[reach - near : reach + near + 1].max())
    best = int(correlation.argmax())
    return _Displacement(float(np.exp((best - reach) * _STEP)), float(correlation[best]), without)


def _covered(known: Values, new: Values) -> _Displacement:
    total = float(new.sum())
    if total <= 0.0:
        return _Displacement(1.0, 0.0, 0.0)
    reach = round(MAX_CHANGE / _STEP)
    is_known = np.pad((known >= _MIN_KNOWN_DB).astype(np.float64), reach)
    shares = np.correlate(is_known, new, "valid")[::-1] / total
    smooth = np.convolve(shares, np.ones(3) / 3.0, "same")
    top = np.flatnonzero(smooth >= smooth.max() - 1e-9)
    best = int(top[len(top) // 2])
    return _Displacement(
        float(np.exp((best - reach) * _STEP)), float(smooth[best]), float(np.median(shares))
    )


def _chance(share: float, lines: float) -> float:
    """Return the probability that so many lines meet known ones at some displacement by chance."""
    return float(_TRIALS * max(share, 0.02) ** lines)


def _covered_at(known: Values, new: Values, ratio: float) -> float:
    """Return the share of the new lines that are known ones, displaced by a ratio."""
    total = float(new.sum())
    if total <= 0.0:
        return 0.0
    steps = round(float(np.log(ratio)) / _STEP)
    moved = np.roll(widened(known, np.full(len(known), 2.0)), steps)
    return float(new[moved >= _MIN_KNOWN_DB].sum()) / total


def speed_finding(comparison: Comparison, found: SpeedRatio) -> Finding | None:
    """Return the change of speed; None: there is none."""
    if not found.is_change:
        return None
    lines_hz = comparison.layout.lines_hz
    return Finding(
        FindingKind.SPEED,
        strength=3.0 + 5.0 * found.strength,
        from_hz=_LOW_HZ,
        to_hz=float(min(_HIGH_HZ, lines_hz[-1])),
        change_percent=100.0 * (found.ratio - 1.0),
    )


def _pattern(prominence: Values, lines_hz: Values, grid: Values) -> Values:
    above = np.clip(prominence - _BACKGROUND_DB, 0.0, _CAP_DB)
    peaks = np.maximum(above[1:-1], np.maximum(above[:-2], above[2:]))
    return np.interp(np.exp(grid), lines_hz[1:-1], peaks)
