"""How the encoder is trained: batches from a pool, the contrastive loss at every tapped layer.

What is drawn depends on the seed and the step alone, so that an interrupted training that
goes on gives what an uninterrupted one gives (on one kind of machine).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from asd_monitor.encoder_training.batches import Ways, heard, loudness_db
from asd_monitor.encoder_training.losses import contrastive
from asd_monitor.encoder_training.network import LAYERS, TAPS, Headed, Layer, Network
from asd_monitor.encoder_training.pool import Pool
from asd_monitor.encoder_training.sound_supply import LogMel


@dataclass(frozen=True, slots=True)
class Recipe(Ways):
    """How the encoder is trained; every part can be switched off to see what it is worth."""

    seed: int = 1
    instances: int = 24  # a batch
    reference: int = 4  # windows of each while it is well
    faults: int = 2  # faults of each; two windows a fault
    rate: float = 2e-3
    weight_decay: float = 0.02
    taps: tuple[int, ...] = TAPS
    layers: tuple[Layer, ...] = LAYERS

    @property
    def windows(self) -> int:
        """Windows of a batch."""
        return self.instances * (self.reference + 2 * self.faults)

    def to_json(self) -> dict[str, Any]:
        """Return the settings under the keys of `checkpoint.pt` and `training.json`."""
        return {
            "lengths": list(self.lengths),
            "snr_db": list(self.snr_db),
            "mixup": self.mixup,
            "stretch_bands": self.stretch_bands,
            "stretch_time": self.stretch_time,
            "high_band": str(self.high_band),
            "seed": self.seed,
            "instances": self.instances,
            "normals": self.reference,
            "faults": self.faults,
            "rate": self.rate,
            "weight_decay": self.weight_decay,
            "taps": list(self.taps),
            "layers": [
                {"reach": list(each.reach), "stride": list(each.stride), "channels": each.channels}
                for each in self.layers
            ],
        }


def beginning(recipe: Recipe) -> Headed:
    """Return the network before its first step, with a head at each tapped layer."""
    return Headed(Network(recipe.layers, recipe.taps))


def batch_of(
    pool: Pool, recipe: Recipe, rng: np.random.Generator, generator: torch.Generator
) -> tuple[list[Tensor], Tensor]:
    """Draw a batch: groups of windows of one length (b, T, F), and all their labels (B,).

    A label is an instance while it is well, or one fault of it: the same machine with
    something wrong is a negative like any other.
    """
    chosen = rng.choice(len(pool.instances), recipe.instances, replace=False)
    clips: list[LogMel] = []
    labels: list[int] = []
    usual_db: list[float] = []
    label = 0
    for index in chosen.tolist():
        instance = pool.instances[index]
        picked: list[tuple[LogMel, int]] = [
            (instance.reference[k % len(instance.reference)], label)
            for k in range(recipe.reference)
        ]
        for fault in rng.permutation(len(instance.faults))[: recipe.faults].tolist():
            label += 1
            picked += [(instance.faults[fault], label)] * 2
        label += 1
        clips += [clip for clip, _ in picked]
        labels += [number for _, number in picked]
        level = float(np.mean([loudness_db(normal) for normal in instance.reference]))
        usual_db += [level] * len(picked)
    groups, order = heard(clips, usual_db, recipe, pool.backgrounds, rng=rng, generator=generator)
    return groups, torch.tensor([labels[row] for row in order])


def loss_of(trainee: Headed, groups: Sequence[Tensor], labels: Tensor) -> Tensor:
    """Return the contrastive loss, the mean over the tapped layers."""
    losses = [contrastive(each, labels.to(each.device)) for each in trainee.embed(groups)]
    return torch.stack(losses).mean()


def steps(
    trainee: Headed,
    recipe: Recipe,
    pool_at: Callable[[int], Pool],
    total: int,
    *,
    begun: int = 0,
    optimiser_state: dict[str, Any] | None = None,
) -> Iterator[tuple[int, float, torch.optim.Optimizer]]:
    """Train from step ``begun`` to ``total``; yield each step's number and loss."""
    optimiser = torch.optim.AdamW(
        trainee.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay
    )
    if optimiser_state is not None:
        optimiser.load_state_dict(optimiser_state)
    warm_up = max(1, total // 20)
    for step in range(begun, total):
        rng = np.random.default_rng((recipe.seed, 4, step))
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * min(1.0, (step + 1) / warm_up) * slope(step, total)
        trainee.train()
        loss = loss_of(trainee, *batch_of(pool_at(step), recipe, rng, generator))
        descend(optimiser, trainee, loss)
        yield step, float(loss.detach()), optimiser


def slope(step: int, total: int) -> float:
    """Return the share of the full rate: half a cosine from 1 to 0.02."""
    return 0.02 + 0.49 * (1 + math.cos(math.pi * step / total))


def descend(optimiser: torch.optim.Optimizer, trained: nn.Module, loss: Tensor) -> None:
    """Go one step down the gradient, which is clipped."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(trained.parameters(), 5.0)
    optimiser.step()
