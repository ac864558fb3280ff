"""Compare the maps of a network as views, with every pooling and back end of a card.

    asd-monitor pretrain --sounds SOUNDS --noise NOISES --output DIR
    python -m experiments.compare_views DIR/maps.onnx TREE…

A view is a map of the network, pooled by its mean, standard deviation, maximum or all three,
with a back end.  Prints AUC / pAUC for each data set, averaged over ids and then types: of the
view alone, and fused with the statistics.  The views of the network's card are ignored.  TREE is
a data set as written by `datasets.synthetic_tree`, `injected_tree` or `impact_tree`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from asd_monitor.detector.views import VIEW_KINDS
from asd_monitor.encoders.card import BackEndName, CardView, Pool
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.encoder_loading import load_encoder
from asd_monitor.errors import AsdMonitorError
from asd_monitor.evaluation.dcase_layouts import find_machines
from experiments.command_line import parser_of
from experiments.fitted_machines import MachineScores, MachineWindows, mean_auc
from experiments.markdown import table

POOLS: tuple[tuple[Pool, ...], ...] = (
    ("mean",),
    ("spread",),
    ("maximum",),
    ("mean", "spread", "maximum"),
)
BACK_ENDS: tuple[BackEndName, ...] = ("neighbour", "residual", "mahalanobis")
STATISTICS = list(range(len(VIEW_KINDS)))


def main() -> int:
    """Print a line per view, with two columns per data set."""
    parser = parser_of("compare_views", __doc__)
    parser.add_argument("network", type=Path, metavar="FILE.onnx", help="with its card FILE.yaml")
    parser.add_argument("tree", nargs="+", type=Path)
    options = parser.parse_args()
    try:
        sys.stdout.write(_compare(with_every_view(load_encoder(options.network)), options.tree))
    except AsdMonitorError as error:
        sys.stderr.write(f"compare_views: {error}\n")
        return error.exit_code
    return 0


def with_every_view(encoder: Encoder) -> Encoder:
    """Return the network with a card of every view of each of its maps."""
    views = tuple(
        CardView(
            name=f"{output.name}.{pools[0] if len(pools) == 1 else 'all'}.{back_end}",
            outputs=(output.name,),
            pool=pools,
            back_end=back_end,
        )
        for output, pools, back_end in product(encoder.card.outputs, POOLS, BACK_ENDS)
    )
    return Encoder.from_bytes(encoder.onnx, encoder.card.model_copy(update={"views": views}))


def _compare(encoder: Encoder, trees: Sequence[Path]) -> str:
    scored: list[list[MachineScores]] = []
    for tree in trees:
        scored.append([])
        for machine in find_machines(tree):
            windows = MachineWindows.read(machine, [encoder])
            scored[-1].append(windows.score(windows.fit().detector))
            sys.stderr.write(f"{tree.name} {machine.name}\n")
    rows = [["statistics"]]
    for machines in scored:
        rows[0] += [mean_auc(machines, STATISTICS), ""]
    for number, view in enumerate(encoder.card.views, len(VIEW_KINDS)):
        rows.append([view.name])
        for machines in scored:
            rows[-1] += [mean_auc(machines, [number]), mean_auc(machines, [*STATISTICS, number])]
    head = [column for tree in trees for column in (tree.name, "with statistics")]
    return table(["view", *head], rows)


if __name__ == "__main__":
    sys.exit(main())
