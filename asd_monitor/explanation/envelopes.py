"""Envelopes of bands: their modulation spectra, impulsiveness, and the times of impacts.

The squared envelope of a band is the squared magnitude of its analytic signal, which is computed
by an inverse transform of the band's part of the spectrum.  Its spectrum shows rates of impacts
and of modulation: R. B. Randall and J. Antoni, "Rolling element bearing diagnostics - a tutorial",
Mech. Syst. Signal Process. 25(2), 2011.  The impulsiveness is the fourth moment that the spectral
kurtosis is made of: J. Antoni, "The spectral kurtosis", Mech. Syst. Signal Process. 20(2), 2006.
"""

from __future__ import annotations

import numpy as np

from asd_monitor.explanation.band_layout import (
    ENVELOPE_HZ,
    RATE_FRAME_S,
    RHYTHM_STEP_S,
    BandLayout,
    Values,
)

TINY = 1e-20
_TAPER_S = 0.01
_EDGE_S = 0.03  # cut off at both ends: the transform is circular there
_FRAME_OVERLAP = 4
_GAP_DB, _BESIDE_S = 8.0, 1.0


def squared_envelopes(sound: Values, layout: BandLayout) -> Values:
    """Return the squared envelopes (bands, m) of sound (n,) at `ENVELOPE_HZ`, of mean power."""
    rate_hz = layout.rate_hz
    taper = min(len(sound) // 4, round(_TAPER_S * rate_hz))
    tapered = sound.copy()
    if taper:
        ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(taper) + 0.5) / taper)
        tapered[:taper] *= ramp
        tapered[-taper:] *= ramp[::-1]
    padded_s = np.ceil(4.0 * len(sound) / rate_hz) / 4.0
    size = round(padded_s * rate_hz)
    # single precision: see `asd_monitor.dsp.short_time_transform`
    spectrum = np.fft.rfft(tapered.astype(np.float32), size, norm="forward")
    points_per_value = 2  # the widest band takes up less than this rate
    points = round(padded_s * ENVELOPE_HZ) * points_per_value
    length = max(1, int(len(sound) / rate_hz * ENVELOPE_HZ))
    edge = min(length // 8, round(_EDGE_S * ENVELOPE_HZ))
    found = []
    for low_hz, high_hz in layout.envelope_bands_hz:
        first, past = (round(hz * padded_s) for hz in (low_hz, high_hz))
        part = np.zeros(points, np.complex64)
        inside = spectrum[first : min(past, len(spectrum))]
        part[: len(inside)] = inside
        analytic = np.fft.ifft(part)
        power = (analytic.real**2 + analytic.imag**2).astype(np.float64) * (2.0 * points**2)
        means = power.reshape(-1, points_per_value).mean(1)[:length]
        found.append(means[edge : len(means) - edge])
    return np.stack(found)


def modulation_spectra(envelopes: Values, layout: BandLayout) -> Values:
    """Return the modulation spectra (bands, rates) in dB of squared envelopes (bands, m).

    0 dB is full modulation by a sinusoid.  Frames of four seconds; shorter sound is extended by
    zeros.
    """
    frame = round(RATE_FRAME_S * ENVELOPE_HZ)
    means = envelopes.mean(1, keepdims=True)
    relative = envelopes / (means + TINY) - 1.0
    length = relative.shape[1]
    used = min(frame, length)
    window = np.hanning(used + 2)[1:-1]
    starts = range(0, length - used + 1, max(1, frame // _FRAME_OVERLAP))
    frames = np.stack([relative[:, at : at + used] for at in starts]) * window
    spectra = np.fft.rfft(frames.astype(np.float32), frame, norm="forward")
    power = (spectra.real**2 + spectra.imag**2).mean(0, dtype=np.float64)
    power *= (2.0 * frame / window.sum()) ** 2
    rates = np.fft.rfftfreq(frame, 1.0 / ENVELOPE_HZ)
    first = int(np.searchsorted(rates, layout.rates_hz[0]))
    kept = power[:, first : first + len(layout.rates_hz)]
    return np.asarray(10.0 * np.log10(kept + 1e-9))


def impulsiveness(envelopes: Values) -> Values:
    """Return the impulsiveness (bands,) in dB: 0 for stationary Gaussian noise, −3 for a tone."""
    second = envelopes.mean(1)
    fourth = (envelopes**2).mean(1)
    return np.asarray(10.0 * np.log10((fourth + TINY**2) / (2.0 * second**2 + TINY**2)))


def level_steps_db(envelopes: Values, step_s: float = RHYTHM_STEP_S) -> Values:
    """Return the levels (bands, k) in dB of steps of squared envelopes (bands, m)."""
    step = round(step_s * ENVELOPE_HZ)
    count = max(1, envelopes.shape[1] // step)
    cut = envelopes[:, : count * step]
    means = cut.reshape(len(cut), count, -1).mean(2) if cut.size else envelopes
    return np.asarray(10.0 * np.log10(means + 1e-12))


def autocorrelation(steps_db: Values, lags: int) -> Values:
    """Return the mean autocorrelation (lags,) of the levels (bands, k), at lags from one step.

    Unbiased, from −1 to 1; 0 where the sound is too short for a lag.
    """
    length = steps_db.shape[1]
    limited = np.maximum(steps_db, np.median(steps_db, axis=1, keepdims=True) - 20.0)
    centred = limited - limited.mean(1, keepdims=True)
    power = (centred**2).sum(0)
    spectrum = np.fft.rfft(centred, 2 * length, axis=1)
    products = np.fft.irfft((np.abs(spectrum) ** 2).sum(0), 2 * length)
    result = np.zeros(lags)
    sums = np.concatenate([[0.0], np.cumsum(power)])
    for lag in range(1, min(lags, length // 2) + 1):
        norm = np.sqrt(sums[length - lag] * (sums[-1] - sums[lag]))
        result[lag - 1] = products[lag] / norm if norm > 1e-9 else 0.0
    return np.clip(result, -1.0, 1.0)


def gap_share(steps_db: Values, step_s: float = RHYTHM_STEP_S) -> float:
    """Return the share of steps in which the level of the median band falls for a short time.

    It falls by `_GAP_DB` below its median over the sound, and below those of `_BESIDE_S` before
    and after the step: of sound that becomes louder the first part is none, nor the last part of
    sound that becomes quieter.
    """
    level = np.median(steps_db - np.median(steps_db, axis=1, keepdims=True), axis=0)
    beside = round(_BESIDE_S / step_s)
    padded = np.pad(level, beside, mode="edge")
    medians = np.median(np.lib.stride_tricks.sliding_window_view(padded, beside + 1), axis=1)
    around = np.minimum(medians[: len(level)], medians[beside:])
    return float(np.mean(level <= np.minimum(around, 0.0) - _GAP_DB))


def impact_times_s(envelope: Values, factor: float = 6.0, apart_s: float = 0.03) -> Values:
    """Return the times of the peaks of an envelope (m,) at `factor` times its median or above."""
    smooth = np.convolve(envelope, np.ones(3) / 3.0, mode="same")
    threshold = factor * float(np.median(smooth)) + TINY
    above = np.flatnonzero(smooth >= threshold)
    if len(above) == 0:
        return np.zeros(0)
    groups = np.split(above, np.flatnonzero(np.diff(above) > apart_s * ENVELOPE_HZ) + 1)
    peaks = [float(group[smooth[group].argmax()]) for group in groups]
    return np.asarray(peaks) / ENVELOPE_HZ + _EDGE_S
