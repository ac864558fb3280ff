"""Level of a window, and statistics of its log-mel frames.

Axes: t frames of the window, b mel bands.
"""

from __future__ import annotations

import numpy as np

from asd_monitor.dsp.frames import Floats

LEVEL_FLOOR = 1e-12
"""Added to the mean square, full scale 1; silence has −120 dBFS."""
DEVIATION_FLOOR = 1e-3
"""Added to the standard deviation of a log-mel band, log10 of power."""


def level_dbfs(samples: Floats) -> Floats:
    """Return the RMS level in dB relative to full scale, (1,).

    ``L = 10 · log10(mean(x²) + 1e-12)``, so that a sine of full scale has −3.01 dBFS, unlike in
    AES17, where it has 0.
    """
    return np.array([10.0 * np.log10(np.mean(samples**2) + LEVEL_FLOOR)])


def mean_spectrum(log_mel: Floats) -> Floats:
    """Return the mean of each band over the window, (b,) of (t, b): the spectral envelope."""
    return np.asarray(log_mel.mean(0))


def peak_spectrum(log_mel: Floats) -> Floats:
    """Return the maximum of each band over the window, (b,) of (t, b)."""
    return np.asarray(np.max(log_mel, axis=0))


def log_deviation(log_mel: Floats) -> Floats:
    """Return the logarithm of the standard deviation of each band, (b,) of (t, b).

    ``ln(σ + 1e-3)`` with the biased σ.
    """
    return np.asarray(np.log(log_mel.std(0) + DEVIATION_FLOOR))


def spectral_flux(log_mel: Floats) -> Floats:
    """Return the mean absolute change of each band from frame to frame, (b,) of (t, b).

    ``F[b] = mean_t |X[t + 1, b] − X[t, b]|``: the spectral flux of E. Scheirer and M. Slaney,
    "Construction and evaluation of a robust multifeature speech/music discriminator", ICASSP
    (1997), by band and in absolute values.
    """
    return np.asarray(np.abs(np.diff(log_mel, axis=0)).mean(0))
