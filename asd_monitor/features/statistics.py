"""What a window's frames are summed up to: one vector a feature, each of one unlike kind.

Shapes: log-mel (frames, bands), envelopes (frames, bands), fine (frames, lines).

- ``level``: RMS in dBFS.
- ``spectrum``, ``peaks`` and ``spread``: mean, maximum and standard deviation of each
  log-mel band.
- ``change``: mean step of each log-mel band from frame to frame.
- ``tone``: mean power in lines of 2 Hz below 500 Hz and geometric bands above; sees tonal
  lines under noise, which 128 mel bands smear.
- ``texture``: moments of compressed band envelopes; McDermott & Simoncelli, "Sound texture
  perception via statistics of the auditory periphery", Neuron 71 (2011).
- ``rhythm``: power of those envelopes by modulation frequency, normalised by their means
  (ibid.), so that it does not follow the level.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from asd_monitor.features.frames import Matrix

Vector = npt.NDArray[np.float32]

NAMES = (
    *("level", "spectrum", "peaks", "spread", "change"),
    *("tone", "texture", "rhythm", "pattern"),
)  # `pattern` is in a file of its own

LOG_FLOOR = 1e-10
ENVELOPE_BANDS = 32
ENVELOPE_POWER = 0.15  # of power: 0.3 of amplitude, the ear's compression (ibid.)
TINY = 1e-9


def level(mean_squares: Matrix) -> Vector:
    """Return the RMS in dBFS (1,) of hops of mean squares (hops, 1)."""
    return np.asarray([10.0 * np.log10(float(mean_squares.mean()) + 1e-12)], np.float32)


def spectrum(log_mel: Matrix) -> Vector:
    """Return the mean of each band."""
    return np.asarray(log_mel.mean(0))


def peaks(log_mel: Matrix) -> Vector:
    """Return the highest value of each band."""
    return np.asarray(log_mel.max(0))


def spread(log_mel: Matrix) -> Vector:
    """Return the logarithm of each band's standard deviation."""
    return np.asarray(np.log(log_mel.std(0) + np.float32(1e-3)))


def change(log_mel: Matrix) -> Vector:
    """Return each band's mean absolute step."""
    return np.asarray(np.abs(np.diff(log_mel, axis=0)).mean(0))


def tone(fine: Matrix) -> Vector:
    """Return the logarithm of each line's mean power."""
    return np.asarray(np.log10(fine.mean(0) + np.float32(LOG_FLOOR)))


def texture(envelopes: Matrix) -> Vector:
    """Return mean, variation, skewness and kurtosis of each envelope, one kind after the other."""
    mean = envelopes.mean(0)
    off = envelopes - mean
    squares = off * off
    deviation = np.sqrt(squares.mean(0)) + np.float32(1e-6)  # silence has none
    skewness = (squares * off).mean(0) / deviation**3
    kurtosis = np.maximum((squares * squares).mean(0) / deviation**4, 1.0)  # it never is less
    return np.concatenate(
        [np.log(mean + 1e-12), np.log(deviation / (mean + 1e-12)), skewness, np.log(kurtosis)]
    ).astype(np.float32)


class Rhythm:
    """Modulation power of the envelopes in bands of modulation frequency."""

    def __init__(self, frames: int, frame_rate_hz: float, bands: int) -> None:
        self._hann = np.hanning(frames).astype(np.float32)[:, None]
        frequencies = np.fft.rfftfreq(frames, 1 / frame_rate_hz)
        edges = np.geomspace(0.8, 0.96 * frame_rate_hz / 2, bands + 1)
        inside = (frequencies >= edges[:-1, None]) & (frequencies < edges[1:, None])
        for row, (low, high) in enumerate(pairwise(edges)):
            if not inside[row].any():
                inside[row, np.argmin(np.abs(frequencies - (low + high) / 2))] = True
        self._bands = inside.astype(np.float32)

    def __call__(self, envelopes: Matrix) -> Vector:
        """Return the logarithms (modulation bands × envelopes,)."""
        mean = envelopes.mean(0)
        spectrum = np.fft.rfft((envelopes - mean) * self._hann, axis=0)
        power = self._bands @ (spectrum.real**2 + spectrum.imag**2)
        relative = power / (mean * mean * len(envelopes) + np.float32(1e-20))
        return np.asarray(np.log(relative + np.float32(TINY)).ravel())


@cache
def fine_lines(rate_hz: int, frame: int) -> Matrix:
    """Return the weights (frame // 2 + 1, lines) that average a spectrum's bins into lines."""
    edges_hz = np.concatenate(
        [np.arange(20.0, 500.0, 2.0), np.geomspace(500.0, rate_hz / 2, 52)],
    )
    bins_hz = np.fft.rfftfreq(frame, 1 / rate_hz)
    line = np.searchsorted(edges_hz, bins_hz, side="right") - 1
    weights = np.zeros((len(bins_hz), len(edges_hz) - 1), np.float32)
    within = (line >= 0) & (line < weights.shape[1])
    weights[np.nonzero(within)[0], line[within]] = 1.0
    for empty in np.nonzero(weights.sum(0) == 0)[0]:
        centre_hz = (edges_hz[empty] + edges_hz[empty + 1]) / 2
        weights[np.argmin(np.abs(bins_hz - centre_hz)), empty] = 1.0
    return np.asarray(weights / weights.sum(0))
