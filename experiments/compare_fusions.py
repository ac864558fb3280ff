"""Compare rules of fusion, and what each view adds, on data sets in the layout of DCASE 2020.

    python -m datasets.synthetic_tree /tmp/made --seed 1
    python -m datasets.injected_tree SOUNDS /tmp/injected --seed 1
    python -m experiments.compare_fusions [--encoder FILE.onnx] /tmp/made /tmp/injected

Printed as AUC / pAUC, means over ids and then types: every rule with all views, and the rule
that ships with each view left out.  Views are the statistics, and those of the encoders that
are named.  Rules and views are chosen on trees like these, whose faults are made, and never
on the recordings on which the product is reported.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import typer

from asd_monitor.detector.fusion import fuse
from asd_monitor.detector.views import VIEW_KINDS, encoder_views
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.encoder_loading import load_encoder
from asd_monitor.errors import AsdMonitorError
from asd_monitor.evaluation.dcase_data_set import DcaseMachine
from asd_monitor.evaluation.dcase_layouts import find_machines
from experiments.fitted_trees import Rule, Scored, fit, hear, mean_by_type, score


def _highest(count: int) -> Rule:
    return lambda scores: np.asarray(np.sort(scores, axis=1)[:, -count:].mean(1))


RULES: dict[str, Rule] = {
    "cubic mean (ships)": fuse,
    "root mean square": lambda scores: np.asarray(np.sqrt(np.mean(scores**2, axis=1))),
    "mean": lambda scores: np.asarray(scores.mean(1)),
    "mean of the higher half": lambda scores: _highest((scores.shape[1] + 1) // 2)(scores),
    "mean of the two highest": _highest(2),
    "maximum": _highest(1),
}


def main() -> int:
    """Print a line a rule and a line a view, a column a tree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tree", nargs="+", type=Path)
    parser.add_argument("--encoder", action="append", default=[], type=Path, metavar="FILE.onnx")
    arguments = parser.parse_args()
    try:
        _compare(arguments.tree, [load_encoder(path) for path in arguments.encoder])
    except AsdMonitorError as error:
        sys.stderr.write(f"compare_fusions: {error}\n")
        return error.exit_code
    return 0


def _compare(trees: Sequence[Path], encoders: Sequence[Encoder]) -> None:
    scored = [[_score(machine, encoders) for machine in find_machines(tree)] for tree in trees]
    kinds = (*VIEW_KINDS, *(kind for e in encoders for kind in encoder_views(e.card)))
    every = list(range(len(kinds)))
    _row("fused by", *(tree.name for tree in trees))
    _row(*["---"] * (len(trees) + 1))
    for name, rule in RULES.items():
        _row(name, *(_mean(machines, rule, every) for machines in scored))
    for left_out, kind in enumerate(kinds):
        views = [view for view in every if view != left_out]
        _row(f"without {kind.name}", *(_mean(machines, fuse, views) for machines in scored))


def _score(machine: DcaseMachine, encoders: Sequence[Encoder]) -> Scored:
    heard = hear(machine, encoders)
    return score(fit(heard).detector, machine, heard.clips)


def _mean(machines: Sequence[Scored], rule: Rule, views: Sequence[int]) -> str:
    areas = [machine.areas(rule, views) for machine in machines]
    whole, partial = mean_by_type([machine.type for machine in machines], areas)
    return f"{whole:.3f} / {partial:.3f}"


def _row(*cells: str) -> None:
    typer.echo(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    sys.exit(main())
