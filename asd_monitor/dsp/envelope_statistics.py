"""Statistics of compressed band envelopes.

J. H. McDermott and E. P. Simoncelli, "Sound texture perception via statistics of the auditory
periphery", Neuron 71 (2011), "Experimental Procedures": the moments of band envelopes that are
compressed like the ear does.  Here the bands are triangles on the mel scale.

Axes: t frames of the window, e envelopes.
"""

from __future__ import annotations

import numpy as np

from asd_monitor.dsp.frames import Floats
from asd_monitor.dsp.mel import mel_filters

ENVELOPE_BANDS = 32
ENVELOPE_EXPONENT = 0.15
"""Of power, which is 0.3 of amplitude (ibid.)."""
ENVELOPE_FLOOR = 1e-12
"""Added to the mean of an envelope before it divides or its logarithm is taken."""
ENVELOPE_DEVIATION_FLOOR = 1e-6
"""Added to the standard deviation of an envelope."""


def band_envelopes(power: Floats, rate_hz: int) -> Floats:
    """Return the compressed envelopes (t, 32) of a power spectrogram (t, bins).

    ``E = (power in 32 mel bands) ^ 0.15``
    """
    frame = 2 * (power.shape[1] - 1)
    return (power @ mel_filters(rate_hz, frame, ENVELOPE_BANDS)) ** ENVELOPE_EXPONENT


def envelope_statistics(envelopes: Floats) -> Floats:
    """Return the moments (4 · e,) of each envelope of (t, e).

    With the mean μ, the standard deviation σ and the central moments m3 and m4 over the window:
    ``ln μ``, ``ln(σ / μ)``, ``ln max(m4 / σ⁴, 1)`` (the kurtosis, never below 1) and
    ``m3 / σ³`` (the skewness), each for all envelopes in turn.
    """
    mean = envelopes.mean(0)
    centred = envelopes - mean
    mean = mean + ENVELOPE_FLOOR
    deviation = envelopes.std(0) + ENVELOPE_DEVIATION_FLOOR
    kurtosis = np.maximum((centred**4).mean(0) / deviation**4, 1.0)
    skewness = (centred**3).mean(0) / deviation**3
    return np.concatenate([np.log(mean), np.log(deviation / mean), np.log(kurtosis), skewness])
