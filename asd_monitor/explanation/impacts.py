"""Impacts and modulation: rates in the envelopes of bands, and bands that became impulsive."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asd_monitor.explanation.band_layout import RHYTHM_STEP_S, Values
from asd_monitor.explanation.comparison import Comparison, interpolated, local_peaks
from asd_monitor.explanation.envelopes import autocorrelation, impact_times_s, level_steps_db
from asd_monitor.explanation.findings import Finding, FindingKind
from asd_monitor.explanation.rates import (
    IMPACT_HARMONIC_DB,
    KNOWN_RHYTHM,
    SAME_RATE,
    SLOW_HZ,
    BandRate,
    band_rates,
    slow_rate,
)

MIN_IMPULSIVENESS_DB = 1.2
"""Excess of the impulsiveness from which on a band is impulsive."""
MAX_TIMES = 200
_UNIT_DB, _IMPULSIVENESS_UNIT_DB = 5.0, 1.5
_MAX_RATES = 2
_MIN_REGULARITY = 0.35  # autocorrelation of impacts that are slower than the modulation spectra
_SHORTEST_LAG, _LONGEST_LAG = 8, 75  # steps
_MIN_IMPACTS = 4
_AS_CLEAR = 0.75


def impact_findings(comparison: Comparison, ratio: float) -> list[Finding]:
    """Return impacts and modulation, the strongest first, one of each rate.

    Args:
        comparison: the sound beside the training sound.
        ratio: of the machine's speed to that of the training sound.

    """
    sound, training = comparison.sound, comparison.training("impulsiveness")
    impulsive = sound.impulsiveness - np.maximum(training.high, -0.5)
    rates = [
        rate
        for rate in band_rates(comparison, ratio)
        if impulsive[rate.band] < MIN_IMPULSIVENESS_DB or rate.is_clear
    ]
    found = _by_rate(comparison, rates)
    bands = {int(band) for band in np.flatnonzero(impulsive >= MIN_IMPULSIVENESS_DB)}
    if bands and not any(each.kind is FindingKind.IMPACTS for each in found):
        found.append(_without_rate(comparison, impulsive, bands))
    return sorted(found, key=lambda each: -each.strength)


def _by_rate(comparison: Comparison, rates: Sequence[BandRate]) -> list[Finding]:
    found: list[Finding] = []
    left = sorted(rates, key=lambda each: -each.weight)
    while left and len(found) < _MAX_RATES:
        base = left[0]
        same = [each for each in left if _is_same(each.hz, base.hz)]
        left = [each for each in left if not _is_related(each.hz, base.hz)]
        found.append(_rate_finding(comparison, base, same))
    return found


def _rate_finding(comparison: Comparison, base: BandRate, same: Sequence[BandRate]) -> Finding:
    strong = [each for each in same if each.weight >= 0.5 * base.weight]
    exact = [each for each in strong if abs(each.hz / base.hz - 1.0) <= SAME_RATE]
    bands_hz = comparison.layout.envelope_bands_hz
    span = _contiguous(base.band, {each.band for each in strong})
    is_impacts = max(each.second_db for each in exact) >= IMPACT_HARMONIC_DB
    weights = [each.weight for each in exact]
    rate_hz = float(np.average([each.hz for each in exact], weights=weights))
    if is_impacts and rate_hz <= SLOW_HZ:
        envelopes = comparison.sound.envelopes[span[0] : span[-1] + 1]
        rate_hz = slow_rate(envelopes, rate_hz, comparison.training("rhythm").high)
    usual = comparison.training("modulation").usual.reshape(len(bands_hz), -1)[base.band]
    at = int(np.argmin(np.abs(comparison.layout.rates_hz - base.hz)))
    return Finding(
        FindingKind.IMPACTS if is_impacts else FindingKind.MODULATION,
        strength=(base.excess_db + 0.15 * base.weight) / _UNIT_DB,
        from_hz=bands_hz[span[0]][0],
        to_hz=bands_hz[span[-1]][1],
        change_db=base.depth_db - float(usual[at]),
        rate_hz=rate_hz,
        harmonics=max(each.harmonics for each in exact),
        new=True,
        times_s=_times(comparison, base.band) if is_impacts else (),
    )


def _without_rate(comparison: Comparison, impulsive: Values, bands: set[int]) -> Finding:
    """Return impacts that show no rate in the modulation spectra: slow or irregular ones."""
    band = int(impulsive.argmax())
    span = _contiguous(
        band, {each for each in bands if impulsive[each] >= 0.4 * float(impulsive[band])}
    )
    bands_hz = comparison.layout.envelope_bands_hz
    steps_db = level_steps_db(comparison.sound.envelopes[span[0] : span[-1] + 1])
    similarity = autocorrelation(steps_db, len(comparison.layout.lags_s))
    usual = comparison.training("rhythm").high
    peaks = [
        at
        for at in local_peaks(similarity, _MIN_REGULARITY)
        if _SHORTEST_LAG <= at < _LONGEST_LAG and usual[at] <= KNOWN_RHYTHM
    ]
    times = _times(comparison, band)
    if peaks and len(times) >= _MIN_IMPACTS:
        kind = FindingKind.IMPACTS
        clear = [at for at in peaks if similarity[at] >= _AS_CLEAR * similarity[peaks[0]]]
        lag = interpolated(similarity, min(clear))
        rate_hz = 1.0 / ((lag + 1.0) * RHYTHM_STEP_S)
    else:
        kind = FindingKind.IRREGULAR_IMPACTS
        rate_hz = len(times) / max(comparison.sound.seconds, 0.1)
    return Finding(
        kind,
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
    return any(abs(hz / (base * share) - 1.0) <= SAME_RATE for share in (0.5, 1.0, 2.0, 3.0))


def _is_related(hz: float, base: float) -> bool:
    """Return whether two rates are multiples of each other."""
    high, low = max(hz, base), min(hz, base)
    return abs(high / low - round(high / low)) <= SAME_RATE * high / low


def _contiguous(base: int, members: set[int]) -> list[int]:
    """Return the bands around `base` without a gap."""
    low = high = base
    while low - 1 in members:
        low -= 1
    while high + 1 in members:
        high += 1
    return list(range(low, high + 1))
