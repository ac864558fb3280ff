"""Local spectro-temporal shapes: which ripples of the log-mel spectrogram stand out where.

A bank of Gabor filters, each a sine ripple in time and frequency under a Hann envelope;
Schädler, Meyer & Kollmeier, "Spectro-temporal modulation subspace-spanning filter bank
features", J. Acoust. Soc. Am. 131 (2012).  Of each filter's modulus the maximum over time
is kept in groups of bands, so that a brief event counts as much as a steady one.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from asd_monitor.features.frames import Matrix
from asd_monitor.features.statistics import Vector

TEMPORAL_HZ = 12.0  # fastest ripple
SPECTRAL_PER_BAND = 0.25  # finest ripple, cycles a band
STEPS = 5  # ripples of each, from none to the fastest and finest
FILTER_S = 0.3
FILTER_BANDS = 15
GROUPS = 8
MODULUS_FLOOR = 1e-4


class Pattern:
    """The filter bank for log-mel frames of one rate."""

    def __init__(self, frame_rate_hz: float) -> None:
        self._frame_rate_hz = frame_rate_hz
        self._bank = _gabor_bank(frame_rate_hz)

    def __call__(self, log_mel: Matrix) -> Vector:
        """Return the logarithms (filters × groups,) for log-mel (frames, bands)."""
        bands = log_mel[:, : log_mel.shape[1] // 2 * 2].reshape(len(log_mel), -1, 2).mean(2)
        _, reach, width = self._bank.shape
        padded = np.pad(bands, ((0, 0), (width // 2, width // 2)), mode="reflect")
        size = (_fast_size(len(padded)), _fast_size(padded.shape[1]))
        response = np.fft.ifft2(
            np.fft.fft2(padded, size) * _bank_spectra(self._frame_rate_hz, size)
        )
        valid = response[:, reach - 1 : len(padded), width - 1 : padded.shape[1]]
        highest = np.abs(valid).max(1)
        edges = np.linspace(0, highest.shape[1], GROUPS + 1).astype(int)[:-1]
        grouped = np.maximum.reduceat(highest, edges, axis=1)
        return np.log(grouped + MODULUS_FLOOR).reshape(-1).astype(np.float32)


@cache
def _bank_spectra(frame_rate_hz: float, size: tuple[int, int]) -> npt.NDArray[np.complex64]:
    return np.fft.fft2(_gabor_bank(frame_rate_hz), size).astype(np.complex64)


@cache
def _gabor_bank(frame_rate_hz: float) -> npt.NDArray[np.complex64]:
    """Return the filters (count, frames, bands), each of unit absolute sum."""
    reach = round(FILTER_S * frame_rate_hz) | 1
    seconds = (np.arange(reach) - reach // 2)[:, None] / frame_rate_hz
    bands = (np.arange(FILTER_BANDS) - FILTER_BANDS // 2)[None, :]
    envelope = np.hanning(reach + 2)[1:-1, None] * np.hanning(FILTER_BANDS + 2)[None, 1:-1]
    bank = []
    for temporal_hz in np.linspace(0.0, TEMPORAL_HZ, STEPS):
        for per_band in np.linspace(0.0, SPECTRAL_PER_BAND, STEPS):
            directions = (1.0, -1.0) if temporal_hz and per_band else (1.0,)
            for direction in directions:
                phase = 2 * np.pi * (temporal_hz * seconds + direction * per_band * bands)
                ripple = envelope * np.exp(1j * phase)
                if temporal_hz or per_band:  # what is flat must not answer
                    ripple -= envelope * (ripple.sum() / envelope.sum())
                bank.append(ripple / np.abs(ripple).sum())
    return np.array(bank, np.complex64)


def _fast_size(length: int) -> int:
    """Return the least length at or above this that a Fourier transform works fast on."""
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1
