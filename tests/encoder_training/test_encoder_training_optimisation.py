"""Settings, batches and gradient steps of the pretraining."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.encoder_training.instance_pool import InstancePool
from asd_monitor.encoder_training.network import NetworkWithHeads, normalise
from asd_monitor.encoder_training.optimisation import (
    PretrainingConfig,
    draw_batch,
    training_steps,
    untrained_network,
)
from asd_monitor.encoder_training.sound_sources import Instance
from tests.doubles.synthetic_pools import SMALL, pool_at, small_config, small_layers, synthetic_pool

Batch = tuple[list["torch.Tensor"], "torch.Tensor"]


def batch(seed: int, **changes: Any) -> Batch:
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    return draw_batch(synthetic_pool(), small_config(**changes), rng, generator)


@settings(max_examples=12)
@given(st.integers(0, 999), st.integers(2, 4), st.integers(0, 2))
def test_an_instance_without_a_fault_is_a_label_and_so_is_each_fault(
    seed: int, reference: int, faults: int
) -> None:
    groups, labels = batch(seed, reference=reference, faults=faults)
    _, count = labels.unique(return_counts=True)
    instances = SMALL["instances"]
    assert sorted(count.tolist()) == sorted([reference] * instances + [2] * instances * faults)
    assert sum(map(len, groups)) == len(labels)
    # positives are seen in both lengths
    split = [labels[: len(groups[0])], labels[len(groups[0]) :]]
    first, second = (own.bincount(minlength=len(count)) for own in split)
    assert int((first - second).abs().max()) <= 1


def test_windows_of_a_label_are_of_one_instance() -> None:
    """Of clips with a level of their own each, without augmentation."""
    machines = synthetic_pool().instances
    levelled = []
    for number, instance in enumerate(machines):
        level = -8.0 + 0.5 * number
        levelled.append(
            Instance(
                "synthetic",
                f"level {level}",
                tuple(np.full_like(clip, level) for clip in instance.reference),
                tuple(
                    np.full_like(clip, level + 0.1 * (k + 1))
                    for k, clip in enumerate(instance.faults)
                ),
                instance.fault_names,
                instance.severities,
            )
        )
    pool = InstancePool(levelled, synthetic_pool().backgrounds)
    config = small_config(
        mixup=0.0, stretch_bands=0.0, stretch_time=0.0, snr_db=(90.0, 90.0), faults=2
    )
    groups, labels = draw_batch(pool, config, np.random.default_rng(0), torch.Generator())
    levels: dict[int, set[float]] = {}
    windows = [window for group in groups for window in group]
    for window, label in zip(windows, labels.tolist(), strict=True):
        levels.setdefault(label, set()).add(round(float(window.mean()), 2))
    assert all(len(found) == 1 for found in levels.values())
    assert len(set.union(*levels.values())) == len(levels)


def test_settings_keep_their_keys_on_disk() -> None:
    """Checkpoints of earlier versions resume only under the same keys and values."""
    written = json.loads((Path(__file__).parents[2] / "models" / "training.json").read_text())
    assert PretrainingConfig().to_json() == written["recipe"]


def test_a_batch_depends_on_the_seed_alone() -> None:
    (one, labels), (same, same_labels), (other, _) = batch(1), batch(1), batch(2)
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert torch.equal(labels, same_labels)
    assert any(a.shape != b.shape or not torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_gain_is_a_constant_after_normalisation() -> None:
    x = torch.randn(2, 5, 128)
    added = normalise(x + 1.5) - normalise(x)
    assert torch.allclose(added, torch.full_like(added, 1.0), atol=1e-5)


def untrained(config: PretrainingConfig) -> NetworkWithHeads:
    torch.manual_seed(0)
    return untrained_network(config)


@pytest.mark.slow
def test_training_lowers_the_loss_and_changes_every_weight() -> None:
    config = small_config(lengths=(31,), seed=2)
    network = untrained(config)
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    losses = [loss for _, loss, _ in training_steps(network, config, pool_at, 30)]
    assert np.mean(losses[-8:]) < 0.8 * np.mean(losses[:4])
    assert all(not torch.equal(before[name], w) for name, w in network.named_parameters())


def test_the_learning_rate_rises_and_then_falls_to_the_end() -> None:
    config = small_config(
        learning_rate=1.0, lengths=(16,), instances=2, faults=0, layers=small_layers()
    )
    network = untrained(config)
    rates = [
        optimiser.param_groups[0]["lr"]
        for _, _, optimiser in training_steps(network, config, pool_at, 40)
    ]
    assert len(rates) == 40
    top = int(np.argmax(rates))
    assert 0 < top <= 2
    assert rates[0] < 0.6 * rates[top]
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] < 0.05


def test_the_duration_of_a_batch_is_in_seconds_of_sound() -> None:
    config = small_config(lengths=(25, 75), instances=3, reference=2, faults=1)
    assert config.batch_s == pytest.approx(3 * (2 + 2 * 1) * 50 * 0.032)
