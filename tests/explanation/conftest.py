"""A machine of noise and three tones, its profile, and changes of its sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest

from asd_monitor.explanation.explain import Explanation, explain
from asd_monitor.explanation.sound_analysis import analyse, conditioned
from asd_monitor.explanation.sound_profile import SoundProfile, blocks_of, fit_profile
from asd_monitor.records import Samples

RATE_HZ = 16_000
TONES_HZ = (148.0, 296.0, 444.0, 610.0, 915.0, 1220.0)
Signal = npt.NDArray[np.float64]


def machine_sound(seconds: float, seed: int, speed: float = 1.0) -> Signal:
    """Return noise of −46 dBFS with tones that follow the speed, (n,)."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    sound = 0.005 * rng.standard_normal(len(time))
    for number, hz in enumerate(TONES_HZ):
        phase = rng.uniform(0, 2 * np.pi)
        sound += 0.0025 / (1 + 0.3 * number) * np.sin(2 * np.pi * hz * speed * time + phase)
    return sound


def impacts(n: int, times_s: npt.ArrayLike, hz: float, *, seed: int, peak: float) -> Signal:
    """Return tone bursts (n,) around a frequency at these times, which decay in 3 ms."""
    decay_s = 0.003
    rng = np.random.default_rng(seed)
    sound = np.zeros(n + RATE_HZ)
    time = np.arange(round(8 * decay_s * RATE_HZ)) / RATE_HZ
    for at in np.asarray(times_s):
        start = round(at * RATE_HZ)
        burst = np.sin(2 * np.pi * hz * time + rng.uniform(0, 6.28)) * np.exp(-time / decay_s)
        sound[start : start + len(time)] += peak * burst
    return sound[:n]


def profile_of(recordings: Sequence[Signal]) -> SoundProfile:
    """Return the profile of recordings."""
    blocks = [
        block
        for sound in recordings
        for block in blocks_of(conditioned(sound.astype(np.float32), RATE_HZ, RATE_HZ), RATE_HZ)
    ]
    found = fit_profile([analyse(block, RATE_HZ) for block in blocks])
    assert found is not None
    return found


@pytest.fixture(scope="session")
def profile() -> SoundProfile:
    """Return the profile of a minute of the machine, in two recordings."""
    return profile_of([machine_sound(30.0, seed) for seed in (1, 2)])


@pytest.fixture(scope="session")
def reason(profile: SoundProfile) -> Callable[[npt.ArrayLike], Explanation]:
    """Return what explains a sound of the machine."""

    def explained(sound: npt.ArrayLike) -> Explanation:
        samples: Samples = np.asarray(sound, np.float32)
        return explain(profile, samples, RATE_HZ, {"spectrum": 3.0})

    return explained
