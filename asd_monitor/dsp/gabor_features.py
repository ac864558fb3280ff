"""Spectro-temporal Gabor features: local modulations of the log-mel spectrogram.

A bank of Gabor filters, each a complex ripple in time and frequency under a Hann envelope:
M. R. Schädler, B. T. Meyer and B. Kollmeier, "Spectro-temporal modulation subspace-spanning
filter bank features for robust automatic speech recognition", J. Acoust. Soc. Am. 131 (2012),
sec. II.  Unlike there, the maximum over the window of each filter's modulus is taken, so that a
brief event counts as much as a steady one.

Each filter is the product of one in time and one in frequency: M. R. Schädler and B. Kollmeier,
"Separable spectro-temporal Gabor filter bank features", J. Acoust. Soc. Am. 137 (2015).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from asd_monitor.dsp.frames import Floats

Complex = npt.NDArray[np.complex128]

RIPPLES = 4
"""Modulation frequencies above zero of each axis, evenly spaced."""
MAX_TEMPORAL_HZ = 12.0
MAX_SPECTRAL_PER_PAIR = 0.25  # cycles per pair of mel bands
FILTER_S = 0.3
FILTER_PAIRS = 15  # pairs of mel bands that a filter spans
PLACES = 8
"""Places along frequency at which the filters are applied."""
MODULUS_FLOOR = 1e-4
"""Added to the modulus before its logarithm."""


def receptive_field_frames(frame_rate_hz: float) -> int:
    """Return the frames that a filter spans: 0.3 s, an odd number."""
    return round(FILTER_S * frame_rate_hz) | 1


def temporal_filters(frame_rate_hz: float) -> Complex:
    """Return the filters in time (1 + RIPPLES, frames): 0, 3, 6, 9 and 12 Hz."""
    frames = receptive_field_frames(frame_rate_hz)
    seconds = (np.arange(frames) - frames // 2) / frame_rate_hz
    return _ripples(seconds, np.hanning(frames + 2)[1:-1], MAX_TEMPORAL_HZ)


def spectral_filters() -> Complex:
    """Return the filters in frequency (1 + RIPPLES, 15): 0 to 0.25 cycles per pair of bands."""
    pairs = np.arange(FILTER_PAIRS, dtype=np.float64) - FILTER_PAIRS // 2
    return _ripples(pairs, np.hanning(FILTER_PAIRS + 2)[1:-1], MAX_SPECTRAL_PER_PAIR)


def _ripples(at: Floats, envelope: Floats, highest: float) -> Complex:
    """Return the envelope, and complex ripples under it that do not respond to a constant."""
    filters = [envelope + 0j]
    for number in range(1, RIPPLES + 1):
        wave = np.exp(2j * np.pi * highest * number / RIPPLES * at)
        filters.append(envelope * (wave - (envelope @ wave.real) / envelope.sum()))
    return np.array(filters)


def gabor_filters(frame_rate_hz: float) -> Complex:
    """Return the bank (41, frames, 15), each filter of unit absolute sum.

    In order: the envelope alone; the 4 ripples in frequency; the 4 in time; the 16 that move down
    in frequency as time passes; the 16 that move up.
    """
    in_time, in_frequency = temporal_filters(frame_rate_hz), spectral_filters()
    moving = [(t, s) for t in in_time[1:] for s in in_frequency[1:]]
    factors = [(in_time[0], s) for s in in_frequency] + [(t, in_frequency[0]) for t in in_time[1:]]
    factors += moving + [(t, s.conj()) for t, s in moving]
    bank = np.array([np.outer(t, s) for t, s in factors])
    return np.asarray(bank / np.abs(bank).sum((1, 2), keepdims=True))


def place_pairs(bands: int) -> npt.NDArray[np.int64]:
    """Return the pairs of mel bands (PLACES, 15) that the filters span at each place.

    Centres are evenly spaced; beyond the lowest and the highest pair the spectrum is mirrored.
    """
    pairs, half = bands // 2, FILTER_PAIRS // 2
    centres = ((np.arange(PLACES) + 0.5) * pairs / PLACES).astype(int)
    mirrored = np.pad(np.arange(pairs), half, mode="reflect")
    return mirrored[centres[:, None] + np.arange(FILTER_PAIRS)]


def gabor_features(log_mel: Floats, frame_rate_hz: float) -> Floats:
    """Return the logarithms of the filters' largest moduli, (41 · PLACES,) of (t, bands).

    ``ln(max_k |Σ_{t, s} G[t, s] · X[k + t, s]| + 1e-4)``, where X are the means of pairs of mel
    bands about a place and k are the frames at which the filter lies wholly in the window.
    """
    bank = gabor_filters(frame_rate_hz)
    pairs = log_mel[:, : log_mel.shape[1] // 2 * 2].reshape(len(log_mel), -1, 2).mean(2)
    patches = np.lib.stride_tricks.sliding_window_view(
        pairs[:, place_pairs(log_mel.shape[1])], bank.shape[1], axis=0
    )
    moduli = np.abs(np.einsum("fts,kpst->kfp", bank, patches, optimize=True))
    return np.asarray(np.log(moduli.max(0) + MODULUS_FLOOR)).ravel()
