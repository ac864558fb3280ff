"""Train encoders with one part of the training switched off at a time, and compare their AUC.

    python -m experiments.ablations OUT --sounds SOUNDS… --noise NOISE… --steps 150 --seeds 1 2 3

Each line is `asd-monitor pretrain` with one option changed, with the same short training.  It has
the AUC on held-out sounds, machines and faults at each of the network's maps: the mean and the
standard deviation over the seeds, without which a difference has no meaning.  OUT keeps every
run; a run that is there is not repeated.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from experiments.command_line import parser_of
from experiments.markdown import table

VARIANTS: dict[str, tuple[str, ...]] = {
    "as shipped": (),
    "high band mixed": ("--high-band", "mix"),
    "high band with a gain": ("--high-band", "gain"),
    "high band replaced by its mean": ("--high-band", "mean"),
    "no log-mixup-exp": ("--no-mixup",),
    "no random resize crop": ("--no-stretch",),
    "no faults as negatives": ("--no-faults",),
    "synthetic machines only": ("--supply", "made"),
    "recordings only": ("--supply", "real"),
    "synthetic backgrounds only": ("--recorded-backgrounds", "0"),
    "recorded backgrounds only": ("--recorded-backgrounds", "1"),
}

Auc = list[float]
"""AUC at each map."""


def main() -> int:
    """Run what is missing and print the table."""
    parser = parser_of("ablations", __doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sounds", nargs="+", required=True)
    parser.add_argument("--noise", nargs="+", required=True)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS), metavar="VARIANT"
    )
    options = parser.parse_args()
    runs = [(name, seed) for seed in options.seeds for name in options.only]
    try:
        with ThreadPoolExecutor(options.jobs) as pool:
            found = list(pool.map(lambda run: _run(run[0], run[1], options), runs))
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"ablations: {' '.join(error.cmd)} failed: see the log in its folder\n")
        return 1
    sys.stdout.write(_table(options.only, dict(zip(runs, found, strict=True)), options.seeds))
    return 0


def _run(name: str, seed: int, options: argparse.Namespace) -> tuple[Auc, Auc]:
    """Return the AUC before and after the training."""
    folder = options.out / f"{name.replace(' ', '-')}-{seed}"
    record = folder / "training.json"
    if not record.exists():
        command = [sys.executable, "-m", "asd_monitor", "pretrain", "--output", str(folder)]
        command += ["--sounds", *options.sounds, "--noise", *options.noise]
        command += ["--steps", str(options.steps), "--seed", str(seed), "--threads", "1"]
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "log").open("w") as log:
            subprocess.run([*command, *VARIANTS[name]], check=True, stdout=log, stderr=log)
        sys.stderr.write(f"{name}, seed {seed}\n")
    history = json.loads(record.read_text())["held_out_auc_by_layer"]
    return history[0][1:], history[-1][1:]


def _table(
    names: list[str], found: dict[tuple[str, int], tuple[Auc, Auc]], seeds: list[int]
) -> str:
    untrained = np.mean([before for before, _ in found.values()], axis=0)
    rows = [["untrained", *(f"{auc:.3f}" for auc in untrained)]]
    for name in names:
        trained = np.array([found[name, seed][1] for seed in seeds])
        means = [f"{mean:.3f}" for mean in trained.mean(0)]
        if len(seeds) > 1:
            deviations = trained.std(0, ddof=1)
            means = [f"{mean} ± {d:.3f}" for mean, d in zip(means, deviations, strict=True)]
        rows.append([name, *means])
    return table(["variant", *(f"maps{number}" for number in (1, 2))], rows)


if __name__ == "__main__":
    sys.exit(main())
