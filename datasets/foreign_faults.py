"""Faults that the encoder has never met: other sounds than `asd_monitor.synthesis.injection` has.

What an encoder was trained to tell apart flatters it.  These serve to choose and to measure,
and nothing is trained on them.

    stack      a harmonic series, a gear's or a motor's     clip      distortion of the peaks
    chirp      a tone that sweeps again and again           echo      a comb, as of a loose panel
    crackle    clicks at random moments                     muffle    the highs go, more or less
    grind      bursts of rough noise, in a rhythm           wow       speed that wavers
    gate       the sound stutters                           intruder  noise that comes and goes
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from asd_monitor.records import Samples

FOREIGN = (
    "stack",
    "chirp",
    "crackle",
    "grind",
    "gate",
    "clip",
    "echo",
    "muffle",
    "wow",
    "intruder",
)

Signal = npt.NDArray[np.float64]


def inject_foreign(
    clip: Samples, kind: str, severity: float, rng: np.random.Generator, rate_hz: int = 16000
) -> Samples:
    """Return `clip` (n,) with a fault of `severity` 0 … 1; raises ValueError for no such kind."""
    sound = clip.astype(np.float64)
    n = len(sound)
    rms = float(np.sqrt(np.mean(sound**2))) + 1e-9
    seconds = np.arange(n) / rate_hz
    if kind == "stack":
        base = float(np.exp(rng.uniform(np.log(60.0), np.log(600.0))))
        added = sum(
            float(rng.uniform(0.2, 1.0)) / k**0.5 * np.sin(2 * np.pi * k * base * seconds + k * k)
            for k in range(1, 13)
            if k * base < 0.45 * rate_hz
        )
        sound = sound + _of(np.asarray(added), rms, -38.0 + 30.0 * severity)
    elif kind == "chirp":
        every, low = float(rng.uniform(0.3, 2.0)), float(rng.uniform(300.0, 2500.0))
        sweep = low * (1.0 + float(rng.uniform(0.2, 1.5)) * (seconds / every % 1.0))
        added = np.sin(2 * np.pi * np.cumsum(sweep) / rate_hz)
        sound = sound + _of(added, rms, -38.0 + 30.0 * severity)
    elif kind == "crackle":
        added = np.zeros(n)
        count = 1 + rng.poisson(n / rate_hz * rng.uniform(2.0, 20.0))
        added[rng.integers(0, n, count)] = rng.standard_normal(count) * rng.exponential(1.0, count)
        added = np.convolve(added, np.diff(np.hanning(9)), "same")
        sound = sound + _of(added, rms, -32.0 + 30.0 * severity)
    elif kind == "grind":
        every = float(np.exp(rng.uniform(np.log(0.15), np.log(1.2))))
        on = (seconds / every % 1.0 < rng.uniform(0.15, 0.5)).astype(np.float64)
        added = _band(rng, n, rate_hz, 2.0)
        sound = sound + _of(
            added * np.convolve(on, np.hanning(161) / 80, "same"), rms, -32.0 + 30.0 * severity
        )
    elif kind == "gate":
        every = float(rng.uniform(0.08, 0.6))
        closed = (seconds / every % 1.0 < 0.3).astype(np.float64)
        sound = sound * (
            1.0 - (0.1 + 0.8 * severity) * np.convolve(closed, np.hanning(321) / 160, "same")
        )
    elif kind == "clip":
        limit = rms * 10 ** ((12.0 - 14.0 * severity) / 20)
        sound = limit * np.tanh(sound / limit)
    elif kind == "echo":
        delay = int(rng.uniform(0.0006, 0.006) * rate_hz)
        sound = sound + (0.1 + 0.7 * severity) * np.concatenate([np.zeros(delay), sound[:-delay]])
    elif kind == "muffle":
        hz = np.fft.rfftfreq(n, 1 / rate_hz)
        corner = float(np.exp(rng.uniform(np.log(500.0), np.log(3000.0))))
        gain = 10 ** (-(1.0 + 14.0 * severity) / 20 / (1.0 + (corner / np.maximum(hz, 1.0)) ** 4))
        sound = np.fft.irfft(np.fft.rfft(sound) * gain, n)
    elif kind == "wow":
        wobble = np.sin(2 * np.pi * float(rng.uniform(0.7, 5.0)) * seconds + rng.uniform(0, 6.28))
        at = np.cumsum(1.0 + (0.004 + 0.03 * severity) * wobble)
        sound = np.interp(at % n, np.arange(n), sound)
    elif kind == "intruder":
        gate = np.convolve(
            rng.uniform(size=n // 4000 + 2).repeat(4000)[:n] > 0.5, np.hanning(2001) / 1000, "same"
        )
        sound = sound + _of(_band(rng, n, rate_hz, 0.6) * gate, rms, -32.0 + 30.0 * severity)
    else:
        raise ValueError(f"no foreign fault {kind!r}; there are {', '.join(FOREIGN)}")
    return np.clip(sound, -1.0, 1.0).astype(np.float32)


def _of(added: Signal, rms: float, level_db: float) -> Signal:
    return np.asarray(added * (rms * 10 ** (level_db / 20) / (np.sqrt(np.mean(added**2)) + 1e-12)))


def _band(rng: np.random.Generator, n: int, rate_hz: int, octaves: float) -> Signal:
    hz = np.maximum(np.fft.rfftfreq(n, 1 / rate_hz), 1.0)
    centre = float(np.exp(rng.uniform(np.log(300.0), np.log(5000.0))))
    gain = np.exp(-0.5 * (np.log2(hz / centre) / octaves) ** 2)
    return np.asarray(np.fft.irfft(np.fft.rfft(rng.standard_normal(n)) * gain, n))
