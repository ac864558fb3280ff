"""Switch the parts of the encoder's training off, one at a time, and see what each is worth.

    python -m experiments.ablations OUT --sounds SOUNDS… --noise NOISE… --steps 150 --seeds 1 2 3

Each line is `asd-monitor pretrain` with one option changed, all with the same short budget; the
figure is its AUC on held-out sounds, machines and faults at each of the network's maps, mean
over seeds, and the spread over seeds, without which a difference means nothing.  OUT keeps every
run: what is there is not run again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import typer

VARIANTS: dict[str, tuple[str, ...]] = {
    "as it ships": (),
    "high band mixed": ("--high-band", "mix"),
    "high band louder or softer": ("--high-band", "gain"),
    "high band by its mean": ("--high-band", "mean"),
    "no log-mixup-exp": ("--no-mixup",),
    "no resize crop": ("--no-stretch",),
    "no faults as negatives": ("--no-faults",),
    "made machines only": ("--supply", "made"),
    "real sounds only": ("--supply", "real"),
    "made backgrounds only": ("--recorded-backgrounds", "0"),
    "recorded backgrounds only": ("--recorded-backgrounds", "1"),
}


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--sounds", nargs="+", required=True)
    parser.add_argument("--noise", nargs="+", required=True)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    options = parser.parse_args()
    runs = [(name, seed) for seed in options.seeds for name in options.only]
    with ThreadPoolExecutor(options.jobs) as pool:
        figures = dict(
            zip(runs, pool.map(lambda run: _figure(run[0], run[1], options), runs), strict=True)
        )
    untrained = np.mean([figure[0] for figure in figures.values()], axis=0)
    typer.echo("| what | maps1 | maps2 |\n| --- | --- | --- |")
    typer.echo(f"| untrained | {' | '.join(f'{area:.3f}' for area in untrained)} |")
    for name in options.only:
        each = np.array([figures[name, seed][1] for seed in options.seeds])
        cells = [
            f"{mean:.3f}" + (f" ± {spread:.3f}" if len(each) > 1 else "")
            for mean, spread in zip(
                each.mean(0), each.std(0, ddof=min(1, len(each) - 1)), strict=True
            )
        ]
        typer.echo(f"| {name} | {' | '.join(cells)} |")


def _figure(name: str, seed: int, options: argparse.Namespace) -> tuple[list[float], list[float]]:
    """Return the AUC at each map before and after a training."""
    folder = options.out / f"{name.replace(' ', '-')}-{seed}"
    done = folder / "training.json"
    if not done.exists():
        command = [sys.executable, "-m", "asd_monitor", "pretrain", "--output", str(folder)]
        command += ["--sounds", *options.sounds, "--noise", *options.noise]
        command += ["--steps", str(options.steps), "--seed", str(seed), "--threads", "1"]
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "log").open("w") as log:
            subprocess.run([*command, *VARIANTS[name]], check=True, stdout=log, stderr=log)
        typer.echo(f"{name}, seed {seed}", err=True)
    tried = json.loads(done.read_text())["held_out_auc_by_layer"]
    return tried[0][1:], tried[-1][1:]


if __name__ == "__main__":
    main()
