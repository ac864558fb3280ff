"""What views of a sound share, and what is changed between them, by energies."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.encoder_training.augmentation import (
    HighBand,
    high_band,
    log_mixup_exp,
    loudness,
    random_resize_crop,
    uniform,
    with_background,
)

SEEDS = st.integers(0, 2**32 - 1)
BANDS = 64
CHANGES = [HighBand.MIX, HighBand.GAIN, HighBand.MEAN]


def made(seed: int, batch: int = 3, steps: int = 12, bands: int = BANDS) -> "torch.Tensor":
    """Log-mel between 1e-7 and 1e-1."""
    drawn = torch.rand(batch, steps, bands, generator=torch.Generator().manual_seed(seed))
    return -7.0 + 6.0 * drawn


def generator(seed: int) -> "torch.Generator":
    return torch.Generator().manual_seed(seed)


def energy(log_mel: "torch.Tensor") -> "np.ndarray":
    return np.power(10.0, log_mel.double().numpy())


@given(SEEDS, st.lists(st.floats(-40.0, 40.0), min_size=3, max_size=3))
def test_log_mixup_exp_adds_energies(seed: int, gains: list[float]) -> None:
    x, z = made(seed), made(seed + 1)
    mixed = energy(log_mixup_exp(x, z, torch.tensor(gains)))
    raised = energy(z) * np.power(10.0, np.array(gains) / 10)[:, None, None]
    assert mixed == pytest.approx(energy(x) + raised, rel=1e-4)


@given(SEEDS, st.floats(-30.0, 30.0))
def test_a_gain_of_both_is_a_gain_of_the_mixture(seed: int, common_db: float) -> None:
    x, z, gain = made(seed), made(seed + 1), torch.tensor([-10.0, 0.0, 7.0])
    up = common_db / 10
    assert torch.allclose(
        log_mixup_exp(x + up, z + up, gain), log_mixup_exp(x, z, gain) + up, atol=1e-5
    )


def test_mixing_with_next_to_nothing_changes_nothing() -> None:
    x = made(0)
    mixed = log_mixup_exp(x, torch.full_like(x, -300.0), torch.zeros(3))
    assert torch.allclose(mixed, x, atol=1e-6)


@given(st.floats(-8.0, 3.0))
def test_loudness_is_mean_power_in_decibels(power: float) -> None:
    x = torch.full((1, 4, 5), power)
    assert loudness(x).item() == pytest.approx(10 * power, abs=1e-3)
    half = x.clone()
    half[:, :2] = -300.0  # half the time silent: half the energy
    assert loudness(half).item() == pytest.approx(10 * power - 10 * math.log10(2), abs=1e-3)


@given(
    SEEDS,
    st.lists(st.floats(-15.0, 25.0), min_size=3, max_size=3),
    st.lists(st.floats(-60.0, -10.0), min_size=3, max_size=3),
)
def test_a_background_is_as_far_below_the_usual_loudness_as_asked(
    seed: int, snr_db: list[float], usual_db: list[float]
) -> None:
    """What was added, in double precision, is as loud as it should be, in every clip."""
    x, z = made(seed).double(), made(seed + 1).double()
    heard = with_background(x, z, torch.tensor(snr_db).double(), torch.tensor(usual_db).double())
    added = (energy(heard) - energy(x)).mean((1, 2))
    expected = np.array(usual_db) - np.array(snr_db)
    assert 10 * np.log10(added) == pytest.approx(expected, abs=1e-3)


@given(SEEDS)
def test_a_background_depends_on_the_usual_loudness_and_not_on_the_clips_own(seed: int) -> None:
    x, z, snr = made(seed).double(), made(seed + 1).double(), torch.zeros(3).double()
    usual = torch.full((3,), -30.0).double()
    quiet = energy(with_background(x - 2, z, snr, usual)) - energy(x - 2)
    loud = energy(with_background(x, z, snr, usual)) - energy(x)
    assert quiet == pytest.approx(loud, rel=1e-6)


@given(SEEDS, st.floats(-20.0, 20.0), st.floats(-40.0, 40.0))
def test_how_loud_a_background_was_recorded_means_nothing(
    seed: int, common_db: float, own_db: float
) -> None:
    x, z, snr, usual = made(seed), made(seed + 1), torch.zeros(3), torch.full((3,), -30.0)
    plain = with_background(x, z, snr, usual)
    raised = with_background(x + common_db / 10, z + own_db / 10, snr, usual + common_db)
    assert torch.allclose(raised, plain + common_db / 10, atol=1e-4)


@given(SEEDS, st.integers(1, 30), st.integers(0, 20))
def test_without_stretch_it_is_a_cut(seed: int, steps: int, spare: int) -> None:
    """From anywhere, also from between two steps, which then are weighed."""
    length = steps + spare + 1
    x = made(seed, batch=2, steps=length)
    x[:, :, 0] = torch.arange(length) / 10  # tells where it was cut
    cut = random_resize_crop(x, steps, generator(seed), 0.0, 0.0)
    assert cut.shape == (2, steps, BANDS)
    for clip, source in zip(cut, x, strict=True):
        place = 10 * float(clip[0, 0])
        first = min(int(place), length - steps - 1)
        part = place - first
        early, late = source[first : first + steps], source[first + 1 : first + 1 + steps]
        assert torch.allclose(clip, (1 - part) * early + part * late, atol=1e-4)


@given(SEEDS, st.integers(2, 30))
def test_with_neither_stretch_nor_room_it_is_the_same(seed: int, steps: int) -> None:
    x = made(seed, steps=steps)
    assert torch.equal(random_resize_crop(x, steps, generator(seed), 0.0, 0.0), x)


@given(SEEDS, st.floats(0.0, 0.4), st.floats(0.0, 0.4), st.floats(-10.0, 3.0))
def test_what_is_constant_stays_constant(seed: int, bands: float, time: float, at: float) -> None:
    x = torch.full((2, 30, BANDS), at)
    cut = random_resize_crop(x, 20, generator(seed), bands, time)
    assert torch.allclose(cut, torch.full((2, 20, BANDS), at), atol=1e-5)


@given(SEEDS, st.floats(0.0, 0.4))
def test_edges_in_frequency_hold_the_last_band(seed: int, bands: float) -> None:
    """Bands that rise by one each: none is beyond the last, and none falls."""
    x = (torch.arange(BANDS) + 5.0).expand(2, 30, BANDS)
    found = random_resize_crop(x, 20, generator(seed), bands, 0.1)
    assert float(found.min()) >= 5.0 - 1e-4
    assert float(found.max()) <= BANDS + 4.0 + 1e-4
    assert float(found.diff(dim=2).min()) >= -1e-4


@given(SEEDS, st.floats(0.0, 0.1), st.integers(8, BANDS - 9))
def test_a_tone_moves_no_further_than_the_limit(seed: int, bands: float, tone: int) -> None:
    """Half the width by the shift, at most all of it by the stretch."""
    x = torch.full((4, 30, BANDS), -9.0)
    x[:, :, tone] = 0.0
    found = random_resize_crop(x, 20, generator(seed), bands, 0.1)
    shares = (found[:, 10] + 9.0).clamp_min(0)
    near = shares.argmax(1).float()
    assert float((near - tone).abs().max()) <= 1.5 * bands * BANDS / (1 - bands) + 0.5


def test_tones_do_move_both_ways_and_time_is_stretched_both_ways() -> None:
    x = torch.zeros(200, 40, BANDS)
    x += torch.arange(BANDS)  # a band's value is its place …
    there = random_resize_crop(x, 20, generator(0), 0.05, 0.0)[:, 10, 32] - 32
    assert float(there.min()) < -1.5
    assert float(there.max()) > 1.5
    assert float(there.abs().max()) <= 0.05 * (BANDS / 2 + 32) + 1e-4  # shift and stretch
    x = torch.zeros(200, 40, BANDS) + torch.arange(40.0)[:, None]  # … and a step's its time
    pace = random_resize_crop(x, 20, generator(0), 0.0, 0.3)[:, :, 5].diff(dim=1).mean(1)
    assert 0.7 <= float(pace.min()) < 0.8
    assert 1.2 < float(pace.max()) <= 1.3


@given(SEEDS, st.sampled_from(CHANGES))
def test_below_the_lowest_boundary_nothing_changes_ever(seed: int, rule: HighBand) -> None:
    x = made(seed)
    changed = high_band(x, made(seed + 1), rule, generator(seed))
    assert changed.shape == x.shape
    assert torch.equal(changed[:, :, : BANDS // 3 + 1], x[:, :, : BANDS // 3 + 1])
    # what is changed goes on to the last band
    for clip, before in zip(changed, x, strict=True):
        differing = torch.nonzero((clip != before).any(0)).flatten()
        if len(differing):
            assert differing.tolist() == list(range(int(differing[0]), BANDS))


@pytest.mark.parametrize("rule", CHANGES)
def test_the_boundary_is_anywhere_in_the_upper_two_thirds(rule: HighBand) -> None:
    x = made(0, batch=300)
    changed = high_band(x, made(1, batch=300), rule, generator(2))
    kept = (changed == x).all(1).sum(1)
    assert int(kept.min()) <= BANDS // 3 + 3
    assert int(kept.max()) >= BANDS - 3
    assert len(kept.unique()) > 30


def test_off_changes_nothing() -> None:
    x = made(0)
    assert torch.equal(high_band(x, made(1), HighBand.OFF, generator(0)), x)


def changed_bands(x: "torch.Tensor", rule: HighBand, seed: int) -> list["torch.Tensor"]:
    """Each clip's changed part, (2, T, bands): before and after."""
    changed = high_band(x, made(seed + 1), rule, generator(seed))
    parts = []
    for before, after in zip(x, changed, strict=True):
        rows = (before != after).any(0)
        parts.append(torch.stack([before[:, rows], after[:, rows]]))
    return parts


