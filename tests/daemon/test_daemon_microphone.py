"""The condition of the microphone by its sound, in one monitor session."""

from __future__ import annotations

from functools import cache

import numpy as np

from asd_monitor.microphone.baseline import MicrophoneBaseline
from asd_monitor.microphone.sample_counter import NO_SAMPLE_FAULTS
from asd_monitor.model_training.microphone_baseline import microphone_baseline
from asd_monitor.pipeline import WindowExtractor
from asd_monitor.records import Samples
from asd_monitor.synthesis.filtering import zero_phase_filter
from tests.doubles.blocks import block_at
from tests.doubles.level_detector import LevelDetector, StubBundle
from tests.doubles.scripted_source import RATE_HZ
from tests.doubles.waiting import until

NORMAL_LEVEL = 0.05


def noise(seconds: float, level: float = NORMAL_LEVEL, seed: int = 0) -> Samples:
    sound = np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ)) * level
    return sound.astype(np.float32)


def covered(sound: Samples, loss_db: float = 20.0) -> Samples:
    """Return the sound without most of what lies above 2 kHz."""
    hz = np.maximum(np.linspace(0.0, RATE_HZ / 2, 1025), 20.0)
    gains_db = -loss_db / (1.0 + np.exp(-6.0 * np.log2(hz / 2000.0)))
    filtered = zero_phase_filter(sound.astype(np.float64), 10.0 ** (gains_db / 20.0))
    return filtered.astype(np.float32)


@cache
def baseline() -> MicrophoneBaseline:
    detector = LevelDetector()
    windows = WindowExtractor(detector.front_end).push(block_at(0, noise(60.0, seed=99)))
    found = microphone_baseline(detector, [windows], NO_SAMPLE_FAULTS)
    assert found is not None
    return found


def judging() -> LevelDetector:
    """Return a level detector with a baseline of its microphone."""
    detector = LevelDetector()
    object.__setattr__(detector, "microphone", baseline())
    return detector


async def play_evaluated(machine, sound: Samples) -> None:
    """Play a sound in pieces of 5 s, each of which is evaluated before the next one."""
    for begin in range(0, len(sound), 5 * RATE_HZ):
        machine.source.play_samples(sound[begin : begin + 5 * RATE_HZ])
        await machine.until_evaluated()


async def test_a_covered_microphone_is_unavailable_with_what_to_do(make):
    machine = make()
    machine.models.bundles["fan"] = StubBundle(detector=judging())
    machine.start()
    machine.source.open()
    await play_evaluated(machine, noise(20.0))
    await machine.until_state("normal")
    await play_evaluated(machine, covered(noise(30.0, seed=1)))
    state = await machine.until_state("unavailable", "fault")
    assert not state["evaluated"]
    assert state["last_evaluated"]["state"] == "normal"
    assert "covered or moved?" in state["reason"]
    assert "look at the microphone" in state["reason"]
    await play_evaluated(machine, noise(30.0, seed=2))
    assert (await machine.until_state("normal"))["reason"] is None
    await until(lambda: len(machine.broker.transitions("fan")) == 4)
    assert sorted(machine.broker.transitions("fan")) == [
        ("fault", "ok"),
        ("normal", "unavailable"),
        ("ok", "fault"),
        ("unavailable", "normal"),
    ]


async def test_another_gain_is_degraded_and_evaluated(make):
    machine = make()
    machine.models.bundles["fan"] = StubBundle(detector=judging())
    machine.start()
    machine.source.open()
    await play_evaluated(machine, noise(20.0))
    await play_evaluated(machine, noise(30.0, NORMAL_LEVEL * 10 ** (-12 / 20), seed=1))
    state = await machine.until_state("normal", "degraded")
    assert state["evaluated"]
    assert state["reason"].startswith("level changed by -12 dB at all frequencies")


async def test_an_outage_is_stated_instead_of_the_condition_by_the_sound(make):
    machine = make()
    machine.models.bundles["fan"] = StubBundle(detector=judging())
    machine.start()
    machine.source.open()
    await play_evaluated(machine, noise(20.0))
    await play_evaluated(machine, covered(noise(30.0, seed=1)))
    await machine.until_state("unavailable", "fault")
    machine.source.interrupt("unplugged")
    state = await machine.until_state("unavailable", "no_device")
    assert state["reason"] == "unplugged"
