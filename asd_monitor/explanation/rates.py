"""Rates in the envelopes of bands: combs of lines in the modulation spectra."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asd_monitor.explanation.band_layout import ENVELOPE_HZ, RHYTHM_STEP_S, Values
from asd_monitor.explanation.comparison import (
    Comparison,
    interpolated,
    local_peaks,
    shared_half_widths,
    widened,
)
from asd_monitor.explanation.envelopes import autocorrelation, level_steps_db

MIN_EXCESS_DB = 5.0
MIN_DEPTH_DB = -26.0
"""Modulation of a smaller depth is not audible."""
SAME_RATE = 0.03
SLOW_HZ = 20.0
"""Up to this rate the autocorrelation decides between a rate and its multiples."""
KNOWN_RHYTHM = 0.2
"""Autocorrelation from which on a lag is one of the machine's rhythm."""
IMPACT_HARMONIC_DB = -9.5
"""Least level of the second harmonic of impacts; of sinusoidal modulation it is at most −12 dB."""

_TOLERANCE = 0.015
_TONAL_HZ, _TONAL_TOLERANCE = 1500.0, 0.004
"""Beats of tones in the lower bands move with the speed: by a share of the upper limit."""
_TONAL_SHARE, _TONAL_EXCESS_DB = 0.5, 8.0
"""In a band whose power is that of tones, the envelope depends on their phases."""
_CHANCE_DB = 3.0  # by which lines of random impacts stand out of their neighbourhood
_CAP_DB = 15.0
_CLEAR_WEIGHT = 15.0
_TONE_DB = 8.0
_MAX_CANDIDATES = 8
_HARMONICS = 6
_BACKGROUND = 24  # lines on each side: ±6 Hz
_MIN_SECONDS = 2.0
_LOWER_IS_BETTER = 0.9
_STEP_S = 0.01
_LONGEST_S = 4.0
_MAX_MULTIPLE = 10
_MIN_SIMILARITY, _SAME_SIMILARITY, _NEW_SIMILARITY = 0.1, 0.5, 0.15


@dataclass(frozen=True, slots=True)
class BandRate:
    """A rate in the envelope of one band."""

    band: int
    hz: float
    excess_db: float  # above the training sound, or above chance
    weight: float  # excess of the fundamental and its harmonics together
    harmonics: int
    second_db: float  # level of the second harmonic above that of the first
    depth_db: float

    @property
    def is_clear(self) -> bool:
        """Whether random impacts, which have lines by chance, do not show such a rate."""
        is_deep = self.depth_db >= 0.0 and self.second_db < IMPACT_HARMONIC_DB
        return is_deep or self.weight >= _CLEAR_WEIGHT


def band_rates(comparison: Comparison, ratio: float) -> list[BandRate]:
    """Return the strongest new rate of each band that has one.

    Args:
        comparison: the sound beside the training sound.
        ratio: of the machine's speed to that of the training sound.

    """
    layout = comparison.layout
    if comparison.sound.seconds < _MIN_SECONDS:
        return []
    rates_hz = layout.rates_hz
    step = _step(rates_hz)
    count = len(layout.envelope_bands_hz)
    now = comparison.sound.modulation.reshape(count, -1)
    highest = comparison.training("modulation").high.reshape(count, -1)
    tonal = _tonal_shares(comparison)
    found = []
    for band, (_, high_hz) in enumerate(layout.envelope_bands_hz):
        beats_hz = _TONAL_TOLERANCE * high_hz if high_hz <= _TONAL_HZ else 0.0
        reach = shared_half_widths(rates_hz, step, _TOLERANCE, 2 + round(beats_hz / step))
        known = widened(highest[band], reach) + _TONAL_EXCESS_DB * (tonal[band] >= _TONAL_SHARE)
        if ratio != 1.0:
            known = np.maximum(known, np.interp(rates_hz / ratio, rates_hz, known))
        prominent = now[band] - _running_median(now[band])
        excess = np.minimum(now[band] - known, prominent - _CHANCE_DB)
        excess = np.where(now[band] >= MIN_DEPTH_DB, excess, -np.inf)
        rate = _strongest(band, excess, now[band], rates_hz)
        if rate is not None:
            found.append(rate)
    return found


