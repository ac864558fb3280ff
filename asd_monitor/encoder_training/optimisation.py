"""Batches and gradient steps of the pretraining.

Each batch is drawn from the seed and the number of its step alone: a training that was
interrupted and resumed gives the same weights as one that was not, on the same hardware.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from asd_monitor.encoder_training.augmentation import AugmentationConfig
from asd_monitor.encoder_training.augmented_windows import augmented_windows, clip_level_db
from asd_monitor.encoder_training.instance_pool import InstancePool
from asd_monitor.encoder_training.log_mel_frames import LogMel, duration_s
from asd_monitor.encoder_training.losses import supervised_contrastive_loss
from asd_monitor.encoder_training.network import LAYERS, TAPS, Layer, Network, NetworkWithHeads

MIN_LEARNING_RATE_SHARE = 0.02
MAX_GRADIENT_NORM = 5.0


@dataclass(frozen=True, slots=True)
class PretrainingConfig(AugmentationConfig):
    """Settings of the pretraining."""

    seed: int = 1
    instances: int = 24  # of a batch
    reference: int = 4  # windows of each instance without a fault
    faults: int = 2  # faults of each instance, with two windows each
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    taps: tuple[int, ...] = TAPS
    layers: tuple[Layer, ...] = LAYERS

    @property
    def windows(self) -> int:
        """Windows of a batch."""
        return self.instances * (self.reference + 2 * self.faults)

    @property
    def batch_s(self) -> float:
        """Mean duration of a batch, in s of sound."""
        return self.windows * duration_s(sum(self.lengths) / len(self.lengths))

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
            "rate": self.learning_rate,
            "weight_decay": self.weight_decay,
            "taps": list(self.taps),
            "layers": [
                {"reach": list(each.kernel), "stride": list(each.stride), "channels": each.channels}
                for each in self.layers
            ],
        }


def untrained_network(config: PretrainingConfig) -> NetworkWithHeads:
    """Return the network with a head at each tapped layer, initialised at random by torch."""
    return NetworkWithHeads(Network(config.layers, config.taps))


def draw_batch(
    pool: InstancePool,
    config: PretrainingConfig,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> tuple[list[Tensor], Tensor]:
    """Return a batch: two groups of windows (b, t, F), and the labels of all windows (B,).

    An instance without a fault is one label, and each of its faults another: the same sound
    with a fault is a negative.
    """
    chosen = rng.choice(len(pool.instances), config.instances, replace=False)
    clips: list[LogMel] = []
    labels: list[int] = []
    reference_levels_db: list[float] = []
    label = 0
    for index in chosen.tolist():
        instance = pool.instances[index]
        drawn: list[tuple[LogMel, int]] = [
            (instance.reference[k % len(instance.reference)], label)
            for k in range(config.reference)
        ]
        for fault in rng.permutation(len(instance.faults))[: config.faults].tolist():
            label += 1
            drawn += [(instance.faults[fault], label)] * 2
        label += 1
        clips += [clip for clip, _ in drawn]
        labels += [number for _, number in drawn]
        level_db = float(np.mean([clip_level_db(clip) for clip in instance.reference]))
        reference_levels_db += [level_db] * len(drawn)
    groups, order = augmented_windows(
        clips, reference_levels_db, config, pool.backgrounds, rng=rng, generator=generator
    )
    return groups, torch.tensor([labels[row] for row in order])


def mean_contrastive_loss(
    network: NetworkWithHeads, groups: Sequence[Tensor], labels: Tensor
) -> Tensor:
    """Return the supervised contrastive loss, averaged over the tapped layers."""
    embeddings = network.embed(groups)
    losses = [supervised_contrastive_loss(each, labels.to(each.device)) for each in embeddings]
    return torch.stack(losses).mean()


def training_steps(
    network: NetworkWithHeads,
    config: PretrainingConfig,
    pool_at: Callable[[int], InstancePool],
    total: int,
    *,
    first: int = 0,
    optimiser_state: dict[str, Any] | None = None,
) -> Iterator[tuple[int, float, torch.optim.Optimizer]]:
    """Train in place from step ``first`` to before ``total``; yield each step's number and loss.

    AdamW; the learning rate rises linearly over the first twentieth of the steps and falls by
    `cosine_schedule`.
    """
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    if optimiser_state is not None:
        optimiser.load_state_dict(optimiser_state)
    warm_up = max(1, total // 20)
    for step in range(first, total):
        rng = np.random.default_rng((config.seed, 4, step))
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        share = min(1.0, (step + 1) / warm_up) * cosine_schedule(step, total)
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * share
        network.train()
        loss = mean_contrastive_loss(network, *draw_batch(pool_at(step), config, rng, generator))
        gradient_step(optimiser, network, loss)
        yield step, float(loss.detach()), optimiser


def cosine_schedule(step: int, total: int) -> float:
    """Return the share of the learning rate: half a cosine from 1 to 0.02.

    Loshchilov and Hutter, "SGDR", arXiv 1608.03983, eq. 5, without restarts.
    """
    low = MIN_LEARNING_RATE_SHARE
    return low + (1.0 - low) / 2 * (1 + math.cos(math.pi * step / total))


def gradient_step(optimiser: torch.optim.Optimizer, network: nn.Module, loss: Tensor) -> None:
    """Update the weights by the gradient of the loss, whose norm is limited to 5."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT_NORM)
    optimiser.step()
