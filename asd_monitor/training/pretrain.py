"""Trains the encoder: batches from the supplies, contrastive loss at every tapped layer.

The supplies have no end: a pool of instances is kept, and chapter by chapter its oldest part is
replaced by new ones, which another process makes meanwhile.  What is drawn depends on the seed
and the step alone, so that an interrupted training that goes on gives what an uninterrupted
one gives (on one kind of machine).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from asd_monitor.training.augment import (
    HighBand,
    high_band,
    log_mixup_exp,
    loudness,
    random_resize_crop,
    uniform,
    with_background,
)
from asd_monitor.training.losses import contrastive
from asd_monitor.training.network import LAYERS, TAPS, Head, Layer, Network, pooled
from asd_monitor.training.pool import Pool
from asd_monitor.training.supply import LogMel

PRE_MEAN, PRE_SCALE = -4.0, 1.5
"""Pre-normalisation: about the mean and the deviation of the supplies' log-mel."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the encoder is trained; every part can be switched off to see what it is worth."""

    seed: int = 1
    instances: int = 24  # a batch
    normals: int = 4  # windows of each while it is well
    faults: int = 2  # faults of each; two windows a fault
    lengths: tuple[int, ...] = (100, 150, 200, 300)  # steps of a view: multiple segmentation
    snr_db: tuple[float, float] = (-10.0, 20.0)
    mixup: float = 0.3  # most energy of another clip that is mixed in, as a share; 0: off
    stretch_bands: float = 0.02  # 0: off
    stretch_time: float = 0.15  # 0: off
    high_band: HighBand = HighBand.OFF
    real_share: float = 0.5
    rate: float = 2e-3
    weight_decay: float = 0.02
    taps: tuple[int, ...] = TAPS
    layers: tuple[Layer, ...] = field(default=LAYERS)


def normalised(log_mel: Tensor) -> Tensor:
    """Pre-normalise: the same numbers for all bands, so that a gain stays a gain."""
    return (log_mel - PRE_MEAN) / PRE_SCALE


class Trainee(nn.Module):
    """The network with a head at each tapped layer."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.network = Network(recipe.layers, recipe.taps)
        self.network.eval()
        with torch.no_grad():
            maps = self.network(torch.zeros(1, 100, 64))
        self.network.train()
        self.heads = nn.ModuleList(Head(3 * frames.shape[2]) for frames in maps)

    def embed(self, log_mel: Tensor) -> list[Tensor]:
        """Return the embedding (B, 128) at each tapped layer."""
        maps = self.network(normalised(log_mel))
        return [head(pooled(frames)) for head, frames in zip(self.heads, maps, strict=True)]


def batch_of(
    pool: Pool, recipe: Recipe, rng: np.random.Generator, generator: torch.Generator
) -> list[tuple[Tensor, Tensor]]:
    """Draw a batch: groups of windows of one length, log-mel (b, T, F) with labels (b,).

    A label is an instance while it is well, or one fault of it: the same machine with
    something wrong is a negative like any other.
    """
    chosen = rng.choice(len(pool.instances), recipe.instances, replace=False)
    clips: list[LogMel] = []
    labels: list[int] = []
    usual: list[float] = []
    label = 0
    for index in chosen.tolist():
        instance = pool.instances[index]
        level = float(np.mean([loudness_db(normal) for normal in instance.normals]))
        picked: list[tuple[LogMel, int]] = [
            (instance.normals[k % len(instance.normals)], label) for k in range(recipe.normals)
        ]
        for fault in rng.permutation(len(instance.faults))[: recipe.faults].tolist():
            label += 1
            picked += [(instance.faults[fault], label)] * 2
        label += 1
        clips += [clip for clip, _ in picked]
        labels += [number for _, number in picked]
        usual += [level] * len(picked)
    # the windows of a label are dealt to two lengths by turns
    turns = np.zeros(len(labels), int)
    seen: dict[int, int] = {}
    for row, number in enumerate(labels):
        turns[row] = seen.get(number, 0) % 2
        seen[number] = seen.get(number, 0) + 1
    lengths = rng.choice(recipe.lengths, 2)
    groups = []
    for turn, steps in enumerate(lengths.tolist()):
        rows = np.flatnonzero(turns == turn)
        groups.append(
            (
                _views(
                    [clips[row] for row in rows],
                    torch.tensor([usual[row] for row in rows]),
                    int(steps),
                    pool,
                    recipe,
                    changed=turn == 1,
                    rng=rng,
                    generator=generator,
                ),
                torch.tensor([labels[row] for row in rows]),
            )
        )
    return groups


def _views(
    clips: Sequence[LogMel],
    usual_db: Tensor,
    steps: int,
    pool: Pool,
    recipe: Recipe,
    *,
    changed: bool,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> Tensor:
    """Cut windows and let them be heard in their backgrounds, bent as the recipe says."""
    reach = int(np.ceil(steps * (1.0 + recipe.stretch_time))) + 1
    x = torch.from_numpy(np.stack([cut(clip, reach, rng) for clip in clips])).float()
    behind = rng.integers(len(pool.backgrounds), size=len(clips))
    z = torch.from_numpy(
        np.stack([cut(pool.backgrounds[k], reach, rng) for k in behind.tolist()])
    ).float()
    snr_db = uniform((len(clips),), *recipe.snr_db, generator)
    x = with_background(x, z, snr_db, usual_db)
    if recipe.mixup > 0:
        other = x[torch.randperm(len(x), generator=generator)]
        share = uniform((len(x),), 0.0, recipe.mixup, generator).clamp_min(1e-3)
        x = log_mixup_exp(x, other, loudness(x) - loudness(other) + 10.0 * share.log10())
    if recipe.stretch_bands > 0 or recipe.stretch_time > 0:
        x = random_resize_crop(x, steps, generator, recipe.stretch_bands, recipe.stretch_time)
    x = x[:, :steps]
    if changed and recipe.high_band is not HighBand.OFF:
        other = x[torch.randperm(len(x), generator=generator)]
        x = high_band(x, other, recipe.high_band, generator)
    return x


def cut(clip: LogMel, steps: int, rng: np.random.Generator) -> LogMel:
    """Return so many steps from anywhere in a clip."""
    room = len(clip) - steps
    start = int(rng.integers(room + 1))
    return clip[start : start + steps]


def loudness_db(clip: LogMel) -> float:
    """Return the mean power of a clip in dB."""
    return float(10.0 * np.log10(np.mean(np.power(10.0, clip.astype(np.float32))) + 1e-12))


def loss_of(trainee: Trainee, groups: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Return the contrastive loss, the mean over the tapped layers."""
    labels = torch.cat([labels for _, labels in groups])
    embedded = [trainee.embed(views) for views, _ in groups]
    losses = [contrastive(torch.cat(layer), labels) for layer in zip(*embedded, strict=True)]
    return torch.stack(losses).mean()


def steps(
    trainee: Trainee,
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
        share = step / total
        slope = min(1.0, (step + 1) / warm_up) * (0.02 + 0.49 * (1 + math.cos(math.pi * share)))
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * slope
        trainee.train()
        loss = loss_of(trainee, batch_of(pool_at(step), recipe, rng, generator))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(trainee.parameters(), 5.0)
        optimiser.step()
        yield step, float(loss.detach()), optimiser
