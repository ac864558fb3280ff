"""The recipe of the encoder's training: batches and steps."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.encoder_training.augmentation import HighBand
from asd_monitor.encoder_training.batches import cut, loudness_db
from asd_monitor.encoder_training.network import Headed, normalised
from asd_monitor.encoder_training.optimisation import (
    Recipe,
    batch_of,
    beginning,
    steps,
)
from asd_monitor.encoder_training.pool import Pool
from tests.doubles.synthetic_pools import pool_at, synthetic_pool
from tests.doubles.synthetic_pools import small_recipe as recipe

Batch = tuple[list["torch.Tensor"], "torch.Tensor"]


def batch(seed: int, **changes: Any) -> Batch:
    rng = np.random.default_rng(seed)
    return batch_of(synthetic_pool(), recipe(**changes), rng, torch.Generator().manual_seed(seed))


def differing(one: Batch, other: Batch) -> list[int]:
    """Return which of the groups differ."""
    pairs = enumerate(zip(one[0], other[0], strict=True))
    return [k for k, (a, b) in pairs if a.shape != b.shape or not torch.equal(a, b)]


@settings(max_examples=20)
@given(st.integers(0, 999), st.integers(2, 4), st.integers(0, 2))
def test_a_label_is_a_machine_while_it_is_well_or_one_of_its_faults(
    seed: int, reference: int, faults: int
) -> None:
    groups, labels = batch(seed, reference=reference, faults=faults)
    _, count = labels.unique(return_counts=True)
    assert sorted(count.tolist()) == sorted([reference] * 5 + [2] * 5 * faults)
    assert sum(map(len, groups)) == len(labels)
    for views in groups:
        assert views.shape[1:] in ((60, 128), (80, 128))
        assert bool(torch.isfinite(views).all())
    # fellows are heard at two lengths
    split = [labels[: len(groups[0])], labels[len(groups[0]) :]]
    first, second = (own.bincount(minlength=len(count)) for own in split)
    assert int((first - second).abs().max()) <= 1


def test_windows_of_a_label_are_of_its_own_machine() -> None:
    """Clips that tell by their level which they are, without anything that bends them."""
    machines = synthetic_pool().instances
    clips = {}
    for number, instance in enumerate(machines):
        for kind, own in (("normals", instance.reference), ("faults", instance.faults)):
            for place, clip in enumerate(own):
                level = -8.0 + 0.5 * number + (0.1 * (place + 1) if kind == "faults" else 0)
                clips[number, kind, place] = np.full_like(clip, level)
    told = [
        type(instance)(
            "made",
            "x",
            tuple(clips[n, "normals", k] for k in range(len(instance.reference))),
            tuple(clips[n, "faults", k] for k in range(len(instance.faults))),
            instance.fault_names,
            instance.severities,
        )
        for n, instance in enumerate(machines)
    ]
    pool = Pool(told, synthetic_pool().backgrounds)
    plain = recipe(mixup=0.0, stretch_bands=0.0, stretch_time=0.0, snr_db=(90.0, 90.0), faults=2)
    groups, labels = batch_of(pool, plain, np.random.default_rng(0), torch.Generator())
    levels: dict[int, set[float]] = {}
    views = [view for group in groups for view in group]
    for view, label in zip(views, labels.tolist(), strict=True):
        levels.setdefault(label, set()).add(round(float(view.mean()), 2))
    assert all(len(found) == 1 for found in levels.values())
    assert len(set.union(*levels.values())) == len(levels)


def test_settings_keep_their_keys_on_disk() -> None:
    """Checkpoints of earlier versions resume only under the same keys and values."""
    written = json.loads((Path(__file__).parents[2] / "models" / "training.json").read_text())
    assert Recipe().to_json() == written["recipe"]


def test_the_seed_decides_what_is_drawn() -> None:
    one, same, other = batch(1), batch(1), batch(2)
    assert not differing(one, same)
    assert torch.equal(one[1], same[1])
    assert differing(one, other)


@pytest.mark.parametrize("rule", [HighBand.MIX, HighBand.GAIN, HighBand.MEAN])
def test_the_high_band_is_changed_on_one_of_two_views(rule: HighBand) -> None:
    plain, changed = batch(4), batch(4, high_band=rule)
    assert differing(plain, changed) == [1]


@pytest.mark.parametrize(
    "off",
    [{"mixup": 0.0}, {"stretch_bands": 0.0, "stretch_time": 0.0}, {"snr_db": (20.0, 20.0)}],
    ids=lambda off: next(iter(off)),
)
def test_each_part_can_be_switched_off(off: dict[str, Any]) -> None:
    plain, without = batch(4), batch(4, **off)
    assert differing(plain, without)
    assert all(bool(torch.isfinite(views).all()) for views in without[0])


def test_a_gain_stays_a_gain_when_normalised() -> None:
    x = torch.randn(2, 5, 128)
    added = normalised(x + 1.5) - normalised(x)
    assert torch.allclose(added, torch.full_like(added, 1.0), atol=1e-5)


def test_a_cut_is_a_piece_and_comes_from_anywhere() -> None:
    clip = np.arange(12, dtype=np.float16)[:, None].repeat(128, 1)
    rng = np.random.default_rng(0)
    firsts = set()
    for _ in range(100):
        piece = cut(clip, 9, rng)
        firsts.add(int(piece[0, 0]))
        assert np.array_equal(piece, clip[int(piece[0, 0]) :][:9])
    assert firsts == {0, 1, 2, 3}
    assert np.array_equal(cut(clip, 12, rng), clip)
    round_and_round = cut(clip, 30, rng)[:, 0].astype(int)
    assert np.array_equal(np.diff(round_and_round) % 12, np.ones(29))


def test_loudness_is_of_powers() -> None:
    clip = np.array([[0.0, -10.0]], np.float16)
    assert loudness_db(clip) == pytest.approx(10 * np.log10(0.5), abs=1e-3)


def trainee(made: Recipe) -> Headed:
    torch.manual_seed(0)
    return beginning(made)


def test_steps_lower_the_loss_and_move_every_weight() -> None:
    made = recipe(lengths=(60,), seed=2)
    one = trainee(made)
    before = {name: weight.detach().clone() for name, weight in one.named_parameters()}
    found = [loss for _, loss, _ in steps(one, made, pool_at, 24)]
    assert np.mean(found[-8:]) < 0.8 * np.mean(found[:4])
    # the last layer's maps are trained by a head of their own, as all that are tapped
    assert all(not torch.equal(before[name], weight) for name, weight in one.named_parameters())


def test_the_pace_rises_first_and_falls_to_the_end() -> None:
    made = recipe(rate=1.0)
    paces = []
    one = trainee(made)
    for number, _, optimiser in steps(one, made, pool_at, 40):
        assert number == len(paces)
        paces.append(optimiser.param_groups[0]["lr"])
    top = int(np.argmax(paces))
    assert 0 < top <= 2
    assert paces[0] < 0.6 * paces[top]
    assert paces[top:] == sorted(paces[top:], reverse=True)
    assert paces[-1] < 0.05
