"""Random signals: shaped noise, slow wander.  Arrays are float64 of shape (n,)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Signal = npt.NDArray[np.float64]


def fast_length(n: int) -> int:
    """Return the smallest length of at least `n` whose Fourier transform is quick."""
    power = 1 << max(n - 1, 1).bit_length()
    return min(
        size for size in (power * 9 // 16, power * 5 // 8, power * 3 // 4, power) if size >= n
    )


def shape(signal: Signal, gain_at: npt.ArrayLike) -> Signal:
    """Filter with a zero-phase response sampled evenly from 0 Hz to half the rate.

    The response (m,) is interpolated; the filter is circular, which noise does not mind.
    """
    size = fast_length(len(signal))
    spectrum = np.fft.rfft(signal, size)
    gains = np.asarray(gain_at, dtype=np.float64)
    place = np.linspace(0.0, len(gains) - 1.0, len(spectrum))
    spectrum *= np.interp(place, np.arange(len(gains)), gains)
    return np.fft.irfft(spectrum, size)[: len(signal)]


def noise(n: int, gain_at: npt.ArrayLike, rng: np.random.Generator) -> Signal:
    """Return Gaussian noise with the response `gain_at` (see `shape`), of unit expected RMS."""
    gains = np.asarray(gain_at, dtype=np.float64)
    size = fast_length(n)
    bins = size // 2 + 1
    place = np.linspace(0.0, len(gains) - 1.0, bins)
    response = np.interp(place, np.arange(len(gains)), gains)
    rms = float(np.sqrt(np.mean(response**2))) or 1.0
    draws = rng.standard_normal((2, bins), dtype=np.float32)
    spectrum = (draws[0] + 1j * draws[1]) * (response * np.sqrt(size / 2.0) / rms)
    return np.fft.irfft(spectrum, size)[:n]


def wander(n: int, rate_hz: int, every_s: float, rng: np.random.Generator) -> Signal:
    """Return a smooth random curve of unit variance that turns about every `every_s` seconds."""
    knots = max(2, int(np.ceil(n / rate_hz / every_s)) + 2)
    heights = 1.16 * rng.standard_normal(knots + 2)
    part = np.arange(n) / (rate_hz * every_s)
    part += rng.uniform()
    left = part.astype(np.intp)
    part -= left
    curve: Signal = 3.0 - 2.0 * part  # in place from here on: it is called for every part
    curve *= part
    curve *= part  # part² (3 − 2 part): flat at the knots, so that nothing has a kink
    curve *= np.diff(heights).take(left)
    curve += heights.take(left)
    return curve


def decibels(gain_db: npt.ArrayLike) -> Signal:
    """Turn decibels into an amplitude factor."""
    return np.asarray(10.0 ** (np.asarray(gain_db, dtype=np.float64) / 20.0))
