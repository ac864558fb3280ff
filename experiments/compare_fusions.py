"""Compare fusion rules and the contribution of each view, on data sets in DCASE's layouts.

    python -m datasets.synthetic_tree /tmp/made --seed 1
    python -m datasets.injected_tree SOUNDS /tmp/injected --seed 1
    python -m experiments.compare_fusions [--encoder FILE.onnx] /tmp/made /tmp/injected

Prints AUC / pAUC, averaged over ids and then types: of every rule with all views, and of the
shipped rule without each view.  The views are the statistics and those of the named encoders.
Rules and views are chosen on data sets with simulated faults like these, never on the recordings
on which results are reported.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from asd_monitor.detector.back_end import Floats
from asd_monitor.detector.fusion import fuse
from asd_monitor.detector.views import VIEW_KINDS, encoder_views
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.encoder_loading import load_encoder
from asd_monitor.errors import AsdMonitorError
from asd_monitor.evaluation.dcase_data_set import DcaseMachine
from asd_monitor.evaluation.dcase_layouts import find_machines
from experiments.command_line import parser_of
from experiments.fitted_machines import FusionRule, MachineScores, MachineWindows, mean_auc
from experiments.markdown import table


def _mean_of_highest(count: int) -> FusionRule:
    return lambda deviations: np.asarray(np.sort(deviations, axis=1)[:, -count:].mean(1))


def _cubic_mean(deviations: Floats) -> Floats:
    return np.asarray(np.cbrt(np.mean(np.maximum(deviations, 0.0) ** 3, axis=1)))


def _mean_of_higher_half(deviations: Floats) -> Floats:
    return _mean_of_highest((deviations.shape[1] + 1) // 2)(deviations)


RULES: dict[str, FusionRule] = {
    "root mean square (shipped)": fuse,
    "cubic mean": _cubic_mean,
    "mean": lambda deviations: np.asarray(np.maximum(deviations, 0.0).mean(1)),
    "mean of the higher half": _mean_of_higher_half,
    "mean of the two highest": _mean_of_highest(2),
    "maximum": _mean_of_highest(1),
}


def main() -> int:
    """Print a line per rule and per view, with a column per data set."""
    parser = parser_of("compare_fusions", __doc__)
    parser.add_argument("tree", nargs="+", type=Path)
    parser.add_argument("--encoder", action="append", default=[], type=Path, metavar="FILE.onnx")
    options = parser.parse_args()
    try:
        sys.stdout.write(_compare(options.tree, [load_encoder(path) for path in options.encoder]))
    except AsdMonitorError as error:
        sys.stderr.write(f"compare_fusions: {error}\n")
        return error.exit_code
    return 0


def _compare(trees: Sequence[Path], encoders: Sequence[Encoder]) -> str:
    scored = [[_score(machine, encoders) for machine in find_machines(tree)] for tree in trees]
    kinds = (*VIEW_KINDS, *(kind for e in encoders for kind in encoder_views(e.card)))
    every = list(range(len(kinds)))
    rows = [
        [name, *(mean_auc(machines, every, rule) for machines in scored)]
        for name, rule in RULES.items()
    ]
    for number, kind in enumerate(kinds):
        others = [view for view in every if view != number]
        rows.append([f"without {kind.name}", *(mean_auc(machines, others) for machines in scored)])
    return table(["fusion", *(tree.name for tree in trees)], rows)


def _score(machine: DcaseMachine, encoders: Sequence[Encoder]) -> MachineScores:
    windows = MachineWindows.read(machine, encoders)
    return windows.score(windows.fit().detector)


if __name__ == "__main__":
    sys.exit(main())
