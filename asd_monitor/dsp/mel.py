"""Mel scales and their triangular bands.

Slaney's, which is ours: M. Slaney, "Auditory Toolbox", Interval Research report 1998-010:
linear below 1 kHz, logarithmic above; each triangle has unit area.  The one of HTK, which
many networks were trained on: S. Young et al., "The HTK Book" (2006), §5.4.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_LINEAR_HZ = 200.0 / 3.0  # Hz a mel below the break
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _LINEAR_HZ
_LOG_STEP = np.log(6.4) / 27.0


def hz_to_mel(hz: npt.ArrayLike) -> Floats:
    """Convert Hz to Slaney mels."""
    hz = np.asarray(hz, np.float64)
    above = _BREAK_MEL + np.log(np.maximum(hz, _BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return np.where(hz < _BREAK_HZ, hz / _LINEAR_HZ, above)


def mel_to_hz(mel: npt.ArrayLike) -> Floats:
    """Convert Slaney mels to Hz."""
    mel = np.asarray(mel, np.float64)
    above = _BREAK_HZ * np.exp(_LOG_STEP * (np.maximum(mel, _BREAK_MEL) - _BREAK_MEL))
    return np.where(mel < _BREAK_MEL, mel * _LINEAR_HZ, above)


@cache
def mel_filters(rate_hz: int, fft: int, bands: int) -> npt.NDArray[np.float32]:
    """Return the weights (fft // 2 + 1, bands), float32, of bands from 0 Hz to half the rate."""
    ours = Bands(0.0, rate_hz / 2, bands, htk=False, area=True, straight_in_mel=False)
    return ours.weights(rate_hz, fft)


def hz_to_htk(hz: npt.ArrayLike) -> Floats:
    """Convert Hz to the mels of HTK."""
    return np.asarray(1127.0 * np.log1p(np.asarray(hz, np.float64) / 700.0))


def htk_to_hz(mel: npt.ArrayLike) -> Floats:
    """Convert mels of HTK to Hz."""
    return np.asarray(700.0 * np.expm1(np.asarray(mel, np.float64) / 1127.0))


class Bands(NamedTuple):
    """Triangular bands of any mel scale; neighbours overlap by half."""

    low_hz: float
    high_hz: float
    bands: int
    htk: bool  # its mel scale, else Slaney's
    area: bool  # unit area, else unit height
    straight_in_mel: bool  # the triangles' sides, else in Hz

    def weights(self, rate_hz: int, fft: int) -> npt.NDArray[np.float32]:
        """Return the weights (fft // 2 + 1, bands)."""
        to_mel, to_hz = (hz_to_htk, htk_to_hz) if self.htk else (hz_to_mel, mel_to_hz)
        low, high = to_mel([self.low_hz, self.high_hz])
        edges_mel = np.linspace(low, high, self.bands + 2)
        edges_hz, bins_hz = to_hz(edges_mel), np.fft.rfftfreq(fft, 1 / rate_hz)
        edges, bins = (edges_mel, to_mel(bins_hz)) if self.straight_in_mel else (edges_hz, bins_hz)
        rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
        falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
        triangles = np.maximum(0.0, np.minimum(rising, falling))
        if self.area:
            triangles *= 2.0 / (edges_hz[2:] - edges_hz[:-2])
        return triangles.astype(np.float32)
