"""The log-mel spectrograms that the encoder is trained on: the frames of the front end.

Axes: T frames, F mel bands.  Values are log10 of power, in half precision.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.dsp.spectrogram import log_mel_spectrogram

FRONT_END = FrontEnd()  # the frames of the statistics, so that the encoder adds none of its own
RATE_HZ, FRAME, HOP = FRONT_END.rate_hz, FRONT_END.frame, FRONT_END.frame_hop
BANDS = FRONT_END.mel_bands

LogMel = npt.NDArray[np.float16]
"""(T, F), log10 of power."""


def log_mel(sound: npt.ArrayLike) -> LogMel:
    """Return the log-mel spectrogram (T, F), float16, of sound (samples,) at 16 kHz."""
    spectrogram = log_mel_spectrogram(np.asarray(sound, np.float32), FRONT_END)
    return spectrogram.astype(np.float16)


def duration_s(frames: float) -> float:
    """Return the duration of so many frames, in s."""
    return frames * FRONT_END.frame_period_s


def frames_in(seconds: float) -> int:
    """Return the number of frames that last about so long."""
    return round(seconds / FRONT_END.frame_period_s)
