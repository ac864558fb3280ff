"""The features of a window: names as bundles and messages have them, and plain definitions.

This is the reference in float64, window by window.  `asd_monitor.features` computes the same for
many streams at once and each frame once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from asd_monitor.dsp.envelope_statistics import band_envelopes, envelope_statistics
from asd_monitor.dsp.fine_spectrum import fine_spectrum
from asd_monitor.dsp.frames import Floats
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.dsp.gabor_features import gabor_features
from asd_monitor.dsp.mel import mel_filters
from asd_monitor.dsp.modulation_spectrum import modulation_spectrum
from asd_monitor.dsp.spectral_statistics import (
    level_dbfs,
    log_deviation,
    mean_spectrum,
    peak_spectrum,
    spectral_flux,
)
from asd_monitor.dsp.spectrogram import LOG_FLOOR, power_spectrogram


@dataclass(frozen=True, eq=False)
class WindowSignal:
    """The samples of one window, and the spectrograms that its features are computed from."""

    samples: Floats  # (window,), at the rate of the front end
    front_end: FrontEnd
    start: int = 0  # sample of the stream at which the window begins

    @cached_property
    def power(self) -> Floats:
        """Power spectrogram (window_frames, bins)."""
        return power_spectrogram(self.samples, self.front_end.frame, self.front_end.frame_hop)

    @cached_property
    def mel(self) -> Floats:
        """Power in mel bands (window_frames, mel_bands)."""
        front_end = self.front_end
        return self.power @ mel_filters(front_end.rate_hz, front_end.frame, front_end.mel_bands)

    @cached_property
    def log_mel(self) -> Floats:
        """Log-mel frames (window_frames, mel_bands)."""
        return np.log10(np.maximum(self.mel, LOG_FLOOR))

    @cached_property
    def envelopes(self) -> Floats:
        """Compressed band envelopes (window_frames, 32)."""
        return band_envelopes(self.power, self.front_end.rate_hz)


FEATURES: Mapping[str, Callable[[WindowSignal], Floats]] = {
    "level": lambda window: level_dbfs(window.samples),
    "spectrum": lambda window: mean_spectrum(window.log_mel),
    "peaks": lambda window: peak_spectrum(window.log_mel),
    "spread": lambda window: log_deviation(window.log_mel),
    "change": lambda window: spectral_flux(window.log_mel),
    "tone": lambda window: fine_spectrum(
        window.samples, window.mel, window.front_end, window.start
    ),
    "texture": lambda window: envelope_statistics(window.envelopes),
    "rhythm": lambda window: modulation_spectrum(window.envelopes, window.front_end.frame_rate_hz),
    "pattern": lambda window: gabor_features(window.log_mel, window.front_end.frame_rate_hz),
}
"""The definition of each feature: one vector, float64, of a window."""

NAMES = tuple(FEATURES)
