"""Slaney's mel scale and its triangular bands.

M. Slaney, "Auditory Toolbox", Interval Research report 1998-010: linear below 1 kHz,
logarithmic above; each triangle has unit area.
"""

from __future__ import annotations

from functools import cache

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
    edges_hz = mel_to_hz(np.linspace(0.0, float(hz_to_mel(rate_hz / 2)), bands + 2))
    bins_hz = np.linspace(0.0, rate_hz / 2, fft // 2 + 1)[:, None]
    low, centre, high = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    rising = (bins_hz - low) / (centre - low)
    falling = (high - bins_hz) / (high - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling)) * (2.0 / (high - low))
    return triangles.astype(np.float32)
