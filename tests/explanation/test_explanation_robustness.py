"""Whatever sound there is, there is a sentence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asd_monitor.explanation.explain import explain
from asd_monitor.explanation.sentence import MAX_CHARS
from asd_monitor.explanation.sound_profile import SoundProfile
from asd_monitor.records import Samples
from tests.explanation.conftest import RATE_HZ, machine_sound

SOUNDS: dict[str, Samples] = {
    "silence": np.zeros(5 * RATE_HZ, np.float32),
    "constant": np.full(5 * RATE_HZ, 0.3, np.float32),
    "clipped": np.clip(300.0 * machine_sound(5.0, 1), -1.0, 1.0).astype(np.float32),
    "one second": machine_sound(1.0, 1).astype(np.float32),
    "one sample": np.ones(1, np.float32),
    "nothing": np.zeros(0, np.float32),
    "tiny": np.full(RATE_HZ, 1e-38, np.float32),
    "largest": np.full(RATE_HZ, np.finfo(np.float32).max, np.float32),
    "not finite": np.full(RATE_HZ, np.nan, np.float32),
    "impulse": np.eye(1, 4 * RATE_HZ, 777, dtype=np.float32)[0],
    "half a minute": machine_sound(30.0, 1).astype(np.float32),
}


def check(text: str) -> None:
    assert 10 <= len(text) <= MAX_CHARS
    assert text[0].isupper()
    assert text.endswith(".")
    assert "\n" not in text
    assert "nan" not in text.lower().replace("resonan", "")
    assert " inf" not in text


@pytest.mark.parametrize("name", SOUNDS)
@pytest.mark.parametrize("rate_hz", [4_000, 16_000, 48_000])
def test_any_sound_has_a_sentence(profile: SoundProfile, name: str, rate_hz: int) -> None:
    found = explain(profile, SOUNDS[name], rate_hz, {"level": 1.0}, time_scale_s=3600.0)
    check(found.sentence)
    assert all(np.isfinite(each.strength) for each in found.findings)


@given(
    seed=st.integers(0, 2**32 - 1),
    seconds=st.floats(0.01, 6.0),
    exponent=st.floats(-12.0, 12.0),
    offset=st.floats(-2.0, 2.0),
)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_random_sound_has_a_sentence(
    profile: SoundProfile, seed: int, seconds: float, exponent: float, offset: float
) -> None:
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(max(1, round(seconds * RATE_HZ))) * 10.0**exponent + offset
    check(explain(profile, noise.astype(np.float32), RATE_HZ, {}).sentence)


def test_without_a_profile_the_views_are_the_reason() -> None:
    views = {"tone": 4.0, "pattern": 9.0, "level": -2.0, "rhythm": 1.0}
    found = explain(None, SOUNDS["one second"], RATE_HZ, views)
    assert found.views == ("pattern", "tone", "rhythm")
    assert found.sentence.startswith("New local spectro-temporal patterns")
    assert found.findings == ()


def test_normal_sound_is_placed_by_the_largest_difference(profile: SoundProfile) -> None:
    sound = machine_sound(8.0, 12).astype(np.float32)
    found = explain(profile, sound, RATE_HZ, {"encoder": 5.0})
    assert "view encoder" in found.sentence
    assert "Hz" in found.sentence


def test_a_long_time_scale_is_named(profile: SoundProfile) -> None:
    sound = (3.0 * machine_sound(8.0, 12)).astype(np.float32)
    found = explain(profile, sound, RATE_HZ, {}, time_scale_s=3600.0)
    assert found.sentence.endswith("; slowly, in the mean over 1 h.")