@given(SEEDS)
def test_mean_takes_time_out_of_the_band(seed: int) -> None:
    for before, after in changed_bands(made(seed), HighBand.MEAN, seed):
        assert torch.allclose(after, before.mean(0).expand_as(after), atol=1e-5)


@given(SEEDS)
def test_gain_adds_a_constant(seed: int) -> None:
    for before, after in changed_bands(made(seed), HighBand.GAIN, seed):
        if before.numel():
            added = after - before
            assert float(added.max() - added.min()) < 1e-5
            assert float(added.abs().max()) <= 1.0 + 1e-5


@given(SEEDS)
def test_mix_never_lowers_energy_nor_more_than_doubles_it(seed: int) -> None:
    x, z = made(seed), made(seed + 1)
    changed = high_band(x, z, HighBand.MIX, generator(seed))
    assert bool((changed >= x - 1e-6).all())
    added = (energy(changed) - energy(x)).mean((1, 2))
    assert bool((added <= energy(x).mean((1, 2)) * (1 + 1e-4)).all())


@given(SEEDS, st.floats(-9.0, 9.0), st.floats(0.0, 5.0))
def test_uniform_keeps_to_its_limits(seed: int, low: float, width: float) -> None:
    found = uniform((50,), low, low + width, generator(seed))
    assert float(found.min()) >= low - 1e-5
    assert float(found.max()) <= low + width + 1e-5


def test_the_generator_alone_decides() -> None:
    x, z = made(0, steps=40), made(1, steps=40)
    for rule in CHANGES:
        assert torch.equal(high_band(x, z, rule, generator(5)), high_band(x, z, rule, generator(5)))
        assert not torch.equal(
            high_band(x, z, rule, generator(5)), high_band(x, z, rule, generator(6))
        )
    one, same, other = (random_resize_crop(x, 20, generator(k), 0.02, 0.1) for k in (5, 5, 6))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
