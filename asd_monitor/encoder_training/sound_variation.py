"""Variations of recorded sound: speed, level, loops, repetition as impacts, spectral tilt.

Signals are (n,); the rate is 16 kHz where a duration matters.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from asd_monitor.encoder_training.log_mel_frames import RATE_HZ
from asd_monitor.records import Samples
from asd_monitor.synthesis.filtering import Signal, db_to_amplitude, zero_phase_filter
from asd_monitor.synthesis.noise import fluctuation, gaussian_noise

RMS = 0.05
CROSS_FADE = RATE_HZ // 20  # samples

_Precision = TypeVar("_Precision", np.float32, np.float64)


def at_unit_rms(sound: Signal) -> Signal:
    """Return the sound scaled to an RMS of 1."""
    return np.asarray(sound / (float(np.sqrt(np.mean(sound**2))) + 1e-9))


def at_other_speed(sound: Samples, factor: float) -> Signal:
    """Return the sound played faster by a factor, by linear interpolation."""
    positions = np.arange(0.0, len(sound) - 1, factor)
    return np.asarray(np.interp(positions, np.arange(len(sound)), sound), np.float64)


def loop(
    sound: npt.NDArray[_Precision], n: int, start: int = 0, cross_fade: int = CROSS_FADE
) -> npt.NDArray[_Precision]:
    """Return ``n`` samples of a sound repeated with equal-power cross-fades, from ``start`` on.

    The cross-fade is at most a third of the sound.
    """
    fade = min(cross_fade, len(sound) // 3)
    ramp = np.sqrt(np.linspace(0.0, 1.0, fade, dtype=sound.dtype))
    period = sound[: len(sound) - fade].copy()
    period[:fade] = period[:fade] * ramp + sound[len(sound) - fade :] * ramp[::-1]
    return np.take(period, np.arange(start, start + n), mode="wrap")


def repeat_as_impacts(sound: Signal, n: int, rng: np.random.Generator) -> Signal:
    """Return ``n`` samples in which a short sound recurs at a random interval of 0.12 to 1.6 s.

    The times have a jitter of up to 3 % of the interval, the levels one of 1 dB, both as
    standard deviations.
    """
    interval = float(np.exp(rng.uniform(np.log(0.12), np.log(1.6)))) * RATE_HZ
    jitter = float(rng.uniform(0.0, 0.03)) * interval
    sound = sound * np.minimum(1.0, (len(sound) - np.arange(len(sound))) / CROSS_FADE)
    train = 1e-4 * rng.standard_normal(n)
    for position in np.arange(float(rng.uniform()) * interval, n, interval):
        start = min(n, max(0, int(position + jitter * rng.standard_normal())))
        end = min(n, start + len(sound))
        train[start:end] += sound[: end - start] * float(db_to_amplitude(rng.normal(0.0, 1.0)))
    return train


def draw_tilt_db(rng: np.random.Generator) -> Signal:
    """Return a random spectral tilt, (257,) dB from 0 Hz to half the rate.

    Its slope has a standard deviation of 0.25 dB per octave about 1 kHz; limited to ±2 dB.
    """
    octaves = np.log2(np.maximum(np.linspace(0.0, RATE_HZ / 2000, 257), 0.05))
    return np.clip(octaves * rng.normal(0.0, 0.25), -2.0, 2.0)


def take_recording(sound: Signal, seconds: float, rng: np.random.Generator) -> Samples:
    """Return a recording of a stationary sound: from a random position, a little different.

    It differs in spectral tilt, in level by up to ±2 dB and a slow fluctuation of 0.5 dB, and
    in a noise of 36 to 50 dB below `RMS`.  float32, limited to ±1.
    """
    n = round(seconds * RATE_HZ)
    piece = np.roll(sound, -int(rng.integers(len(sound))))[:n]
    piece = zero_phase_filter(piece, db_to_amplitude(draw_tilt_db(rng)))
    piece = piece * db_to_amplitude(
        rng.uniform(-2.0, 2.0) + 0.5 * fluctuation(n, RATE_HZ, 1.5, rng)
    )
    noise = gaussian_noise(n, (1.0, 1.0), rng) * RMS
    noise *= float(db_to_amplitude(rng.uniform(-50.0, -36.0)))
    return np.clip(piece + noise, -1.0, 1.0).astype(np.float32)
