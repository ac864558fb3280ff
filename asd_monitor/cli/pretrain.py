"""`asd-monitor pretrain`: the shipped encoder, from nothing."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from asd_monitor.encoder_training.pretraining import PretrainingStatus


class HighBandRule(StrEnum):
    """What happens to the band above a random boundary on one of the views."""

    OFF = "off"
    MIX = "mix"
    GAIN = "gain"
    MEAN = "mean"


class SupplyChoice(StrEnum):
    """Which sounds are trained on."""

    MADE = "made"
    RECORDED = "real"
    BOTH = "both"


def command(
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to write, and to go on from.")
    ],
    sounds: Annotated[
        list[Path] | None, typer.Option("--sounds", help="Recordings of any kind: files, folders.")
    ] = None,
    noise: Annotated[
        list[Path] | None, typer.Option("--noise", help="Recordings of backgrounds.")
    ] = None,
    steps: Annotated[int, typer.Option(min=20, help="Batches to learn from.")] = 4000,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 1,
    threads: Annotated[
        int, typer.Option(min=1, help="Of the network.", show_default="one less than cores")
    ] = max(1, (os.cpu_count() or 2) - 1),
    supply: Annotated[
        SupplyChoice, typer.Option(help="Made machines, real sounds, or both.")
    ] = SupplyChoice.BOTH,
    high_band: Annotated[
        HighBandRule, typer.Option(help="Augmentation of the high band.")
    ] = HighBandRule.OFF,
    mixup: Annotated[bool, typer.Option("--mixup/--no-mixup", help="Log-mixup-exp.")] = True,
    stretch: Annotated[
        bool, typer.Option("--stretch/--no-stretch", help="Random resize crop.")
    ] = True,
    faults: Annotated[
        bool, typer.Option("--faults/--no-faults", help="The same machine, faulty, as a negative.")
    ] = True,
    recorded_backgrounds: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of recorded ones; the rest are made.")
    ] = 0.5,
) -> None:
    """Train the encoder from nothing: on made machines, and on real sounds where given.

    Interrupted, it goes on where it was when it is started again with the same options.
    """
    from asd_monitor.extras import TORCH_AND_EXPORT, require_extra
    from asd_monitor.errors import UsageError

    require_extra("pretrain", TORCH_AND_EXPORT)

    import torch

    from asd_monitor.cli.progress import shown_progress
    from asd_monitor.encoder_training.augmentation import HighBand
    from asd_monitor.encoder_training.batch_feed import TrainingSounds
    from asd_monitor.encoder_training.checkpoints import prepare
    from asd_monitor.encoder_training.optimisation import PretrainingConfig
    from asd_monitor.encoder_training.pool import SoundSource
    from asd_monitor.encoder_training.pretraining import auc_by_map, pretrain, write
    from asd_monitor.model_training.recording_paths import expand_paths

    if supply is not SupplyChoice.MADE and not sounds:
        raise UsageError(
            "no real sounds: name recordings with --sounds, or train on made machines alone with "
            "--supply made"
        )
    torch.set_num_threads(threads)
    plain = PretrainingConfig(seed=seed)
    config = PretrainingConfig(
        seed=seed,
        high_band=HighBand(high_band),
        mixup=plain.mixup if mixup else 0.0,
        stretch_bands=plain.stretch_bands if stretch else 0.0,
        stretch_time=plain.stretch_time if stretch else 0.0,
        faults=plain.faults if faults else 0,
        reference=plain.reference if faults else plain.reference + 2 * plain.faults,
    )
    sources = TrainingSounds(
        seed,
        tuple(expand_paths(sounds or [])),
        tuple(expand_paths(noise or [])),
        SoundSource(supply),
        recorded_backgrounds if noise else 0.0,
    )
    prepare(output)
    with shown_progress() as progress:
        progress("making the first sounds", 0.0)

        def tell(standing: PretrainingStatus) -> None:
            areas = auc_by_map(config, standing.areas)
            progress(
                f"step {standing.step}: loss {standing.loss:.3f}, "
                f"{standing.sound_s_per_s:.0f} s of sound a second, held-out AUC {areas}",
                standing.step / standing.total,
            )

        trained = pretrain(sources, config, steps, output, tell)
    encoder = write(output, trained, sources, " ".join(["asd-monitor", *sys.argv[1:]]))
    typer.echo(
        f"{output / 'encoder.onnx'}: {len(encoder.onnx) / 1024:.0f} kB after {steps} steps in "
        f"{trained.seconds / 60:.0f} min; held-out AUC "
        f"{auc_by_map(config, trained.tried[-1][1])} "
        f"(untrained {auc_by_map(config, trained.tried[0][1])})"
    )
