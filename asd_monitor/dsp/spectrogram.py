"""Power, mel and log-mel spectrograms of a whole signal.

All are computed in the precision of the samples: float32 in, float32 out; float64 in, float64
out.  Frames are those of `asd_monitor.dsp.frames.split_frames`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from asd_monitor.dsp.frames import Precision, hann, split_frames
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.dsp.mel import mel_filters

LOG_FLOOR = 1e-10
"""Lowest power of a mel band before its logarithm."""


def power_spectrogram(
    samples: npt.NDArray[Precision], frame: int, hop: int
) -> npt.NDArray[Precision]:
    """Return the squared magnitude of the short-time Fourier transform, (n, frame // 2 + 1).

    ``P[k, f] = |Σ_n w[n] · x[k · hop + n] · exp(−2πi · f · n / frame)|²`` with the periodic Hann
    window w; not normalised.
    """
    window = hann(frame).astype(samples.dtype)
    spectra = np.fft.rfft(split_frames(samples, frame, hop) * window)
    return np.asarray(spectra.real**2 + spectra.imag**2, samples.dtype)


def mel_spectrogram(
    samples: npt.NDArray[Precision], rate_hz: int, frame: int, hop: int, bands: int
) -> npt.NDArray[Precision]:
    """Return the power in Slaney mel bands from 0 Hz to half the rate, (n, bands)."""
    return power_spectrogram(samples, frame, hop) @ mel_filters(rate_hz, frame, bands)


def log_mel_spectrogram(
    samples: npt.NDArray[Precision], front_end: FrontEnd
) -> npt.NDArray[Precision]:
    """Return the front end's log-mel frames (n, mel_bands): ``log10(max(mel, 1e-10))``.

    ``samples`` are at the rate of the front end.
    """
    mel = mel_spectrogram(
        samples, front_end.rate_hz, front_end.frame, front_end.frame_hop, front_end.mel_bands
    )
    return np.asarray(np.log10(np.maximum(mel, LOG_FLOOR)), samples.dtype)
