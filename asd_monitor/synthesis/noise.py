"""Random signals: Gaussian noise of a given spectrum, and slow random fluctuations."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from asd_monitor.synthesis.filtering import Signal, fast_fft_length

_UNIT_VARIANCE = 1.16  # smoothstep interpolation between independent values lowers the variance


def gaussian_noise(n: int, gains: npt.ArrayLike, rng: np.random.Generator) -> Signal:
    """Return Gaussian noise (n,) of unit expected RMS.

    `gains` (m,) is its amplitude spectrum, sampled evenly from 0 Hz to half the sampling rate
    (see `filtering.spectral_envelope`).
    """
    envelope = np.asarray(gains, dtype=np.float64)
    size = fast_fft_length(n)
    bins = size // 2 + 1
    positions = np.linspace(0.0, len(envelope) - 1.0, bins)
    response = np.interp(positions, np.arange(len(envelope)), envelope)
    rms = float(np.sqrt(np.mean(response**2))) or 1.0
    draws = rng.standard_normal((2, bins), dtype=np.float32)
    spectrum = (draws[0] + 1j * draws[1]) * (response * np.sqrt(size / 2.0) / rms)
    return np.fft.irfft(spectrum, size)[:n]


def fluctuation(n: int, rate_hz: int, interval_s: float, rng: np.random.Generator) -> Signal:
    """Return a smooth random curve (n,) of about zero mean and unit variance.

    Value noise: independent normal values every `interval_s` seconds, from a random phase,
    joined by the cubic 3t² − 2t³, whose slope is zero at each value.
    """
    knots = max(2, int(np.ceil(n / rate_hz / interval_s)) + 2)
    values = _UNIT_VARIANCE * rng.standard_normal(knots + 2)
    part = np.arange(n) / (rate_hz * interval_s)
    part += rng.uniform()
    left = part.astype(np.intp)
    part -= left
    curve: Signal = 3.0 - 2.0 * part  # in place from here on, which halves the time
    curve *= part
    curve *= part
    curve *= np.diff(values).take(left)
    curve += values.take(left)
    return curve
