"""Augmentations of log-mel spectrograms, compared as powers."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.dsp.frames import Floats
from asd_monitor.encoder_training.augmentation import (
    add_background,
    high_band_augmentation,
    log_mixup_exp,
    mean_power_db,
    random_resize_crop,
    uniform,
)
from asd_monitor.encoder_training.pretraining_choices import HighBand

SEEDS = st.integers(0, 2**32 - 1)
BANDS = 64
CHANGES = [HighBand.MIX, HighBand.GAIN, HighBand.MEAN]


def random_log_mel(
    seed: int, batch: int = 3, steps: int = 12, bands: int = BANDS
) -> "torch.Tensor":
    """Log-mel between 1e-7 and 1e-1."""
    drawn = torch.rand(batch, steps, bands, generator=torch.Generator().manual_seed(seed))
    return -7.0 + 6.0 * drawn


def generator(seed: int) -> "torch.Generator":
    return torch.Generator().manual_seed(seed)


def power(log_mel: "torch.Tensor") -> Floats:
    return np.asarray(10.0 ** log_mel.double().numpy())


@settings(max_examples=40)
@given(SEEDS, st.lists(st.floats(-40.0, 40.0), min_size=3, max_size=3))
def test_log_mixup_exp_adds_powers(seed: int, gains: list[float]) -> None:
    x, z = random_log_mel(seed), random_log_mel(seed + 1)
    mixed = power(log_mixup_exp(x, z, torch.tensor(gains)))
    raised = power(z) * np.power(10.0, np.array(gains) / 10)[:, None, None]
    np.testing.assert_allclose(mixed, power(x) + raised, rtol=1e-4)


@settings(max_examples=40)
@given(SEEDS, st.floats(-30.0, 30.0))
def test_log_mixup_exp_commutes_with_a_common_gain(seed: int, common_db: float) -> None:
    x, z, gain = random_log_mel(seed), random_log_mel(seed + 1), torch.tensor([-10.0, 0.0, 7.0])
    up = common_db / 10
    assert torch.allclose(
        log_mixup_exp(x + up, z + up, gain), log_mixup_exp(x, z, gain) + up, atol=1e-5
    )


def test_log_mixup_exp_with_negligible_power_has_no_effect() -> None:
    x = random_log_mel(0)
    mixed = log_mixup_exp(x, torch.full_like(x, -300.0), torch.zeros(3))
    assert torch.allclose(mixed, x, atol=1e-6)


@settings(max_examples=40)
@given(st.floats(-8.0, 3.0))
def test_mean_power_is_in_decibels(level: float) -> None:
    x = torch.full((1, 4, 5), level)
    assert mean_power_db(x).item() == pytest.approx(10 * level, abs=1e-3)
    half = x.clone()
    half[:, :2] = -300.0  # silent for half of the time: half the power
    assert mean_power_db(half).item() == pytest.approx(10 * level - 10 * math.log10(2), abs=1e-3)


@settings(max_examples=40)
@given(
    SEEDS,
    st.lists(st.floats(-15.0, 25.0), min_size=3, max_size=3),
    st.lists(st.floats(-60.0, -10.0), min_size=3, max_size=3),
)
def test_a_background_is_added_at_the_snr_below_the_reference_level(
    seed: int, snr_db: list[float], reference_level_db: list[float]
) -> None:
    """In double precision, by the power added to each clip."""
    x, z = random_log_mel(seed).double(), random_log_mel(seed + 1).double()
    levels = torch.tensor(reference_level_db).double()
    mixed = add_background(x, z, torch.tensor(snr_db).double(), levels)
    added = (power(mixed) - power(x)).mean((1, 2))
    expected = np.array(reference_level_db) - np.array(snr_db)
    assert 10 * np.log10(added) == pytest.approx(expected, abs=1e-3)


@settings(max_examples=40)
@given(SEEDS)
def test_a_background_does_not_depend_on_the_level_of_the_clip(seed: int) -> None:
    x, z = random_log_mel(seed).double(), random_log_mel(seed + 1).double()
    snr_db, level_db = torch.zeros(3).double(), torch.full((3,), -30.0).double()
    to_quiet = power(add_background(x - 2, z, snr_db, level_db)) - power(x - 2)
    to_loud = power(add_background(x, z, snr_db, level_db)) - power(x)
    np.testing.assert_allclose(to_quiet, to_loud, rtol=1e-6)


@settings(max_examples=40)
@given(SEEDS, st.floats(-20.0, 20.0), st.floats(-40.0, 40.0))
def test_a_background_does_not_depend_on_its_recording_level(
    seed: int, common_db: float, own_db: float
) -> None:
    x, z = random_log_mel(seed), random_log_mel(seed + 1)
    snr_db, level_db = torch.zeros(3), torch.full((3,), -30.0)
    plain = add_background(x, z, snr_db, level_db)
    raised = add_background(x + common_db / 10, z + own_db / 10, snr_db, level_db + common_db)
    assert torch.allclose(raised, plain + common_db / 10, atol=1e-4)


@settings(max_examples=40)
@given(SEEDS, st.integers(1, 30), st.integers(0, 20))
def test_resize_crop_without_stretch_is_a_crop(seed: int, steps: int, spare: int) -> None:
    """From any position, interpolated between two frames."""
    length = steps + spare + 1
    x = random_log_mel(seed, batch=2, steps=length)
    x[:, :, 0] = torch.arange(length) / 10  # marks the position
    cut = random_resize_crop(x, steps, generator(seed), 0.0, 0.0)
    assert cut.shape == (2, steps, BANDS)
    for clip, source in zip(cut, x, strict=True):
        place = 10 * float(clip[0, 0])
        first = min(int(place), length - steps - 1)
        part = place - first
        early, late = source[first : first + steps], source[first + 1 : first + 1 + steps]
        assert torch.allclose(clip, (1 - part) * early + part * late, atol=1e-4)


@settings(max_examples=40)
@given(SEEDS, st.integers(2, 30))
def test_resize_crop_of_the_whole_clip_without_stretch_is_the_clip(seed: int, steps: int) -> None:
    x = random_log_mel(seed, steps=steps)
    assert torch.equal(random_resize_crop(x, steps, generator(seed), 0.0, 0.0), x)


@settings(max_examples=40)
@given(SEEDS, st.floats(0.0, 0.4), st.floats(0.0, 0.4), st.floats(-10.0, 3.0))
def test_resize_crop_preserves_a_constant(seed: int, bands: float, time: float, at: float) -> None:
    x = torch.full((2, 30, BANDS), at)
    cut = random_resize_crop(x, 20, generator(seed), bands, time)
    assert torch.allclose(cut, torch.full((2, 20, BANDS), at), atol=1e-5)


@settings(max_examples=40)
@given(SEEDS, st.floats(0.0, 0.4))
def test_resize_crop_repeats_the_outermost_bands(seed: int, bands: float) -> None:
    """Of bands that increase by one, none is beyond the last and none decreases."""
    x = (torch.arange(BANDS) + 5.0).expand(2, 30, BANDS)
    found = random_resize_crop(x, 20, generator(seed), bands, 0.1)
    assert float(found.min()) >= 5.0 - 1e-4
    assert float(found.max()) <= BANDS + 4.0 + 1e-4
    assert float(found.diff(dim=2).min()) >= -1e-4


@settings(max_examples=40)
@given(SEEDS, st.floats(0.0, 0.1), st.integers(8, BANDS - 9))
def test_resize_crop_shifts_a_tone_within_the_limit(seed: int, bands: float, tone: int) -> None:
    """By half the width from the shift, and at most the whole width from the stretch."""
    x = torch.full((4, 30, BANDS), -9.0)
    x[:, :, tone] = 0.0
    found = random_resize_crop(x, 20, generator(seed), bands, 0.1)
    shares = (found[:, 10] + 9.0).clamp_min(0)
    near = shares.argmax(1).float()
    assert float((near - tone).abs().max()) <= 1.5 * bands * BANDS / (1 - bands) + 0.5


def test_resize_crop_shifts_and_stretches_in_both_directions() -> None:
    x = torch.zeros(200, 40, BANDS)
    x += torch.arange(BANDS)  # the value of a band is its position …
    shift = random_resize_crop(x, 20, generator(0), 0.05, 0.0)[:, 10, 32] - 32
    assert float(shift.min()) < -1.5
    assert float(shift.max()) > 1.5
    assert float(shift.abs().max()) <= 0.05 * (BANDS / 2 + 32) + 1e-4  # shift and stretch
    x = torch.zeros(200, 40, BANDS) + torch.arange(40.0)[:, None]  # … and that of a frame its time
    speed = random_resize_crop(x, 20, generator(0), 0.0, 0.3)[:, :, 5].diff(dim=1).mean(1)
    assert 0.7 <= float(speed.min()) < 0.8
    assert 1.2 < float(speed.max()) <= 1.3


@settings(max_examples=40)
@given(SEEDS, st.sampled_from(CHANGES))
def test_high_band_augmentation_never_changes_the_lowest_third(seed: int, rule: HighBand) -> None:
    x = random_log_mel(seed)
    changed = high_band_augmentation(x, random_log_mel(seed + 1), rule, generator(seed))
    assert changed.shape == x.shape
    assert torch.equal(changed[:, :, : BANDS // 3 + 1], x[:, :, : BANDS // 3 + 1])
    # the changed band extends to the last one
    for clip, before in zip(changed, x, strict=True):
        differing = torch.nonzero((clip != before).any(0)).flatten()
        if len(differing):
            assert differing.tolist() == list(range(int(differing[0]), BANDS))


@pytest.mark.parametrize("rule", CHANGES)
def test_the_boundary_is_spread_over_the_upper_two_thirds(rule: HighBand) -> None:
    x = random_log_mel(0, batch=300)
    changed = high_band_augmentation(x, random_log_mel(1, batch=300), rule, generator(2))
    kept = (changed == x).all(1).sum(1)
    assert int(kept.min()) <= BANDS // 3 + 3
    assert int(kept.max()) >= BANDS - 3
    assert len(kept.unique()) > 30


def test_high_band_off_has_no_effect() -> None:
    x = random_log_mel(0)
    assert torch.equal(high_band_augmentation(x, random_log_mel(1), HighBand.OFF, generator(0)), x)


def changed_bands(x: "torch.Tensor", rule: HighBand, seed: int) -> list["torch.Tensor"]:
    """The changed bands of each clip, (2, T, bands): before and after."""
    changed = high_band_augmentation(x, random_log_mel(seed + 1), rule, generator(seed))
    parts = []
    for before, after in zip(x, changed, strict=True):
        rows = (before != after).any(0)
        parts.append(torch.stack([before[:, rows], after[:, rows]]))
    return parts


@settings(max_examples=40)
@given(SEEDS)
def test_high_band_mean_is_constant_over_time(seed: int) -> None:
    for before, after in changed_bands(random_log_mel(seed), HighBand.MEAN, seed):
        assert torch.allclose(after, before.mean(0).expand_as(after), atol=1e-5)


@settings(max_examples=40)
@given(SEEDS)
def test_high_band_gain_adds_a_constant(seed: int) -> None:
    for before, after in changed_bands(random_log_mel(seed), HighBand.GAIN, seed):
        if before.numel():
            added = after - before
            assert float(added.max() - added.min()) < 1e-5
            assert float(added.abs().max()) <= 1.0 + 1e-5


@settings(max_examples=40)
@given(SEEDS)
def test_high_band_mix_adds_at_most_the_power_of_the_clip(seed: int) -> None:
    x, z = random_log_mel(seed), random_log_mel(seed + 1)
    changed = high_band_augmentation(x, z, HighBand.MIX, generator(seed))
    assert bool((changed >= x - 1e-6).all())
    added = (power(changed) - power(x)).mean((1, 2))
    assert bool((added <= power(x).mean((1, 2)) * (1 + 1e-4)).all())


@settings(max_examples=40)
@given(SEEDS, st.floats(-9.0, 9.0), st.floats(0.0, 5.0))
def test_uniform_numbers_are_within_their_limits(seed: int, low: float, width: float) -> None:
    found = uniform((50,), low, low + width, generator(seed))
    assert float(found.min()) >= low - 1e-5
    assert float(found.max()) <= low + width + 1e-5


def test_augmentations_depend_on_the_generator_alone() -> None:
    x, z = random_log_mel(0, steps=40), random_log_mel(1, steps=40)
    for rule in CHANGES:
        one, same, other = (
            high_band_augmentation(x, z, rule, generator(seed)) for seed in (5, 5, 6)
        )
        assert torch.equal(one, same)
        assert not torch.equal(one, other)
    one, same, other = (random_resize_crop(x, 20, generator(k), 0.02, 0.1) for k in (5, 5, 6))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
