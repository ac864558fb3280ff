"""Mel scales and their triangular filter banks.

Slaney's scale, that of the front end: M. Slaney, "Auditory Toolbox", Interval Research report
1998-010, section "mfcc": linear below 1 kHz, logarithmic above.  The scale of HTK, which many
networks were trained on: S. Young et al., "The HTK Book" (2006), §5.4.
"""

from __future__ import annotations

from functools import cache
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from asd_monitor.dsp.frames import Floats, Matrix

_LINEAR_HZ = 200.0 / 3.0  # Hz per mel below the break
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


def hz_to_htk(hz: npt.ArrayLike) -> Floats:
    """Convert Hz to HTK mels."""
    return np.asarray(1127.0 * np.log1p(np.asarray(hz, np.float64) / 700.0))


def htk_to_hz(mel: npt.ArrayLike) -> Floats:
    """Convert HTK mels to Hz."""
    return np.asarray(700.0 * np.expm1(np.asarray(mel, np.float64) / 1127.0))


class MelBands(NamedTuple):
    """A bank of triangular filters; each one spans to the centres of the two beside it."""

    low_hz: float
    high_hz: float
    bands: int
    scale: Literal["slaney", "htk"] = "slaney"
    unit_area: bool = True
    """Each triangle has unit area over frequency in Hz; else unit height."""
    slopes: Literal["hz", "mel"] = "hz"
    """The axis along which the sides of the triangles are straight."""

    def weights(self, rate_hz: int, fft: int) -> Matrix:
        """Return the weights (fft // 2 + 1, bands), float32, of the bins of a transform."""
        to_mel, to_hz = (hz_to_htk, htk_to_hz) if self.scale == "htk" else (hz_to_mel, mel_to_hz)
        low, high = to_mel([self.low_hz, self.high_hz])
        edges_mel = np.linspace(low, high, self.bands + 2)
        edges_hz, bins_hz = to_hz(edges_mel), np.fft.rfftfreq(fft, 1 / rate_hz)
        edges, bins = (edges_mel, to_mel(bins_hz)) if self.slopes == "mel" else (edges_hz, bins_hz)
        rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
        falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
        triangles = np.maximum(0.0, np.minimum(rising, falling))
        if self.unit_area:
            triangles *= 2.0 / (edges_hz[2:] - edges_hz[:-2])
        return triangles.astype(np.float32)


@cache
def mel_filters(rate_hz: int, fft: int, bands: int) -> Matrix:
    """Return the weights (fft // 2 + 1, bands), float32, of Slaney bands from 0 Hz to rate / 2."""
    return MelBands(0.0, rate_hz / 2, bands).weights(rate_hz, fft)


def mel_centres_hz(rate_hz: int, bands: int) -> Floats:
    """Return the centre frequencies (bands,), in Hz, of the bands of `mel_filters`."""
    return mel_to_hz(np.linspace(0.0, float(hz_to_mel(rate_hz / 2)), bands + 2))[1:-1]
