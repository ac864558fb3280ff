"""`asd-monitor pretrain`: trains the encoder of the package from scratch."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asd_monitor.encoder_training.pretraining_choices import HighBand, SoundSource

if TYPE_CHECKING:
    from asd_monitor.encoder_training.pretraining import PretrainingStatus


def command(
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder of the results and checkpoints."
        ),
    ],
    sounds: Annotated[
        list[Path] | None,
        typer.Option("--sounds", metavar="PATH…", help="Recordings: files, folders."),
    ] = None,
    noise: Annotated[
        list[Path] | None,
        typer.Option("--noise", metavar="PATH…", help="Background noise: files, folders."),
    ] = None,
    steps: Annotated[
        int, typer.Option(metavar="N", min=20, help="Number of training batches.")
    ] = 4000,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of all random numbers.")] = 1,
    threads: Annotated[
        int, typer.Option(metavar="N", min=1, help="Threads of torch.", show_default="cores − 1")
    ] = max(1, (os.cpu_count() or 2) - 1),
    supply: Annotated[
        SoundSource, typer.Option(help="Synthetic machines, recordings (real), or both.")
    ] = SoundSource.BOTH,
    high_band: Annotated[
        HighBand, typer.Option(help="Augmentation of the high band.")
    ] = HighBand.OFF,
    mixup: Annotated[
        bool, typer.Option("--mixup/--no-mixup", help="Mix-up of the log-mel spectra.")
    ] = True,
    stretch: Annotated[
        bool,
        typer.Option("--stretch/--no-stretch", help="Random stretching of time and band."),
    ] = True,
    faults: Annotated[
        bool,
        typer.Option("--faults/--no-faults", help="Faulty sound as negatives."),
    ] = True,
    recorded_backgrounds: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            min=0.0,
            max=1.0,
            help="Share of the backgrounds taken from --noise.",
        ),
    ] = 0.5,
) -> None:
    """Train the encoder of the package from scratch, on synthetic machines and recordings.

    After an interruption, the same command continues from the last checkpoint.
    """
    from asd_monitor.errors import UsageError
    from asd_monitor.extras import TORCH_AND_EXPORT, require_extra

    require_extra("pretrain", TORCH_AND_EXPORT)

    import torch

    from asd_monitor.cli.progress import shown_progress
    from asd_monitor.encoder_training.checkpoints import prepare_folder
    from asd_monitor.encoder_training.instance_pool import TrainingSounds
    from asd_monitor.encoder_training.optimisation import PretrainingConfig
    from asd_monitor.encoder_training.pretraining import auc_by_map, pretrain, write_results
    from asd_monitor.model_training.recording_paths import expand_paths

    if supply is not SoundSource.SYNTHETIC and not sounds:
        raise UsageError(
            f"--supply {supply} needs recordings: name them with --sounds, or train on synthetic "
            "machines only with --supply made"
        )
    torch.set_num_threads(threads)
    plain = PretrainingConfig(seed=seed)
    config = PretrainingConfig(
        seed=seed,
        high_band=high_band,
        mixup=plain.mixup if mixup else 0.0,
        stretch_bands=plain.stretch_bands if stretch else 0.0,
        stretch_time=plain.stretch_time if stretch else 0.0,
        faults=plain.faults if faults else 0,
        reference=plain.reference if faults else plain.reference + 2 * plain.faults,
    )
    training_sounds = TrainingSounds(
        seed,
        tuple(expand_paths(sounds or [])),
        tuple(expand_paths(noise or [])),
        supply,
        recorded_backgrounds if noise else 0.0,
    )
    prepare_folder(output)
    with shown_progress() as progress:
        progress("rendering the first sounds", 0.0)

        def show(status: PretrainingStatus) -> None:
            auc = auc_by_map(config, status.auc)
            progress(
                f"step {status.step}: loss {status.loss:.3f}, "
                f"{status.sound_s_per_s:.0f} s of sound a second, held-out AUC {auc}",
                status.step / status.total,
            )

        trained = pretrain(training_sounds, config, steps, output, show)
    command_line = " ".join(["asd-monitor", *sys.argv[1:]])
    encoder = write_results(output, trained, training_sounds, command_line)
    typer.echo(
        f"{output / 'encoder.onnx'}: {len(encoder.onnx) / 1024:.0f} kB after {steps} steps in "
        f"{trained.seconds / 60:.0f} min; held-out AUC "
        f"{auc_by_map(config, trained.auc_history[-1][1])} "
        f"(untrained {auc_by_map(config, trained.auc_history[0][1])})"
    )