def _tonal_shares(comparison: Comparison) -> list[float]:
    """Return the share of the tones in the power of each band of the training sound."""
    layout = comparison.layout
    power = 10.0 ** (comparison.training("lines").usual / 10.0)
    is_tone = comparison.training("prominence").usual >= _TONE_DB
    shares = []
    for low_hz, high_hz in layout.envelope_bands_hz:
        inside = (layout.lines_hz >= low_hz) & (layout.lines_hz < high_hz)
        shares.append(float(power[inside & is_tone].sum() / max(power[inside].sum(), 1e-30)))
    return shares


def _strongest(band: int, excess: Values, spectrum: Values, rates_hz: Values) -> BandRate | None:
    """Return the strongest comb; None: no line exceeds the training sound."""
    best: BandRate | None = None
    for at in local_peaks(excess, MIN_EXCESS_DB)[:_MAX_CANDIDATES]:
        rate = _comb(band, at, excess, spectrum, rates_hz)
        if best is None:
            best = rate
            continue
        factor = 1.0 if rate.hz > best.hz else _LOWER_IS_BETTER
        if rate.weight > best.weight * factor:
            best = rate
    return best


def _comb(band: int, at: int, excess: Values, spectrum: Values, rates_hz: Values) -> BandRate:
    step = _step(rates_hz)
    hz = float(rates_hz[0] + step * interpolated(spectrum, at))
    weight, harmonics, second_db = 0.0, 0, -np.inf
    for order in range(1, _HARMONICS + 1):
        centre = round((order * hz - rates_hz[0]) / step)
        reach = 1 + int(0.005 * order * hz / step)
        near = slice(max(0, centre - reach), centre + reach + 1)
        if near.start >= len(excess):
            break
        value = float(excess[near].max())
        weight += min(max(value, 0.0), _CAP_DB)
        if value >= MIN_EXCESS_DB / 2:
            harmonics += 1
            if order == 2:
                second_db = float(spectrum[near].max() - spectrum[at])
    depth_db = float(spectrum[at])
    return BandRate(band, hz, float(excess[at]), weight, harmonics, second_db, depth_db)


def slow_rate(envelopes: Values, rate_hz: float, usual: Values) -> float:
    """Return a rate, or the lower one of which it is a multiple, by the autocorrelation.

    Args:
        envelopes: squared envelopes (bands, m) at `ENVELOPE_HZ`.
        rate_hz: a rate that the modulation spectra show.
        usual: highest autocorrelation (lags,) of the training sound, by steps of `RHYTHM_STEP_S`:
            the machine's own rhythm is not taken for the lower rate.

    """
    lags = round(_LONGEST_S / _STEP_S)
    similarity = autocorrelation(level_steps_db(envelopes, _STEP_S), lags)
    # an impact has a width: neighbouring lags are alike
    smooth = np.convolve(similarity, np.ones(3) / 3.0, "same")
    values: list[tuple[float, int]] = []
    for multiple in range(1, _MAX_MULTIPLE + 1):
        lag = multiple / rate_hz / _STEP_S - 1.0
        reach = max(1, round(0.02 * lag))
        near = slice(max(0, round(lag) - reach), round(lag) + reach + 1)
        if near.stop > min(lags, int(envelopes.shape[1] / ENVELOPE_HZ / _STEP_S / 2.5)):
            break
        step = min(len(usual) - 1, round(multiple / rate_hz / RHYTHM_STEP_S) - 1)
        known = float(usual[max(0, step - 2) : step + 3].max())
        value = float(smooth[near].max())
        if multiple == 1 or known <= KNOWN_RHYTHM or value >= known + _NEW_SIMILARITY:
            values.append((value, multiple))
    highest = max((value for value, _ in values), default=0.0)
    if highest <= _MIN_SIMILARITY:
        return rate_hz
    return rate_hz / next(each for value, each in values if value >= _SAME_SIMILARITY * highest)


def _step(rates_hz: Values) -> float:
    return float(rates_hz[1] - rates_hz[0])


def _running_median(values: Values) -> Values:
    padded = np.pad(values, _BACKGROUND, mode="reflect")
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * _BACKGROUND + 1)
    return np.asarray(np.median(around, axis=1))
