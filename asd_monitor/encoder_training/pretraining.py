"""`pretrain`: train the encoder from scratch, with checkpoints.

The batches are drawn from a pool of instances.  Shard by shard its oldest part is replaced by
new instances, which another process renders meanwhile (`batch_feed`).
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from asd_monitor import __version__
from asd_monitor.encoder_training.batch_feed import BatchFeed, held_out_pool
from asd_monitor.encoder_training.checkpoints import (
    load_checkpoint,
    save_checkpoint,
    write_encoder,
)
from asd_monitor.encoder_training.export import export_encoder, map_name
from asd_monitor.encoder_training.held_out_faults import HeldOutValidation
from asd_monitor.encoder_training.instance_pool import (
    InstancePool,
    PoolFeed,
    TrainingSounds,
)
from asd_monitor.encoder_training.log_mel_frames import FRONT_END
from asd_monitor.encoder_training.network import Network, NetworkWithHeads
from asd_monitor.encoder_training.optimisation import (
    PretrainingConfig,
    training_steps,
    untrained_network,
)
from asd_monitor.encoder_training.pretraining_choices import SoundSource
from asd_monitor.encoders.card import CardView
from asd_monitor.encoders.encoder import Encoder

HELD_OUT_INSTANCES, HELD_OUT_BACKGROUNDS = 64, 12

SHIPPED_VIEWS = (
    CardView(name="encoder", outputs=("maps1",), pool=("spread",), back_end="residual"),
)

AucHistory = list[tuple[int, tuple[float, ...]]]
"""Step, and the AUC on the held-out instances at each tapped layer."""


@dataclass(frozen=True, slots=True)
class Intervals:
    """Steps from one status, validation and checkpoint to the next."""

    status: int = 20
    validation: int = 200
    checkpoint: int = 100


@dataclass(frozen=True, slots=True)
class PretrainingStatus:
    """The progress of a pretraining."""

    step: int
    total: int
    loss: float  # mean since the last checkpoint
    sound_s_per_s: float  # seconds of sound trained on per second
    auc: tuple[float, ...]  # at each tapped layer, of the last validation


@dataclass(frozen=True, slots=True, eq=False)
class PretrainedNetwork:
    """A trained network and the record of its training."""

    network: Network
    config: PretrainingConfig
    total: int  # steps
    seconds: float
    auc_history: tuple[tuple[int, tuple[float, ...]], ...]


def pretrain(
    sounds: TrainingSounds,
    config: PretrainingConfig,
    total: int,
    folder: Path,
    on_status: Callable[[PretrainingStatus], None],
    *,
    feed: Callable[[TrainingSounds], PoolFeed] = BatchFeed,
    held_out: InstancePool | None = None,
    intervals: Intervals = Intervals(),
    clock: Callable[[], float] = time.monotonic,
) -> PretrainedNetwork:
    """Train for ``total`` steps, resuming from the checkpoint in ``folder`` if there is one.

    Args:
        sounds: what to train on.
        config: the settings.
        total: number of gradient steps.
        folder: of the checkpoint.
        on_status: called every few steps.
        feed: creates the source of the instances.
        held_out: instances to validate on; by default those held out of ``sounds``.
        intervals: of status, validation and checkpoint.
        clock: monotonic time in s.

    Raises:
        UsageError: there is no sound to train on, or the checkpoint has other settings.
        OperationError: the folder cannot be written, or the checkpoint cannot be read.

    """
    identity = _identity(sounds, config, total)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(config.seed)
    network = untrained_network(config).to(device)
    state = load_checkpoint(folder, identity)
    first, seconds, history, optimiser_state = 0, 0.0, AucHistory(), None
    if state is not None:
        network.load_state_dict(state["trainee"])
        first, seconds, optimiser_state = state["step"], state["seconds"], state["optimiser"]
        history = [(step, tuple(auc)) for step, auc in state["tried"]]
    if held_out is None:
        held_out = held_out_pool(
            _validation_sounds(sounds), HELD_OUT_INSTANCES, HELD_OUT_BACKGROUNDS
        )
    validation = HeldOutValidation(held_out, config.seed)
    if not history:
        history.append((0, tuple(validation.auc_by_layer(network.network))))
    began, losses = clock(), list[float]()
    with closing(feed(sounds)) as pools:
        for step, loss, optimiser in training_steps(
            network, config, pools.pool_at, total, first=first, optimiser_state=optimiser_state
        ):
            done = step + 1
            losses.append(loss)
            elapsed = clock() - began
            if done % intervals.validation == 0 or done == total:
                history.append((done, tuple(validation.auc_by_layer(network.network))))
            if done % intervals.status == 0 or done == total:
                speed = config.batch_s * len(losses) / max(elapsed, 1e-9)
                mean_loss = sum(losses) / len(losses)
                on_status(PretrainingStatus(done, total, mean_loss, speed, history[-1][1]))
            if done % intervals.checkpoint == 0 or done == total:
                seconds += clock() - began
                began, losses = clock(), []
                state = _state(
                    identity,
                    step=done,
                    seconds=seconds,
                    network=network,
                    optimiser=optimiser,
                    history=history,
                )
                save_checkpoint(folder, state)
    network.network.cpu().eval()
    return PretrainedNetwork(network.network, config, total, seconds, tuple(history))


def write_results(
    folder: Path, trained: PretrainedNetwork, sounds: TrainingSounds, command: str
) -> Encoder:
    """Write the encoder, its card and the record of its training; return the encoder.

    `maps.onnx` beside it is the same network with all its maps, to compare views.

    Raises:
        OperationError: the folder cannot be written, or the export failed.

    """
    encoder = export_encoder(trained.network, SHIPPED_VIEWS)
    parameters = sum(p.numel() for p in trained.network.parameters())
    record = {
        "package": __version__,
        "command": command,
        "recipe": trained.config.to_json(),
        "steps": trained.total,
        "seconds": round(trained.seconds),
        "machine": f"{os.cpu_count()} cores"
        + (f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""),
        "torch": torch.__version__,
        "parameters": parameters,
        "multiply_adds_a_second": trained.network.multiply_adds(round(FRONT_END.frame_rate_hz)),
        "sha256": encoder.sha256,
        "held_out_auc_by_layer": [
            [step, *(round(auc, 4) for auc in by_layer)] for step, by_layer in trained.auc_history
        ],
        "sounds": _contents(sounds.recordings),
        "noises": _contents(sounds.noise),
    }
    every_map = CardView(name="maps", outputs=tuple(map_name(tap) for tap in trained.config.taps))
    write_encoder(folder, encoder, record, export_encoder(trained.network, (every_map,), "maps"))
    return encoder


def auc_by_map(config: PretrainingConfig, auc: Sequence[float]) -> str:
    """Return the AUC at each of the network's maps as text."""
    return ", ".join(
        f"{map_name(tap)} {each:.3f}" for tap, each in zip(config.taps, auc, strict=True)
    )


