"""Impacts and modulation: rates in the envelopes of bands, and bands that became impulsive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asd_monitor.explanation.band_layout import RHYTHM_STEP_S, Values
from asd_monitor.explanation.comparison import (
    Comparison,
    interpolated,
    local_peaks,
    shared_half_widths,
    widened,
)
from asd_monitor.explanation.envelopes import autocorrelation, impact_times_s, level_steps_db
from asd_monitor.explanation.findings import Finding, FindingKind

MIN_EXCESS_DB = 5.0
MIN_DEPTH_DB = -26.0
"""Modulation of a smaller depth is not audible."""
MIN_IMPULSIVENESS_DB = 1.2
"""Excess of the impulsiveness from which on a band is impulsive."""
MAX_TIMES = 200
_UNIT_DB, _IMPULSIVENESS_UNIT_DB = 5.0, 1.5
_TOLERANCE = 0.015
_CAP_DB = 15.0
_MAX_CANDIDATES = 8
_HARMONICS = 6
_BACKGROUND = 24  # lines on each side: ±6 Hz
_IMPACT_HARMONICS = 3
_HARMONIC_RANGE_DB = 14.0
_MIN_REGULARITY = 0.3  # autocorrelation of impacts that are slower than the modulation spectra
_SAME_RATE = 0.03


@dataclass(frozen=True, slots=True)
class _Rate:
    """A rate in the envelope of one band."""

    band: int
    hz: float
    excess_db: float
    weight: float  # of the fundamental and its harmonics
    harmonics: int
    depth_db: float


def impact_findings(comparison: Comparison, ratio: float) -> list[Finding]:
    """Return impacts and modulation, the strongest first, one of each rate.

    Args:
        comparison: the sound beside the training sound.
        ratio: of the machine's speed to that of the training sound.

    """
    layout, sound = comparison.layout, comparison.sound
    impulsive = sound.impulsiveness - np.maximum(comparison.training("impulsiveness").high, -0.5)
    rates = _rates(comparison, ratio)
    found = _by_rate(comparison, rates, impulsive)
    bands = np.flatnonzero(impulsive >= MIN_IMPULSIVENESS_DB)
    if len(bands) and not any(each.kind is FindingKind.IMPACTS for each in found):
        found.append(_without_rate(comparison, impulsive, bands))
    del layout
    return sorted(found, key=lambda each: -each.strength)


def _rates(comparison: Comparison, ratio: float) -> list[_Rate]:
    layout = comparison.layout
    rates_hz = layout.rates_hz
    step = float(rates_hz[1] - rates_hz[0])
    count = len(layout.envelope_bands_hz)
    now = comparison.sound.modulation.reshape(count, -1)
    highest = comparison.training("modulation").high.reshape(count, -1)
    reach = shared_half_widths(rates_hz, step, _TOLERANCE, 2)
    found = []
    for band in range(count):
        known = widened(highest[band], reach)
        if ratio != 1.0:
            known = np.maximum(known, np.interp(rates_hz / ratio, rates_hz, known))
        excess = now[band] - known
        prominent = now[band] - _running_median(now[band])
        excess = np.where(now[band] >= MIN_DEPTH_DB, np.minimum(excess, prominent), -np.inf)
        if comparison.sound.seconds < 2.0:
            continue
        best = _fundamental(excess, now[band], rates_hz)
        if best is not None:
            at, weight, harmonics = best
            hz = float(rates_hz[0] + step * interpolated(now[band], at))
            found.append(
                _Rate(band, hz, float(excess[at]), weight, harmonics, float(now[band][at]))
            )
    return found


def _fundamental(
    excess: Values, spectrum: Values, rates_hz: Values
) -> tuple[int, float, int] | None:
    """Return position, weight and number of harmonics of the strongest comb; None: none."""
    step = float(rates_hz[1] - rates_hz[0])
    candidates = [at for at in local_peaks(excess, MIN_EXCESS_DB)][:_MAX_CANDIDATES]
    best: tuple[int, float, int] | None = None
    for at in candidates:
        hz = float(rates_hz[0] + step * interpolated(spectrum, at))
        weight, harmonics = 0.0, 0
        for order in range(1, _HARMONICS + 1):
            centre = (order * hz - rates_hz[0]) / step
            reach = 1 + int(0.005 * order * hz / step)
            near = slice(max(0, round(centre) - reach), round(centre) + reach + 1)
            if near.start >= len(excess):
                break
            value = float(excess[near].max())
            weight += min(max(value, 0.0), _CAP_DB)
            level = float(spectrum[near].max())
            if value >= MIN_EXCESS_DB / 2 and level >= spectrum[at] - _HARMONIC_RANGE_DB:
                harmonics += 1
        if best is None or weight > best[1] * (1.0 if hz > rates_hz[best[0]] else 0.9):
            best = (at, weight, harmonics)
    return best


def _by_rate(comparison: Comparison, rates: list[_Rate], impulsive: Values) -> list[Finding]:
    found: list[Finding] = []
    left = sorted(rates, key=lambda each: -each.weight)
    bands_hz = comparison.layout.envelope_bands_hz
    while left and len(found) < 2:
        base = left[0]
        same = [each for each in left if _is_same(each.hz, base.hz)]
        left = [each for each in left if not _is_related(each.hz, base.hz)]
        strong = [each for each in same if each.weight >= 0.5 * base.weight]
        exact = [each for each in strong if abs(each.hz / base.hz - 1.0) <= _SAME_RATE] or [base]
        span = _contiguous(base.band, {each.band for each in strong})
        harmonics = max(each.harmonics for each in exact)
        is_impacts = harmonics >= _IMPACT_HARMONICS and impulsive[base.band] > 0.3
        rate_hz = float(np.average([e.hz for e in exact], weights=[e.weight for e in exact]))
        known = comparison.training("modulation").usual.reshape(len(bands_hz), -1)[base.band]
        at = int(np.argmin(np.abs(comparison.layout.rates_hz - base.hz)))
        found.append(
            Finding(
                FindingKind.IMPACTS if is_impacts else FindingKind.MODULATION,
                strength=(base.excess_db + 0.15 * base.weight) / _UNIT_DB,
                from_hz=bands_hz[span[0]][0],
                to_hz=bands_hz[span[-1]][1],
                change_db=base.depth_db - float(known[at]),
                rate_hz=rate_hz,
                harmonics=harmonics,
                new=True,
                times_s=_times(comparison, base.band) if is_impacts else (),
            )
        )
    return found


def _without_rate(comparison: Comparison, impulsive: Values, bands: Values) -> Finding:
    """Return impacts that show no rate in the modulation spectra: slow or irregular ones."""
    band = int(impulsive.argmax())
    span = _contiguous(
        band, {int(each) for each in bands if impulsive[each] >= 0.4 * impulsive[band]}
    )
    bands_hz = comparison.layout.envelope_bands_hz
    steps_db = level_steps_db(comparison.sound.envelopes[span[0] : span[-1] + 1])
    similarity = autocorrelation(steps_db, len(comparison.layout.lags_s))
    peaks = [at for at in local_peaks(similarity, _MIN_REGULARITY) if at >= 8]
    times = _times(comparison, band)
    rate_hz = None
    if peaks and len(times) >= 3:
        lag = interpolated(similarity, min(peaks[:3]))
        rate_hz = 1.0 / ((lag + 1.0) * RHYTHM_STEP_S)
    elif comparison.sound.seconds > 0:
        rate_hz = len(times) / comparison.sound.seconds
    return Finding(
        FindingKind.IMPACTS if peaks and len(times) >= 3 else FindingKind.IRREGULAR_IMPACTS,
        strength=float(impulsive[band]) / _IMPULSIVENESS_UNIT_DB,
        from_hz=bands_hz[span[0]][0],
        to_hz=bands_hz[span[-1]][1],
        change_db=float(impulsive[band]),
        rate_hz=rate_hz,
        new=True,
        times_s=times,
    )


def _times(comparison: Comparison, band: int) -> tuple[float, ...]:
    times = impact_times_s(comparison.sound.envelopes[band])
    return tuple(float(each) for each in times[:MAX_TIMES])


def _is_same(hz: float, base: float) -> bool:
    """Return whether a rate is the base rate, a multiple or a half of it."""
    return any(abs(hz / (base * share) - 1.0) <= _SAME_RATE for share in (0.5, 1.0, 2.0, 3.0))


def _is_related(hz: float, base: float) -> bool:
    """Return whether two rates are multiples of each other."""
    high, low = max(hz, base), min(hz, base)
    return abs(high / low - round(high / low)) <= _SAME_RATE * high / low


def _contiguous(base: int, members: set[int]) -> list[int]:
    """Return the bands around `base` without a gap."""
    low = high = base
    while low - 1 in members:
        low -= 1
    while high + 1 in members:
        high += 1
    return list(range(low, high + 1))


def _running_median(values: Values) -> Values:
    padded = np.pad(values, _BACKGROUND, mode="reflect")
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * _BACKGROUND + 1)
    return np.asarray(np.median(around, axis=1))
