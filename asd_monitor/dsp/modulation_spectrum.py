"""The modulation spectrum: power of the band envelopes by modulation frequency.

J. H. McDermott and E. P. Simoncelli, "Sound texture perception via statistics of the auditory
periphery", Neuron 71 (2011), "Experimental Procedures", modulation power.  Here it is normalised
by the squared mean of the envelope, so that it does not depend on the level.

Axes: t frames of the window, e envelopes, m modulation bands.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from asd_monitor.dsp.frames import Floats, hann

MODULATION_BANDS = 7
LOWEST_HZ = 0.8
HIGHEST_SHARE = 0.96  # of half the frame rate
MODULATION_FLOOR = 1e-6
"""Added to the relative modulation power; below it float32 has rounding noise only."""
SQUARED_MEAN_FLOOR = 1e-20
"""Added to the squared mean of an envelope, times the number of frames."""


def modulation_bands(frames: int, frame_rate_hz: float) -> npt.NDArray[np.bool_]:
    """Return which frequencies of a transform of so many frames are in which band, (m, bins).

    Seven bands of equal width on a logarithmic axis, from 0.8 Hz to 0.96 of half the frame rate.
    A band without any has the frequency that is nearest to its middle.
    """
    frequencies_hz = np.fft.rfftfreq(frames, 1 / frame_rate_hz)
    edges_hz = np.geomspace(LOWEST_HZ, HIGHEST_SHARE * frame_rate_hz / 2, MODULATION_BANDS + 1)
    inside = (frequencies_hz >= edges_hz[:-1, None]) & (frequencies_hz < edges_hz[1:, None])
    for band, (low_hz, high_hz) in enumerate(pairwise(edges_hz)):
        if not inside[band].any():
            inside[band, np.argmin(np.abs(frequencies_hz - (low_hz + high_hz) / 2))] = True
    return inside


def modulation_spectrum(envelopes: Floats, frame_rate_hz: float) -> Floats:
    """Return the logarithm of the relative modulation power, (m · e / 2,) of (t, e).

    Envelopes are added up in pairs, p.  With the Hann window w and the mean μ of a pair,

        M[m, p] = Σ_{f in m} |Σ_t w[t] (E[t, p] − μ[p]) exp(−2πi f t / n)|² / (n · μ[p]²)

    and the result is ``ln(M + 1e-6)``, modulation bands first.
    """
    pairs = envelopes[:, ::2] + envelopes[:, 1::2]
    frames, mean = len(pairs), pairs.mean(0)
    power = np.abs(np.fft.rfft((pairs - mean) * hann(frames)[:, None], axis=0)) ** 2
    in_bands = modulation_bands(frames, frame_rate_hz) @ power
    relative = in_bands / (frames * mean**2 + SQUARED_MEAN_FLOOR)
    return np.asarray(np.log(relative + MODULATION_FLOOR)).ravel()
