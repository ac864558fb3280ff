"""Spectral shaping by the Fourier transform.  Signals are float64 of shape (n,)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from asd_monitor.synthesis.machine_spec import SpectralPeak

Signal = npt.NDArray[np.float64]

_ENVELOPE_POINTS = 1025
_LN_2 = float(np.log(2.0))


def db_to_amplitude(level_db: npt.ArrayLike) -> Signal:
    """Return the amplitude ratio of a level in decibels: 10^(level / 20)."""
    return np.asarray(10.0 ** (np.asarray(level_db, dtype=np.float64) / 20.0))


def fast_fft_length(n: int) -> int:
    """Return the smallest length ≥ `n` of the form 2^k × {1, 9/8, 5/4, 3/2}."""
    power = 1 << max(n - 1, 1).bit_length()
    return min(
        size for size in (power * 9 // 16, power * 5 // 8, power * 3 // 4, power) if size >= n
    )


def zero_phase_filter(signal: Signal, gains: npt.ArrayLike) -> Signal:
    """Filter a signal (n,) with a real amplitude response, by circular convolution.

    `gains` (m,) are sampled evenly from 0 Hz to half the sampling rate and interpolated
    linearly between.
    """
    size = fast_fft_length(len(signal))
    spectrum = np.fft.rfft(signal, size)
    response = np.asarray(gains, dtype=np.float64)
    positions = np.linspace(0.0, len(response) - 1.0, len(spectrum))
    spectrum *= np.interp(positions, np.arange(len(response)), response)
    return np.fft.irfft(spectrum, size)[: len(signal)]


def convolve(signal: Signal, impulse_response: Signal) -> Signal:
    """Return the causal convolution, cut to the length of `signal`."""
    size = fast_fft_length(len(signal) + len(impulse_response))
    spectrum = np.fft.rfft(signal, size) * np.fft.rfft(impulse_response, size)
    return np.fft.irfft(spectrum, size)[: len(signal)]


def octave_peak_db(hz: Signal, centre_hz: float, width_octaves: float, gain_db: float) -> Signal:
    """Return a Gaussian peak in dB over log frequency, of standard deviation `width_octaves`."""
    return gain_db * np.exp(-0.5 * (np.log(hz / centre_hz) / (width_octaves * _LN_2)) ** 2)


def spectral_envelope(tilt_db: float, peaks: Iterable[SpectralPeak], rate_hz: int) -> Signal:
    """Return an amplitude response (1025,) from 0 Hz to half the rate.

    A slope of `tilt_db` per decade (0 dB at 1 kHz, flat below 20 Hz) plus the peaks, with a
    high-pass of second order at 40 Hz.
    """
    hz = np.maximum(np.linspace(0.0, rate_hz / 2.0, _ENVELOPE_POINTS), 20.0)
    gain_db = tilt_db * np.log10(hz / 1000.0)
    for peak in peaks:
        gain_db += octave_peak_db(hz, peak.centre_hz, peak.width_octaves, peak.gain_db)
    return db_to_amplitude(gain_db) * np.minimum(1.0, (hz / 40.0) ** 2)
