"""Levels: of the whole sound, of third-octave bands, and short silence."""

from __future__ import annotations

import numpy as np

from asd_monitor.explanation.band_layout import Values
from asd_monitor.explanation.comparison import Comparison
from asd_monitor.explanation.findings import Finding, FindingKind

MIN_LEVEL_DB = 2.0
MIN_BAND_DB = 2.5
"""Least excess above the highest, or deficit below the lowest level of the training sound."""
_UNIT_DB = 3.0
_LEVEL_UNIT_DB = 4.0
_WIDE = 0.7  # share of the bands from which on a change is one of the level
MIN_GAPS, _GAPS_UNIT = 0.015, 0.02


def level_findings(comparison: Comparison) -> list[Finding]:
    """Return the changes of the level and of bands; bands that follow the level are none."""
    layout = comparison.layout
    now, training = comparison.sound.thirds, comparison.training("thirds")
    louder, quieter = now - training.high, training.low - now
    level = _level(comparison)
    found = [] if level is None else [level]
    change = now - training.usual
    common = (
        float(np.median(change)) if level is not None and _is_wide(level, louder, quieter) else 0.0
    )
    for kind, excess, sign in (
        (FindingKind.LOUD_BAND, louder - max(common, 0.0), 1.0),
        (FindingKind.QUIET_BAND, quieter - max(-common, 0.0), -1.0),
    ):
        span = _widest(excess)
        if span is None:
            continue
        first, last = span
        inside = slice(first, last + 1)
        found.append(
            Finding(
                kind,
                strength=float(excess[inside].max()) / _UNIT_DB,
                from_hz=layout.thirds_hz[first][0],
                to_hz=layout.thirds_hz[last][1],
                change_db=float(sign * np.max(sign * change[inside])),
            )
        )
    return found


def gap_finding(comparison: Comparison) -> Finding | None:
    """Return short silence that the training sound does not have; None: there is none."""
    share = float(comparison.sound.gaps[0])
    excess = share - float(comparison.training("gaps").high[0])
    if excess < MIN_GAPS:
        return None
    return Finding(
        FindingKind.GAPS,
        strength=min(6.0, excess / _GAPS_UNIT),
        from_hz=float(comparison.layout.lines_hz[0]),
        to_hz=float(comparison.layout.lines_hz[-1]),
        change_percent=100.0 * share,
    )


def _level(comparison: Comparison) -> Finding | None:
    now, training = float(comparison.sound.level[0]), comparison.training("level")
    excess = max(now - float(training.high[0]), float(training.low[0]) - now)
    if excess < MIN_LEVEL_DB:
        return None
    return Finding(
        FindingKind.LEVEL,
        strength=excess / _LEVEL_UNIT_DB,
        from_hz=float(comparison.layout.lines_hz[0]),
        to_hz=float(comparison.layout.lines_hz[-1]),
        change_db=now - float(training.usual[0]),
    )


def _is_wide(level: Finding, louder: Values, quieter: Values) -> bool:
    side = louder if level.change_db > 0 else quieter
    return float(np.mean(side > 0.0)) >= _WIDE


def _widest(excess: Values) -> tuple[int, int] | None:
    """Return the first and last band of the run around the largest excess; None: there is none."""
    at = int(excess.argmax())
    if excess[at] < MIN_BAND_DB:
        return None
    least = max(0.25 * float(excess[at]), 1.0)
    first = last = at
    while first > 0 and excess[first - 1] >= least:
        first -= 1
    while last < len(excess) - 1 and excess[last + 1] >= least:
        last += 1
    return first, last
