"""The frequencies at which sound is compared: lines, third octaves, envelope bands, rates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

LINE_FRAME_S = 0.512
"""Frames of the fine spectrum; its lines are 1.95 Hz apart."""
RATE_FRAME_S = 4.0
"""Frames of the modulation spectra; their lines are 0.25 Hz apart."""
ENVELOPE_HZ = 1000
"""Sampling rate of envelopes."""
MAX_RATE_HZ = 400.0
MIN_RATE_HZ = 1.5
"""Lowest rate of the modulation spectra; slower ones are those of the rhythm."""
RHYTHM_STEP_S, RHYTHM_S = 0.02, 4.0
"""Step and longest lag of the autocorrelation of the level."""
USABLE_SHARE = 0.47
"""Of the sampling rate: above, filters of the resampler and of the device attenuate."""

_LOWEST_THIRD = 40.0
_ENVELOPE_EDGES_HZ = (
    (100.0, 300.0),
    (300.0, 600.0),
    (600.0, 1000.0),
    (1000.0, 1500.0),
    (1500.0, 2200.0),
    (2200.0, 3100.0),
    (3100.0, 4300.0),
    (4300.0, 5700.0),
    (5700.0, 7500.0),
)


@dataclass(frozen=True)
class BandLayout:
    """The frequencies for sound of one rate."""

    rate_hz: int

    @cached_property
    def frame(self) -> int:
        """Samples of a frame of the fine spectrum."""
        return round(LINE_FRAME_S * self.rate_hz)

    @cached_property
    def lines_hz(self) -> Values:
        """Frequencies (l,) of the lines of the fine spectrum."""
        each = np.fft.rfftfreq(self.frame, 1.0 / self.rate_hz)
        return np.asarray(each[(each >= 20.0) & (each <= USABLE_SHARE * self.rate_hz)])

    @property
    def line_step_hz(self) -> float:
        """Distance of two lines."""
        return self.rate_hz / self.frame

    @cached_property
    def thirds(self) -> tuple[slice, ...]:
        """The lines of each third-octave band, base two (IEC 61260-1), from 40 Hz."""
        half = 2.0 ** (1.0 / 6.0)
        centres = 1000.0 * 2.0 ** (np.arange(-14, 10) / 3.0)
        top_hz = float(self.lines_hz[-1])
        kept = [hz for hz in centres if hz >= _LOWEST_THIRD - 1.0 and hz * half <= top_hz]
        return tuple(
            slice(*np.searchsorted(self.lines_hz, (hz / half, hz * half)).tolist()) for hz in kept
        )

    @cached_property
    def thirds_hz(self) -> tuple[tuple[float, float], ...]:
        """Lower and upper limit of each third-octave band."""
        step = self.line_step_hz
        return tuple(
            (float(self.lines_hz[band.start] - step / 2), float(self.lines_hz[band.stop - 1]))
            for band in self.thirds
        )

    @cached_property
    def envelope_bands_hz(self) -> tuple[tuple[float, float], ...]:
        """Lower and upper limit of each band of which the envelope is analysed."""
        top = USABLE_SHARE * self.rate_hz
        return tuple((low, min(high, top)) for low, high in _ENVELOPE_EDGES_HZ if low <= 0.8 * top)

    @cached_property
    def rates_hz(self) -> Values:
        """Rates (r,) of the modulation spectra."""
        each = np.fft.rfftfreq(round(RATE_FRAME_S * ENVELOPE_HZ), 1.0 / ENVELOPE_HZ)
        return np.asarray(each[(each >= MIN_RATE_HZ) & (each <= MAX_RATE_HZ)])

    @cached_property
    def lags_s(self) -> Values:
        """Lags (k,) of the autocorrelation of the level."""
        return np.asarray(np.arange(1, round(RHYTHM_S / RHYTHM_STEP_S) + 1) * RHYTHM_STEP_S)

    @property
    def sizes(self) -> dict[str, int]:
        """Length of each quantity of `SoundAnalysis`."""
        bands = len(self.envelope_bands_hz)
        return {
            "level": 1,
            "lines": len(self.lines_hz),
            "prominence": len(self.lines_hz),
            "thirds": len(self.thirds),
            "modulation": bands * len(self.rates_hz),
            "impulsiveness": bands,
            "rhythm": len(self.lags_s),
            "gaps": 1,
        }


@cache
def band_layout(rate_hz: int) -> BandLayout:
    """Return the frequencies for sound of this rate."""
    return BandLayout(rate_hz)
