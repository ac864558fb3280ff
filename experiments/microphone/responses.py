"""Frequency responses of microphones and covers, and where the samples of one fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from asd_monitor.records import Samples
from asd_monitor.synthesis.filtering import db_to_amplitude, octave_peak_db, zero_phase_filter
from experiments.alarms.plant_sound import RATE_HZ

_POINTS = 1025

Response = Callable[[np.ndarray], np.ndarray]
"""Frequencies in Hz → gain in dB."""


def cover(attenuation_db: float, edge_hz: float) -> Response:
    """Return the response of a cover, of half its attenuation at the edge; an octave wide."""
    return lambda hz: -attenuation_db / (1.0 + np.exp(-6.0 * np.log2(hz / edge_hz)))


def other_response(rng: np.random.Generator) -> Response:
    """Return the response of another microphone: a tilt, and three resonances of up to 6 dB."""
    tilt_db = float(rng.uniform(-3.0, 3.0))  # per decade
    peaks = [
        (
            float(np.exp(rng.uniform(np.log(150.0), np.log(6500.0)))),
            float(rng.uniform(0.3, 1.0)),
            float(rng.uniform(2.0, 6.0) * rng.choice((-1.0, 1.0))),
        )
        for _ in range(3)
    ]

    def response(hz: np.ndarray) -> np.ndarray:
        gain = tilt_db * np.log10(hz / 1000.0)
        for centre_hz, octaves, gain_db in peaks:
            gain = gain + octave_peak_db(hz, centre_hz, octaves, gain_db)
        return np.asarray(gain)

    return response


def filtered(sound: Samples, response: Response) -> Samples:
    """Return the sound (n,) through a response."""
    hz = np.maximum(np.linspace(0.0, RATE_HZ / 2, _POINTS), 20.0)
    gains = db_to_amplitude(response(hz))
    return zero_phase_filter(sound.astype(np.float64), gains).astype(np.float32)


def bursts(
    rng: np.random.Generator, number: int, length_s: tuple[float, float], first: int, end: int
) -> Iterator[tuple[int, int]]:
    """Yield first sample and length of so many bursts that begin in the samples first to end."""
    begins = rng.integers(first, end, number)
    lengths = rng.uniform(*length_s, number) * RATE_HZ
    yield from zip(begins.tolist(), lengths.astype(int).tolist(), strict=True)
