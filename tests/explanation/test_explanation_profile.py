"""The profile as a bundle stores it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from asd_monitor.explanation.sound_analysis import analyse
from asd_monitor.explanation.sound_profile import SoundProfile, Stored, blocks_of, fit_profile
from tests.explanation.conftest import RATE_HZ, machine_sound

Edit = Callable[[dict[str, Stored]], object]


def test_a_restored_profile_is_the_one_that_was_stored(profile: SoundProfile) -> None:
    restored = SoundProfile.restore(profile.arrays(), RATE_HZ)
    assert restored.arrays().keys() == profile.arrays().keys()
    for name, rows in profile.arrays().items():
        assert np.array_equal(restored.arrays()[name], rows)


def test_a_profile_is_small(profile: SoundProfile) -> None:
    assert sum(rows.nbytes for rows in profile.arrays().values()) < 200_000


@pytest.mark.parametrize("rate_hz", [4_000, 8_000, 11_025, 16_000])
def test_a_profile_is_fitted_at_each_rate_of_a_front_end(rate_hz: int) -> None:
    sound = np.random.default_rng(0).standard_normal(10 * rate_hz).astype(np.float32)
    found = fit_profile([analyse(block, rate_hz) for block in blocks_of(sound, rate_hz)])
    assert found is not None
    SoundProfile.restore(found.arrays(), rate_hz)


def _reverse(arrays: dict[str, Stored]) -> None:
    arrays["thirds"] = arrays["thirds"][::-1].copy()


@pytest.mark.parametrize(
    "edit",
    [
        lambda arrays: arrays.update(level=arrays["level"][:, :0]),
        lambda arrays: arrays.update(level=arrays["level"].astype(np.float32)),
        lambda arrays: arrays.update(other=arrays["level"]),
        lambda arrays: arrays.update(thirds=np.full_like(arrays["thirds"], np.nan)),
        _reverse,
    ],
)
def test_arrays_that_are_no_profile_are_refused(profile: SoundProfile, edit: Edit) -> None:
    arrays = profile.arrays()
    edit(arrays)
    with pytest.raises(ValueError, match=r"array|ranges"):
        SoundProfile.restore(arrays, RATE_HZ)


def test_a_missing_array_is_refused(profile: SoundProfile) -> None:
    arrays = profile.arrays()
    del arrays["rhythm"]
    with pytest.raises(KeyError):
        SoundProfile.restore(arrays, RATE_HZ)


def test_no_block_is_no_profile() -> None:
    assert fit_profile([]) is None


def test_short_sound_is_one_block_and_too_short_sound_none() -> None:
    assert len(list(blocks_of(np.zeros(5 * RATE_HZ, np.float32), RATE_HZ))) == 1
    assert not list(blocks_of(np.zeros(RATE_HZ, np.float32), RATE_HZ))


def test_the_ranges_hold_the_blocks(profile: SoundProfile) -> None:
    sound = machine_sound(8.0, 1).astype(np.float32)
    level = analyse(sound, RATE_HZ).level[0]
    known = profile.ranges["level"]
    assert known.low[0] - 0.3 <= level <= known.high[0] + 0.3
