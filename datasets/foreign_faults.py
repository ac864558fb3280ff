"""Injected faults of other kinds than those of `asd_monitor.synthesis.injection`.

An encoder detects the kinds of fault that it was trained on better than others.  These kinds
serve to choose and to evaluate encoders; nothing is trained on them.

    stack      a harmonic series, as of a gear or motor     clip      limited peaks
    chirp      a tone with a repeated frequency sweep       echo      a comb filter
    crackle    clicks at random times                       muffle    attenuated high frequencies
    grind      periodic bursts of noise                     wow       fluctuating speed
    gate       periodic drops of level                      intruder  intermittent noise
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from asd_monitor.records import Samples

Signal = npt.NDArray[np.float64]


class _Clip(NamedTuple):
    sound: Signal  # (n,)
    severity: float
    rate_hz: int
    rng: np.random.Generator

    @property
    def seconds(self) -> Signal:
        return np.asarray(np.arange(len(self.sound)) / self.rate_hz)

    def add(self, signal: Signal, level_db: float) -> Signal:
        """Return the sound with a signal added at a level relative to its RMS."""
        rms = float(np.sqrt(np.mean(self.sound**2))) + 1e-9
        gain = rms * 10 ** (level_db / 20) / (float(np.sqrt(np.mean(signal**2))) + 1e-12)
        return np.asarray(self.sound + signal * gain)

    def log_uniform(self, low: float, high: float) -> float:
        return float(np.exp(self.rng.uniform(np.log(low), np.log(high))))

    def band_noise(self, octaves: float) -> Signal:
        """Return noise in a Gaussian band of this width about a random frequency."""
        n = len(self.sound)
        hz = np.maximum(np.fft.rfftfreq(n, 1 / self.rate_hz), 1.0)
        centre = self.log_uniform(300.0, 5000.0)
        gain = np.exp(-0.5 * (np.log2(hz / centre) / octaves) ** 2)
        return np.asarray(np.fft.irfft(np.fft.rfft(self.rng.standard_normal(n)) * gain, n))


def _stack(clip: _Clip) -> Signal:
    base = clip.log_uniform(60.0, 600.0)
    partials = [
        float(clip.rng.uniform(0.2, 1.0))
        / k**0.5
        * np.sin(2 * np.pi * k * base * clip.seconds + k * k)
        for k in range(1, 13)
        if k * base < 0.45 * clip.rate_hz
    ]
    return clip.add(np.asarray(sum(partials)), -38.0 + 30.0 * clip.severity)


def _chirp(clip: _Clip) -> Signal:
    period_s, low = float(clip.rng.uniform(0.3, 2.0)), float(clip.rng.uniform(300.0, 2500.0))
    span = float(clip.rng.uniform(0.2, 1.5))
    sweep = low * (1.0 + span * (clip.seconds / period_s % 1.0))
    tone = np.sin(2 * np.pi * np.cumsum(sweep) / clip.rate_hz)
    return clip.add(tone, -38.0 + 30.0 * clip.severity)


def _crackle(clip: _Clip) -> Signal:
    n, rng = len(clip.sound), clip.rng
    clicks = np.zeros(n)
    count = 1 + rng.poisson(n / clip.rate_hz * rng.uniform(2.0, 20.0))
    amplitudes = rng.standard_normal(count) * rng.exponential(1.0, count)
    clicks[rng.integers(0, n, count)] = amplitudes
    clicks = np.convolve(clicks, np.diff(np.hanning(9)), "same")
    return clip.add(clicks, -32.0 + 30.0 * clip.severity)


def _grind(clip: _Clip) -> Signal:
    period_s = clip.log_uniform(0.15, 1.2)
    on = (clip.seconds / period_s % 1.0 < clip.rng.uniform(0.15, 0.5)).astype(np.float64)
    envelope = np.convolve(on, np.hanning(161) / 80, "same")
    return clip.add(clip.band_noise(2.0) * envelope, -32.0 + 30.0 * clip.severity)


def _gate(clip: _Clip) -> Signal:
    period_s = float(clip.rng.uniform(0.08, 0.6))
    closed = (clip.seconds / period_s % 1.0 < 0.3).astype(np.float64)
    envelope = np.convolve(closed, np.hanning(321) / 160, "same")
    return clip.sound * (1.0 - (0.1 + 0.8 * clip.severity) * envelope)


def _limit(clip: _Clip) -> Signal:
    rms = float(np.sqrt(np.mean(clip.sound**2))) + 1e-9
    limit = rms * 10 ** ((12.0 - 14.0 * clip.severity) / 20)
    return np.asarray(limit * np.tanh(clip.sound / limit))


def _echo(clip: _Clip) -> Signal:
    delay = int(clip.rng.uniform(0.0006, 0.006) * clip.rate_hz)
    delayed = np.concatenate([np.zeros(delay), clip.sound[:-delay]])
    return clip.sound + (0.1 + 0.7 * clip.severity) * delayed


def _muffle(clip: _Clip) -> Signal:
    n = len(clip.sound)
    hz = np.maximum(np.fft.rfftfreq(n, 1 / clip.rate_hz), 1.0)
    corner = clip.log_uniform(500.0, 3000.0)
    loss_db = (1.0 + 14.0 * clip.severity) / (1.0 + (corner / hz) ** 4)
    return np.fft.irfft(np.fft.rfft(clip.sound) * 10 ** (-loss_db / 20), n)


def _wow(clip: _Clip) -> Signal:
    n, rng = len(clip.sound), clip.rng
    wobble = np.sin(2 * np.pi * float(rng.uniform(0.7, 5.0)) * clip.seconds + rng.uniform(0, 6.28))
    positions = np.cumsum(1.0 + (0.004 + 0.03 * clip.severity) * wobble)
    return np.interp(positions % n, np.arange(n), clip.sound)


def _intruder(clip: _Clip) -> Signal:
    n = len(clip.sound)
    on = clip.rng.uniform(size=n // 4000 + 2).repeat(4000)[:n] > 0.5
    envelope = np.convolve(on, np.hanning(2001) / 1000, "same")
    return clip.add(clip.band_noise(0.6) * envelope, -32.0 + 30.0 * clip.severity)


_INJECT: dict[str, Callable[[_Clip], Signal]] = {
    "stack": _stack,
    "chirp": _chirp,
    "crackle": _crackle,
    "grind": _grind,
    "gate": _gate,
    "clip": _limit,
    "echo": _echo,
    "muffle": _muffle,
    "wow": _wow,
    "intruder": _intruder,
}
FOREIGN = tuple(_INJECT)


def inject_foreign(
    clip: Samples, kind: str, severity: float, rng: np.random.Generator, rate_hz: int = 16000
) -> Samples:
    """Return `clip` (n,) with a fault of `severity` 0 … 1, limited to ±1.

    Raises:
        ValueError: the kind is not one of `FOREIGN`.

    """
    if kind not in _INJECT:
        raise ValueError(f"no foreign fault {kind!r}; there are {', '.join(FOREIGN)}")
    sound = _INJECT[kind](_Clip(clip.astype(np.float64), severity, rate_hz, rng))
    return np.clip(sound, -1.0, 1.0).astype(np.float32)
