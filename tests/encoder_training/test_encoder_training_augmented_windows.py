"""Windows cut from clips, and their augmentation in two groups."""

from typing import Any

import numpy as np
import pytest
import torch

from asd_monitor.encoder_training.augmentation import AugmentationConfig
from asd_monitor.encoder_training.augmented_windows import (
    augmented_windows,
    clip_level_db,
    random_crops,
)
from asd_monitor.encoder_training.log_mel_frames import BANDS
from asd_monitor.encoder_training.pretraining_choices import HighBand
from tests.doubles.synthetic_pools import synthetic_pool

LENGTHS = (31, 40)
Groups = list["torch.Tensor"]


def windows(seed: int, **changes: Any) -> tuple[Groups, list[int]]:
    """Augmented windows of 7 clips of synthetic machines."""
    pool = synthetic_pool()
    clips = [clip for instance in pool.instances for clip in instance.reference][:7]
    return augmented_windows(
        clips,
        [clip_level_db(clip) for clip in clips],
        AugmentationConfig(lengths=LENGTHS, **changes),
        pool.backgrounds,
        rng=np.random.default_rng(seed),
        generator=torch.Generator().manual_seed(seed),
    )


def differing(one: Groups, other: Groups) -> list[int]:
    """Return the numbers of the groups that differ."""
    pairs = enumerate(zip(one, other, strict=True))
    return [k for k, (a, b) in pairs if a.shape != b.shape or not torch.equal(a, b)]


def test_clips_are_assigned_to_two_groups_alternately() -> None:
    groups, order = windows(1)
    assert order == [0, 2, 4, 6, 1, 3, 5]
    assert [len(group) for group in groups] == [4, 3]
    for group in groups:
        assert group.shape[1] in LENGTHS
        assert group.shape[2] == BANDS
        assert bool(torch.isfinite(group).all())


def test_windows_depend_on_the_seed_alone() -> None:
    assert not differing(windows(1)[0], windows(1)[0])
    assert differing(windows(1)[0], windows(2)[0])


@pytest.mark.parametrize("rule", [HighBand.MIX, HighBand.GAIN, HighBand.MEAN])
def test_the_high_band_is_changed_in_the_second_group_only(rule: HighBand) -> None:
    assert differing(windows(4)[0], windows(4, high_band=rule)[0]) == [1]


@pytest.mark.parametrize(
    "off",
    [{"mixup": 0.0}, {"stretch_bands": 0.0, "stretch_time": 0.0}, {"snr_db": (20.0, 20.0)}],
    ids=lambda off: next(iter(off)),
)
def test_each_augmentation_can_be_switched_off(off: dict[str, Any]) -> None:
    without, _ = windows(4, **off)
    assert differing(windows(4)[0], without)
    assert all(bool(torch.isfinite(group).all()) for group in without)


def test_crops_are_taken_from_any_position() -> None:
    clip = np.arange(12, dtype=np.float16)[:, None].repeat(BANDS, 1)
    rng = np.random.default_rng(0)
    crops = random_crops([clip] * 100, 9, rng)[:, :, 0]
    assert set(crops[:, 0].tolist()) == {0.0, 1.0, 2.0, 3.0}
    assert bool((crops.diff(dim=1) == 1.0).all())
    [whole] = random_crops([clip], 12, rng)
    assert np.array_equal(whole.numpy(), clip)


def test_a_clip_shorter_than_the_window_is_repeated() -> None:
    clip = np.arange(12, dtype=np.float16)[:, None].repeat(BANDS, 1)
    [crop] = random_crops([clip], 30, np.random.default_rng(0))
    assert np.array_equal(np.diff(crop[:, 0].numpy().astype(int)) % 12, np.ones(29))


def test_the_level_of_a_clip_is_that_of_its_mean_power() -> None:
    clip = np.array([[0.0, -10.0]], np.float16)
    assert clip_level_db(clip) == pytest.approx(10 * np.log10(0.5), abs=1e-3)
