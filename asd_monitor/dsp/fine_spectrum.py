"""The fine spectrum: tonal lines under noise, which mel bands cannot resolve.

Lines of 2 Hz from 20 to 500 Hz, and pairs of mel bands above.  The lines need frames of half a
second but not the full rate: the sound is low-pass filtered and decimated first.  The power of
the frames is averaged over the window, as in P. D. Welch, "The use of fast Fourier transform for
the estimation of power spectra", IEEE Trans. Audio Electroacoust. 15 (1967).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from asd_monitor.dsp.frames import Floats, hann
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.dsp.mel import mel_centres_hz
from asd_monitor.dsp.spectrogram import LOG_FLOOR

FRAME_FACTOR = 8
"""Front-end frames in one frame of the fine spectrum: 0.512 s."""
HOP_FACTORS = (8, 4)
"""Front-end hops between frames; the second for windows too short for the first."""
LOW_HZ, HIGH_HZ = 20.0, 500.0
MIN_DECIMATED_RATE_HZ = 2000
STOP_BAND_DB = 80.0


@dataclass(frozen=True, slots=True, eq=False)
class FineFrames:
    """Frames and low-pass filter of the fine spectrum."""

    frame: int  # samples, at the rate of the front end
    hop: int  # samples
    factor: int  # of decimation; it divides frame and hop
    taps: Floats  # (taps,), of the low-pass filter; their number is a multiple of the factor
    window: Floats  # (frame // factor,), of the decimated frame
    lines: slice  # bins of the decimated frame's transform from LOW_HZ to HIGH_HZ
    first_band: int  # of the mel bands that are taken in pairs


@cache
def fine_frames(front_end: FrontEnd) -> FineFrames:
    """Return the frames of the fine spectrum for a front end.

    Their hop is 8 front-end hops, or 4 where the window would not hold a frame wherever it
    begins.
    """
    frame, hops = FRAME_FACTOR * front_end.frame, [n * front_end.frame_hop for n in HOP_FACTORS]
    fitting = [hop for hop in hops if frame + hop - front_end.frame_hop <= front_end.window]
    factor = decimation_factor(front_end)
    taps = low_pass(front_end.rate_hz, factor)
    # outputs of the filter that depend on samples before the frame are weighted zero
    early = len(taps) // factor - (factor > 1)
    window = np.zeros(frame // factor)
    window[early:] = hann(frame // factor - early)
    bins_hz = np.fft.rfftfreq(frame, 1 / front_end.rate_hz)
    return FineFrames(
        frame=frame,
        hop=fitting[0] if fitting else hops[-1],
        factor=factor,
        taps=taps,
        window=window,
        lines=slice(*np.searchsorted(bins_hz, (LOW_HZ, HIGH_HZ)).tolist()),
        first_band=first_band_above(front_end),
    )


def decimation_factor(front_end: FrontEnd) -> int:
    """Return the largest factor that divides the front end's hop and leaves at least 2 kHz.

    The low-pass filter for it spans no more than one hop of earlier samples.
    """
    hop = front_end.frame_hop
    for factor in range(front_end.rate_hz // MIN_DECIMATED_RATE_HZ, 1, -1):
        if hop % factor == 0 and len(low_pass(front_end.rate_hz, factor)) <= hop + factor:
            return factor
    return 1


def low_pass(rate_hz: int, factor: int) -> Floats:
    """Return the taps (n,) of a linear-phase low-pass filter for decimation, of gain ``factor``.

    Designed with the Kaiser window: flat to 500 Hz, and 80 dB down at the frequencies that
    decimation folds to there.  A. V. Oppenheim and R. W. Schafer, "Discrete-Time Signal
    Processing" (3rd ed.), §7.5.3.  The number of taps is rounded up to a multiple of the factor.
    """
    if factor == 1:
        return np.ones(1)
    width = 2 * np.pi * (rate_hz / factor - 2 * HIGH_HZ) / rate_hz  # of the transition, rad
    order = int(np.ceil((STOP_BAND_DB - 7.95) / (2.285 * width)))
    count = -(-(order + 1) // factor) * factor
    at = np.arange(count) - (count - 1) / 2
    cut_off = 1.0 / factor  # of half the rate
    taps = cut_off * np.sinc(cut_off * at) * np.kaiser(count, 0.1102 * (STOP_BAND_DB - 8.7))
    return np.asarray(factor * taps / taps.sum())


def decimate(samples: Floats, taps: Floats, factor: int) -> Floats:
    """Return the filtered signal at every ``factor``-th sample, (samples // factor,).

    ``y[k] = Σ_n taps[n] · x[(k + 1) · factor − 1 − n]``, with x = 0 before the first sample.
    """
    return np.convolve(samples, taps)[factor - 1 : len(samples) : factor]


def first_band_above(front_end: FrontEnd) -> int:
    """Return the first mel band centred above 500 Hz, or the one below it.

    From there the number of bands is even: they are taken in pairs.
    """
    centres_hz = mel_centres_hz(front_end.rate_hz, front_end.mel_bands)
    above = front_end.mel_bands - int(np.searchsorted(centres_hz, HIGH_HZ))
    return front_end.mel_bands - 2 * (-(-above // 2))


def fine_spectrum(samples: Floats, mel: Floats, front_end: FrontEnd, start: int = 0) -> Floats:
    """Return the logarithms of the mean power in lines and pairs of mel bands, (lines + pairs,).

    ``log10(P + 1e-10)``, where P is the mean power of each line over the frames of the fine
    spectrum in the window, then the sum of the mean powers of each pair of mel bands.

    Args:
        samples: of the window, (window,), at the rate of the front end.
        mel: power in the front end's mel bands, (window_frames, mel_bands).
        front_end: frames and bands.
        start: sample of the stream at which the window begins.  Frames of the fine spectrum begin
            at multiples of their hop in the stream; those that lie wholly in the window count.

    """
    fine = fine_frames(front_end)
    begins = range(-start % fine.hop, len(samples) - fine.frame + 1, fine.hop)
    frames = [decimate(samples[at : at + fine.frame], fine.taps, fine.factor) for at in begins]
    spectra = np.fft.rfft(np.array(frames) * fine.window)[:, fine.lines]
    lines = (np.abs(spectra) ** 2).mean(0)
    bands = mel[:, fine.first_band :].mean(0)
    return np.log10(np.concatenate([lines, bands[::2] + bands[1::2]]) + LOG_FLOOR)
