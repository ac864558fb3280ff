"""Statistics of windows, of many streams at once, in float32.

Definitions and formulas: `asd_monitor.dsp.spectral_statistics`,
`asd_monitor.dsp.envelope_statistics` and `asd_monitor.dsp.modulation_spectrum`.

Axes: m streams, q windows of each, t frames of a window, then b bands or e envelopes.
"""

from __future__ import annotations

import numpy as np

from asd_monitor.dsp.envelope_statistics import ENVELOPE_DEVIATION_FLOOR, ENVELOPE_FLOOR
from asd_monitor.dsp.frames import Floats, Matrix, hann
from asd_monitor.dsp.modulation_spectrum import (
    MODULATION_FLOOR,
    SQUARED_MEAN_FLOOR,
    modulation_bands,
)
from asd_monitor.dsp.spectral_statistics import DEVIATION_FLOOR, LEVEL_FLOOR


def level_of_power(mean_squares: Matrix) -> Matrix:
    """Return the RMS level in dBFS of mean squares."""
    return np.asarray(10.0 * np.log10(mean_squares + np.float32(LEVEL_FLOOR)), np.float32)


def log_deviation_of_means(mean: Floats, mean_square: Floats) -> Matrix:
    """Return the logarithm of the standard deviation, from means and mean squares."""
    variance = np.maximum(mean_square - mean * mean, 0.0)
    return np.asarray(np.log(np.sqrt(variance) + DEVIATION_FLOOR), np.float32)


def envelope_moments(mean: Matrix, centred: Matrix) -> Matrix:
    """Return the moments (m, q, 4 · e) of envelopes.

    ``mean`` (m, q, e) are their means and ``centred`` (m, q, t, e) their deviations from them.
    """
    share = np.float32(1.0 / centred.shape[2])
    squares = centred * centred
    second = np.add.reduce(squares, 2) * share
    third = np.einsum("mqtb,mqtb->mqb", squares, centred) * share
    fourth = np.einsum("mqtb,mqtb->mqb", squares, squares) * share
    deviation = np.sqrt(second) + np.float32(ENVELOPE_DEVIATION_FLOOR)
    variance = deviation * deviation
    floored = mean + np.float32(ENVELOPE_FLOOR)
    kurtosis = np.maximum(fourth / (variance * variance), np.float32(1.0))
    logarithms = np.log(np.concatenate([floored, deviation / floored, kurtosis], axis=2))
    return np.concatenate([logarithms, third / (variance * deviation)], axis=2)


class ModulationSpectrum:
    """Modulation power of pairs of envelopes, by a product with the waves that are in a band.

    A window has few frames, often a prime number of them: the product is faster than a Fourier
    transform.
    """

    def __init__(self, frames: int, frame_rate_hz: float) -> None:
        inside = modulation_bands(frames, frame_rate_hz)
        used = np.flatnonzero(inside.any(0))
        angles = 2 * np.pi * np.outer(np.arange(frames), used) / frames
        window = hann(frames).astype(np.float32)[:, None]
        waves = window * np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
        waves -= waves.mean(0)  # so that the rounding of the envelopes' means has no effect
        self._waves = np.ascontiguousarray(waves.T, np.float32)
        self._bands = np.tile(inside[:, used].astype(np.float32), (1, 2))

    def __call__(self, mean: Matrix, centred: Matrix) -> Matrix:
        """Return the vectors (m, q, modulation bands · pairs); arguments as `envelope_moments`."""
        mean = mean[..., ::2] + mean[..., 1::2]
        waves = self._waves @ (centred[..., ::2] + centred[..., 1::2])
        power = self._bands @ np.square(waves, out=waves)
        frames = np.float32(centred.shape[2])
        power /= (mean * mean * frames + np.float32(SQUARED_MEAN_FLOOR))[:, :, None]
        power += np.float32(MODULATION_FLOOR)
        return np.asarray(np.log(power, out=power).reshape(*mean.shape[:2], -1))