def _validation_sounds(sounds: TrainingSounds) -> TrainingSounds:
    """Return what to validate on; the same for all sources, so that their AUC is comparable."""
    return replace(
        sounds,
        source=SoundSource.BOTH if sounds.recordings else SoundSource.SYNTHETIC,
        recorded_backgrounds=0.5 if sounds.noise else 0.0,
        held_out=True,
    )


def _identity(sounds: TrainingSounds, config: PretrainingConfig, total: int) -> dict[str, Any]:
    """Return what must be equal for a training to be resumed."""
    return {
        "recipe": config.to_json(),
        "steps": total,
        "supply": str(sounds.source),
        "recorded_backgrounds": sounds.recorded_backgrounds,
        "seed": sounds.seed,
        "sounds": _contents(sounds.recordings),
        "noises": _contents(sounds.noise),
    }


def _state(
    identity: dict[str, Any],
    *,
    step: int,
    seconds: float,
    network: NetworkWithHeads,
    optimiser: torch.optim.Optimizer,
    history: AucHistory,
) -> dict[str, Any]:
    """Return the content of a checkpoint; its keys are those of earlier versions."""
    return {
        "identity": identity,
        "step": step,
        "seconds": seconds,
        "trainee": network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "tried": [[at, list(auc)] for at, auc in history],
    }


def _contents(paths: Sequence[Path]) -> dict[str, Any]:
    """Return the number of recordings and a hash of their contents."""
    digest = hashlib.sha256()
    for path in sorted(paths, key=lambda path: path.name):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return {"files": len(paths), "sha256": digest.hexdigest()}
