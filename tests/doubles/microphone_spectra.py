"""Spectra of windows of a microphone, and the baseline that is fitted to them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from asd_monitor.dsp.frames import Floats
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.dsp.mel import mel_centres_hz
from asd_monitor.microphone.baseline import (
    MicrophoneBaseline,
    TrainingPiece,
    fit_baseline,
    line_count,
)
from asd_monitor.microphone.recent_spectra import SpectralStatistics, Spectrum
from asd_monitor.microphone.sample_counter import NO_SAMPLE_FAULTS, SampleFaults

FRONT_END = FrontEnd()
BANDS, LINES = FRONT_END.mel_bands, line_count(FRONT_END)
HZ = mel_centres_hz(FRONT_END.rate_hz, BANDS)
LINES_HZ = np.arange(LINES) * FRONT_END.rate_hz / (8 * FRONT_END.frame) + 21.5
TRAINING_WINDOWS = 60
SHAPE_DB = -20.0 - 12.0 * np.log10(np.maximum(HZ, 50.0) / 1000.0) + 3.0 * np.sin(np.arange(BANDS))
"""The machine's spectrum."""
OFF_DB = SHAPE_DB - 25.0 + 6.0 * np.cos(np.arange(BANDS) / 9.0)
"""The spectrum of the hall, while the machine is off."""
FLUCTUATION_DB = 0.3


def spectra_of(mean_db: Floats, count: int = TRAINING_WINDOWS, seed: int = 0) -> Spectrum:
    """Return window spectra (count, b), log10 of power, that fluctuate about a mean in dB."""
    noise = np.random.default_rng(seed).normal(0.0, FLUCTUATION_DB, (count, len(mean_db)))
    return ((mean_db + noise) / 10.0).astype(np.float32)


def statistics_of(mean_db: Floats, seed: int = 1) -> SpectralStatistics:
    """Return the statistics of ten seconds of such windows."""
    return SpectralStatistics.of(spectra_of(mean_db, 20, seed))


def quiet_lines(seed: int = 0, count: int = TRAINING_WINDOWS) -> Spectrum:
    """Return lines (count, l) of noise, log10 of power."""
    return spectra_of(np.full(LINES, -30.0), count, seed)


def piece_of(
    mean_db: Floats, mode: int = 0, count: int = TRAINING_WINDOWS, seed: int = 0
) -> TrainingPiece:
    """Return a piece of training sound of one mode."""
    hop, window = FRONT_END.hop, FRONT_END.window
    starts = [number * hop for number in range(count)]
    return TrainingPiece(
        starts,
        [start + window for start in starts],
        spectra_of(mean_db, count, seed),
        quiet_lines(seed, count),
        np.full(count, mode, np.intp),
    )


def baseline_of(
    pieces: Sequence[TrainingPiece], samples: SampleFaults = NO_SAMPLE_FAULTS
) -> MicrophoneBaseline:
    """Return the baseline of pieces that are long enough for one."""
    found = fit_baseline(pieces, FRONT_END, samples)
    assert found is not None
    return found


@cache
def baseline() -> MicrophoneBaseline:
    """Return the baseline of a machine that always runs."""
    return baseline_of([piece_of(SHAPE_DB)])


def above(hz: float, change_db: float) -> Floats:
    """Return a change in dB, (b,), of the bands above a frequency, with a smooth edge."""
    return np.asarray(change_db / (1.0 + np.exp(-6.0 * np.log2(np.maximum(HZ, 1.0) / hz))))
