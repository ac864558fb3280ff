"""What a window is summed up to: one vector a feature, each of one unlike kind.

- ``level``: RMS in dBFS.
- ``spectrum``, ``peaks`` and ``spread``: mean, maximum and standard deviation of each
  log-mel band.
- ``change``: mean step of each log-mel band from frame to frame.
- ``tone``: mean power in lines of 2 Hz below 500 Hz and pairs of mel bands above; sees tonal
  lines under noise, which 128 mel bands smear (`asd_monitor.features.decimated_spectrum`).
- ``texture``: moments of compressed band envelopes; McDermott & Simoncelli, "Sound texture
  perception via statistics of the auditory periphery", Neuron 71 (2011).
- ``rhythm``: power of those envelopes by modulation frequency, normalised by their means
  (ibid.), so that it does not follow the level.
- ``pattern``: local shapes in the spectrogram (`asd_monitor.features.separable_gabor`).

Axes: m streams, q windows of each, t frames of a window, then b bands.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from asd_monitor.dsp.frames import Matrix, hann

Sums = npt.NDArray[np.float64]

ENVELOPE_BANDS = 32
ENVELOPE_POWER = 0.15  # of power: 0.3 of amplitude, the ear's compression (ibid.)
LEAST_MODULATION = 1e-6  # of power, relative; below it float32 shows how it rounds


def level(mean_squares: Matrix) -> Matrix:
    """Return the RMS in dBFS of mean squares."""
    return np.asarray(10.0 * np.log10(mean_squares + np.float32(1e-12)), np.float32)


def spread(mean: Sums, mean_square: Sums) -> Matrix:
    """Return the logarithm of the standard deviation, by a mean and a mean square."""
    variance = np.maximum(mean_square - mean * mean, 0.0)
    return np.asarray(np.log(np.sqrt(variance) + 1e-3), np.float32)


def texture(mean: Matrix, off: Matrix) -> Matrix:
    """Return mean, variation, kurtosis and skewness of each envelope, one kind after the other.

    Of the means (m, q, b) and how far off the frames are (m, q, t, b).
    """
    share = np.float32(1.0 / off.shape[2])
    squares = off * off
    second = np.add.reduce(squares, 2) * share
    third = np.einsum("mqtb,mqtb->mqb", squares, off) * share
    fourth = np.einsum("mqtb,mqtb->mqb", squares, squares) * share
    deviation = np.sqrt(second) + np.float32(1e-6)  # silence has none
    variance = deviation * deviation
    floored = mean + np.float32(1e-12)
    kurtosis = np.maximum(fourth / (variance * variance), np.float32(1.0))  # it never is less
    logarithms = np.log(np.concatenate([floored, deviation / floored, kurtosis], axis=2))
    return np.concatenate([logarithms, third / (variance * deviation)], axis=2)


class ModulationSpectrum:
    """Modulation power of the envelopes in bands of modulation frequency."""

    def __init__(self, frames: int, frame_rate_hz: float, bands: int) -> None:
        frequencies = np.fft.rfftfreq(frames, 1 / frame_rate_hz)
        edges = np.geomspace(0.8, 0.96 * frame_rate_hz / 2, bands + 1)
        inside = (frequencies >= edges[:-1, None]) & (frequencies < edges[1:, None])
        for row, (low, high) in enumerate(pairwise(edges)):
            if not inside[row].any():
                inside[row, np.argmin(np.abs(frequencies - (low + high) / 2))] = True
        # a window is short and its number of frames often prime: a product is faster than a
        # Fourier transform
        used = np.flatnonzero(inside.any(0))
        angles = 2 * np.pi * np.outer(np.arange(frames), used) / frames
        weights = hann(frames)[:, None] * np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
        weights -= weights.mean(0)  # the envelopes have no mean, but for how it was rounded
        self._waves = np.ascontiguousarray(weights.T, np.float32)
        self._bands = np.tile(inside[:, used].astype(np.float32), (1, 2))

    def __call__(self, mean: Matrix, off: Matrix) -> Matrix:
        """Return the logarithms (m, q, modulation bands × pairs), of what `texture` takes.

        Envelopes are taken in pairs: half as many bands tell as much of a rhythm.
        """
        mean = mean[..., ::2] + mean[..., 1::2]
        waves = self._waves @ (off[..., ::2] + off[..., 1::2])
        power = self._bands @ np.square(waves, out=waves)
        power /= (mean * mean * np.float32(off.shape[2]) + np.float32(1e-20))[:, :, None]
        power += np.float32(LEAST_MODULATION)
        return np.asarray(np.log(power, out=power).reshape(*mean.shape[:2], -1))
