"""Structures that ring: blows through decaying resonances (modal synthesis)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from asd_monitor.synthesis.machine_spec import Mode, Room
from asd_monitor.synthesis.noise import Signal, fast_length


def draw_modes(
    low_hz: float,
    high_hz: float,
    count: int,
    rng: np.random.Generator,
    decay_s: tuple[float, float] = (0.002, 0.03),
) -> tuple[Mode, ...]:
    """Draw `count` resonances, evenly in log frequency, the high ones dying sooner."""
    found = []
    for hz in np.sort(np.exp(rng.uniform(np.log(low_hz), np.log(high_hz), count))):
        decay = np.exp(rng.uniform(*np.log(decay_s))) * min(1.0, (1000.0 / hz) ** 0.5 + 0.2)
        found.append(Mode(float(hz), float(decay), float(rng.uniform(0.3, 1.0))))
    return tuple(found)


def response(modes: tuple[Mode, ...], rate_hz: int) -> Signal:
    """Impulse response of unit energy; modes above 0.47 of the rate are left out."""
    kept = [mode for mode in modes if mode.hz < 0.47 * rate_hz] or [
        Mode(0.2 * rate_hz, modes[0].decay_s, 1.0)
    ]
    time = np.arange(int(6.0 * max(mode.decay_s for mode in kept) * rate_hz) + 8) / rate_hz
    ring = np.zeros(len(time))
    for mode in kept:
        # a quick attack instead of a step, as a blow between two bodies lasts a fraction of a ms
        swell = 1.0 - np.exp(-time / 0.0004)
        decaying = swell * np.exp(-time / mode.decay_s)
        ring += mode.gain * decaying * np.sin(2.0 * np.pi * mode.hz * time)
    return ring / float(np.sqrt(np.sum(ring**2)))


def convolve(signal: Signal, impulse: Signal) -> Signal:
    """Return the causal convolution, as long as `signal`."""
    size = fast_length(len(signal) + len(impulse))
    spectrum = np.fft.rfft(signal, size) * np.fft.rfft(impulse, size)
    return np.fft.irfft(spectrum, size)[: len(signal)]


def strike(
    n: int, rate_hz: int, at: npt.ArrayLike, strength: npt.ArrayLike, modes: tuple[Mode, ...]
) -> Signal:
    """Blows at the sample positions `at` of RMS-scaled `strength`, ringing through `modes`.

    A blow of strength 1 has unit energy.  Positions outside 0 … n − 1 are left out.
    """
    places = np.asarray(at, dtype=np.float64)
    weights = np.broadcast_to(np.asarray(strength, dtype=np.float64), places.shape)
    inside = (places >= 0.0) & (places < n - 1.0)
    if not inside.any():
        return np.zeros(n)
    places, weights = places[inside], weights[inside]
    left = places.astype(np.intp)
    part = places - left
    blows = np.zeros(n)
    blows += np.bincount(left, weights * (1.0 - part), minlength=n)
    blows += np.bincount(left + 1, weights * part, minlength=n)[:n]
    return convolve(blows, response(modes, rate_hz))


def in_room(signal: Signal, room: Room, rate_hz: int, seed: int) -> Signal:
    """Let a room answer: direct sound, exponentially decaying echoes, cut at both ends.

    The echoes depend on `seed` alone: a room stays as it is from one recording to the next.
    """
    tail = int(5.0 * room.decay_s * rate_hz) + 1
    size = fast_length(len(signal) + tail)
    spectrum = np.fft.rfft(signal, size) * _room_response(room, rate_hz, seed, tail, size)
    return np.fft.irfft(spectrum, size)[: len(signal)] / float(np.hypot(1.0, room.wet))


@lru_cache(maxsize=16)  # a machine is rendered many times in its room; a response takes 1 MB
def _room_response(
    room: Room, rate_hz: int, seed: int, tail: int, size: int
) -> npt.NDArray[np.complex128]:
    rng = np.random.default_rng((seed, 1))
    echoes = rng.standard_normal(tail) * np.exp(-np.arange(tail) / (room.decay_s * rate_hz))
    echoes[: int(0.002 * rate_hz)] = 0.0
    impulse = room.wet * echoes / float(np.sqrt(np.sum(echoes**2)))
    impulse[0] += 1.0
    hz = np.fft.rfftfreq(size, 1.0 / rate_hz)
    cuts = (hz**2 / (hz**2 + room.low_cut_hz**2)) / np.sqrt(1.0 + (hz / room.high_cut_hz) ** 4)
    heard: npt.NDArray[np.complex128] = np.fft.rfft(impulse, size) * cuts
    return heard
