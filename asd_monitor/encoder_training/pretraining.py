"""`pretrain`: from nothing to an encoder that can be shipped, or as far as it gets.

A pool of instances is kept, and chapter by chapter its oldest part is replaced by new ones,
which another process makes meanwhile (`feed`).
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from asd_monitor import __version__
from asd_monitor.encoder_training.batch_feed import Feed, Sources, held_out_pool
from asd_monitor.encoder_training.checkpoints import (
    keep_checkpoint,
    load_checkpoint,
    write_encoder,
)
from asd_monitor.encoder_training.export import encoder_of, map_name
from asd_monitor.encoder_training.held_out_faults import HeldOut
from asd_monitor.encoder_training.network import Network
from asd_monitor.encoder_training.optimisation import Recipe, beginning, steps
from asd_monitor.encoder_training.pool import Supply
from asd_monitor.encoder_training.sound_supply import HOP, RATE_HZ, duration_s
from asd_monitor.encoders.card import CardView
from asd_monitor.encoders.encoder import Encoder

HELD_OUT_INSTANCES, HELD_OUT_BACKGROUNDS = 64, 12
TELL_EVERY, TRY_EVERY, KEEP_EVERY = 20, 200, 100  # steps

SHIPPED_VIEWS = (
    CardView(name="encoder", outputs=("maps1",), pool=("spread",), back_end="residual"),
)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a training is."""

    step: int
    total: int
    loss: float
    sound_s_per_s: float  # seconds of sound learned from in a second
    areas: tuple[float, ...]  # AUC on what is held out, at each tapped layer; empty until tried


Tell = Callable[[Standing], None]


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A network and the way to it."""

    network: Network
    recipe: Recipe
    total: int
    seconds: float
    tried: tuple[tuple[int, tuple[float, ...]], ...]  # AUC on what is held out, by step


def pretrain(sources: Sources, recipe: Recipe, total: int, folder: Path, tell: Tell) -> Trained:
    """Train for so many steps, going on from the folder's checkpoint where there is one.

    Raises:
        UsageError: no sound to train on, or a checkpoint of another training.
        OperationError: the folder cannot be written, or the checkpoint not be read.

    """
    identity = _identity(sources, recipe, total)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(recipe.seed)
    trainee = beginning(recipe).to(device)
    state = load_checkpoint(folder, identity)
    begun, seconds, tried, optimiser_state = 0, 0.0, [], None
    if state is not None:
        trainee.load_state_dict(state["trainee"])
        begun, seconds, optimiser_state = state["step"], state["seconds"], state["optimiser"]
        tried = [(step, tuple(areas)) for step, areas in state["tried"]]
    trial = HeldOut(
        held_out_pool(_held_out(sources), HELD_OUT_INSTANCES, HELD_OUT_BACKGROUNDS), recipe.seed
    )
    if not tried:
        tried.append((0, tuple(trial.areas(trainee.network))))
    batch_s = recipe.windows * duration_s(_mean(recipe.lengths))
    clock, losses = time.monotonic(), []
    with closing(Feed(sources)) as feed:
        for step, loss, optimiser in steps(
            trainee, recipe, feed.pool_at, total, begun=begun, optimiser_state=optimiser_state
        ):
            done = step + 1
            losses.append(loss)
            now = time.monotonic()
            if done % TRY_EVERY == 0 or done == total:
                tried.append((done, tuple(trial.areas(trainee.network))))
            if done % TELL_EVERY == 0 or done == total:
                pace = batch_s * len(losses) / max(now - clock, 1e-9)
                tell(Standing(done, total, _mean(losses), pace, tried[-1][1]))
            if done % KEEP_EVERY == 0 or done == total:
                seconds += time.monotonic() - clock
                clock, losses = time.monotonic(), []
                keep_checkpoint(
                    folder,
                    {
                        "identity": identity,
                        "step": done,
                        "seconds": seconds,
                        "trainee": trainee.state_dict(),
                        "optimiser": optimiser.state_dict(),
                        "tried": [[at, list(areas)] for at, areas in tried],
                    },
                )
    trainee.network.cpu().eval()
    return Trained(trainee.network, recipe, total, seconds, tuple(tried))


def write(folder: Path, trained: Trained, sources: Sources, command: str) -> Encoder:
    """Write the encoder, its card and what is known of its training; return it.

    Beside it lies the network with all maps that can be used, to choose views by.

    Raises:
        OperationError: the folder cannot be written, or the export went wrong.

    """
    encoder = encoder_of(trained.network, SHIPPED_VIEWS)
    parameters = sum(p.numel() for p in trained.network.parameters())
    facts = {
        "package": __version__,
        "command": command,
        "recipe": trained.recipe.to_json(),
        "steps": trained.total,
        "seconds": round(trained.seconds),
        "machine": f"{os.cpu_count()} cores"
        + (f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""),
        "torch": torch.__version__,
        "parameters": parameters,
        "multiply_adds_a_second": trained.network.multiply_adds(round(RATE_HZ / HOP)),
        "sha256": encoder.sha256,
        "held_out_auc_by_layer": [[step, *map(_rounded, areas)] for step, areas in trained.tried],
        "sounds": _contents(sources.sounds),
        "noises": _contents(sources.noises),
    }
    every_map = CardView(name="maps", outputs=tuple(map_name(tap) for tap in trained.recipe.taps))
    write_encoder(folder, encoder, facts, encoder_of(trained.network, (every_map,), "maps"))
    return encoder


def by_map(recipe: Recipe, areas: Sequence[float]) -> str:
    """Tell the AUC at each of the network's maps."""
    return ", ".join(
        f"{map_name(tap)} {area:.3f}" for tap, area in zip(recipe.taps, areas, strict=True)
    )


def _held_out(sources: Sources) -> Sources:
    """Return the same trial for every choice of supply and backgrounds, so that they compare."""
    return Sources(
        sources.seed,
        sources.sounds,
        sources.noises,
        Supply.BOTH if sources.sounds else Supply.MADE,
        0.5 if sources.noises else 0.0,
        held_out=True,
    )


def _identity(sources: Sources, recipe: Recipe, total: int) -> dict[str, Any]:
    return {
        "recipe": recipe.to_json(),
        "steps": total,
        "supply": str(sources.supply),
        "recorded_backgrounds": sources.recorded_backgrounds,
        "seed": sources.seed,
        "sounds": _contents(sources.sounds),
        "noises": _contents(sources.noises),
    }


def _contents(paths: Sequence[Path]) -> dict[str, Any]:
    """Return how many recordings there are, and a hash of what they hold."""
    digest = hashlib.sha256()
    for path in sorted(paths, key=lambda path: path.name):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return {"files": len(paths), "sha256": digest.hexdigest()}


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def _rounded(number: float) -> float:
    return round(number, 4)
