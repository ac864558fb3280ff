"""A change of speed: all tones of a machine move by one ratio.

The prominent lines of the sound and of the training sound are compared on a logarithmic axis of
frequency, on which a ratio is a displacement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asd_monitor.explanation.band_layout import Values
from asd_monitor.explanation.comparison import Comparison
from asd_monitor.explanation.findings import Finding, FindingKind

MAX_CHANGE = 0.18
MIN_CHANGE = 0.012
"""A smaller change is within what the load does to the speed of an induction motor."""
_STEP = 0.001
_LOW_HZ, _HIGH_HZ = 40.0, 4000.0
_BACKGROUND_DB, _CAP_DB = 6.0, 14.0
_MIN_CORRELATION = 0.3
_MIN_GAIN = 1.35  # of the correlation by the displacement


@dataclass(frozen=True, slots=True)
class SpeedRatio:
    """The ratio of a machine's tones to those of the training sound."""

    ratio: float
    correlation: float  # of the displaced lines
    without: float  # of the lines as they are

    @property
    def is_change(self) -> bool:
        """Whether the displacement explains the lines far better than none."""
        return (
            abs(self.ratio - 1.0) >= MIN_CHANGE
            and self.correlation >= _MIN_CORRELATION
            and self.correlation >= _MIN_GAIN * self.without
        )


def speed_ratio(comparison: Comparison) -> SpeedRatio:
    """Return the ratio that explains the lines of the sound best; 1 where there are no tones."""
    layout = comparison.layout
    training = comparison.training("prominence")
    steady = np.where(training.usual >= _BACKGROUND_DB, training.high, training.usual)
    grid = np.arange(np.log(_LOW_HZ), np.log(min(_HIGH_HZ, layout.lines_hz[-1])), _STEP)
    known = _pattern(steady, layout.lines_hz, grid)
    now = _pattern(comparison.sound.prominence, layout.lines_hz, grid)
    norm = float(np.sqrt((known**2).sum() * (now**2).sum()))
    if norm <= 0.0:
        return SpeedRatio(1.0, 0.0, 0.0)
    reach = round(MAX_CHANGE / _STEP)
    padded = np.pad(now, reach)
    correlation = np.correlate(padded, known, "valid") / norm
    near = round(MIN_CHANGE / 2 / _STEP)
    without = float(correlation[reach - near : reach + near + 1].max())
    best = int(correlation.argmax())
    return SpeedRatio(float(np.exp((best - reach) * _STEP)), float(correlation[best]), without)


def speed_finding(comparison: Comparison, found: SpeedRatio) -> Finding | None:
    """Return the change of speed; None: there is none."""
    if not found.is_change:
        return None
    lines_hz = comparison.layout.lines_hz
    return Finding(
        FindingKind.SPEED,
        strength=2.0 + 6.0 * (found.correlation - found.without),
        from_hz=_LOW_HZ,
        to_hz=float(min(_HIGH_HZ, lines_hz[-1])),
        change_percent=100.0 * (found.ratio - 1.0),
    )


def _pattern(prominence: Values, lines_hz: Values, grid: Values) -> Values:
    above = np.clip(prominence - _BACKGROUND_DB, 0.0, _CAP_DB)
    peaks = np.maximum(above[1:-1], np.maximum(above[:-2], above[2:]))
    return np.interp(np.exp(grid), lines_hz[1:-1], peaks)
