"""A piece of sound → the quantities by which it is compared with the training sound.

All of them are means over the piece, so that pieces of different lengths compare.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asd_monitor.dsp.short_time_transform import ShortTimeTransform
from asd_monitor.dsp.signal_conditioning import SignalConditioner
from asd_monitor.explanation.band_layout import BandLayout, Values, band_layout
from asd_monitor.explanation.envelopes import (
    autocorrelation,
    gap_share,
    impulsiveness,
    level_steps_db,
    modulation_spectra,
    squared_envelopes,
)
from asd_monitor.records import Samples

MIN_S = 0.25
"""Shorter sound is extended by zeros."""
_FLOOR = 1e-14  # of power: −140 dBFS
_BACKGROUND_LINES = 60  # on each side: ±117 Hz
_BACKGROUND_QUANTILE = 0.25  # a dense comb of harmonics fills more than half of the lines
_BACKGROUND_STEP = 16


@dataclass(frozen=True, slots=True, eq=False)
class SoundAnalysis:
    """The quantities of a piece of sound."""

    layout: BandLayout
    seconds: float
    level: Values  # (1,), dBFS
    lines: Values  # (l,), dBFS: level of each line of the fine spectrum
    prominence: Values  # (l,), dB: of each line above its neighbourhood
    thirds: Values  # (t,), dBFS: noise level of each third octave, without its tones
    modulation: Values  # (b · r,), dB: modulation spectra of the envelope bands
    impulsiveness: Values  # (b,), dB
    rhythm: Values  # (k,): autocorrelation of the level
    gaps: Values  # (1,): share of short silence
    envelopes: Values  # (b, m): squared envelopes

    def values(self) -> dict[str, Values]:
        """Return the quantities that a profile has ranges of, by name."""
        return {name: getattr(self, name) for name in self.layout.sizes}


def conditioned(sound: Samples, from_hz: int, to_hz: int) -> Samples:
    """Return sound (n,) without DC at another rate; values that are not finite become 0."""
    conditioner = SignalConditioner(from_hz, to_hz)
    clean = np.nan_to_num(np.asarray(sound, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    clean = np.clip(clean, -1e6, 1e6)
    return np.concatenate([conditioner.push(clean), conditioner.flush()])


def analyse(sound: Samples, rate_hz: int) -> SoundAnalysis:
    """Return the quantities of conditioned sound (n,)."""
    layout = band_layout(rate_hz)
    samples = np.asarray(sound, np.float64)
    seconds = len(samples) / rate_hz
    short = round(MIN_S * rate_hz) - len(samples)
    if short > 0:
        samples = np.concatenate([samples, np.zeros(short)])
    power = _line_power(samples, layout)
    background = _background(power)
    envelopes = squared_envelopes(samples, layout)
    steps_db = level_steps_db(envelopes)
    noise = np.minimum(power, 4.0 * background)
    thirds = [noise[band].sum() for band in layout.thirds]
    return SoundAnalysis(
        layout=layout,
        seconds=seconds,
        level=np.array([10.0 * np.log10(np.mean(samples**2) + _FLOOR)]),
        lines=10.0 * np.log10(power + _FLOOR),
        prominence=10.0 * np.log10((power + _FLOOR) / (background + _FLOOR)),
        thirds=10.0 * np.log10(np.array(thirds) + _FLOOR),
        modulation=modulation_spectra(envelopes, layout).ravel(),
        impulsiveness=impulsiveness(envelopes),
        rhythm=autocorrelation(steps_db, len(layout.lags_s)),
        gaps=np.array([gap_share(steps_db)]),
        envelopes=envelopes,
    )


def _line_power(samples: Values, layout: BandLayout) -> Values:
    """Return the mean power (l,) of each line: Welch's method, Hann, half overlapped."""
    frame = layout.frame
    if len(samples) < frame:
        samples = np.concatenate([samples, np.zeros(frame - len(samples))])
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(frame) / frame)
    single = samples.astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(single, frame)[:: frame // 2]
    spectra = ShortTimeTransform(window)(frames)
    power = (spectra.real**2 + spectra.imag**2).mean(0, dtype=np.float64)
    power *= 2.0 / (window**2).sum() / frame
    first = int(np.ceil(20.0 / layout.line_step_hz))
    return np.asarray(power[first : first + len(layout.lines_hz)])


def _background(power: Values) -> Values:
    """Return the noise power (l,) in the neighbourhood of each line."""
    count = len(power)
    centres = np.arange(0, count, _BACKGROUND_STEP)
    padded = np.pad(power, _BACKGROUND_LINES, mode="reflect")
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * _BACKGROUND_LINES + 1)[centres]
    low = np.quantile(around, _BACKGROUND_QUANTILE, axis=1) * 1.3  # about the mean of noise
    return np.asarray(np.interp(np.arange(count), centres, low))
