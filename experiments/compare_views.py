"""Compare what a network's maps hear, pooled and judged in every way a card can ask for.

    asd-monitor pretrain --sounds SOUNDS --noise NOISES --output DIR
    python -m experiments.compare_views DIR/maps.onnx TREE…

Each map of the network, pooled by its mean, spread, maximum or all three, with each back end is a
view.  Printed for each tree as AUC / pAUC, means over ids and then types: the view alone, and
fused with the statistics.  The views of the card beside the network are not looked at.  Trees are
such as made_tree, injected_tree and struck_tree write.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import typer

from asd_monitor.detector.fusion import fuse
from asd_monitor.detector.views import VIEW_KINDS
from asd_monitor.encoders.card import BackEndName, CardView, Pool
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.encoder_loading import load_encoder
from asd_monitor.errors import AsdMonitorError
from asd_monitor.evaluation.dcase_layouts import find_machines
from experiments.fitted_trees import Scored, fit, hear, mean_by_type, score

POOLS: tuple[tuple[Pool, ...], ...] = (
    ("mean",),
    ("spread",),
    ("maximum",),
    ("mean", "spread", "maximum"),
)
BACK_ENDS: tuple[BackEndName, ...] = ("neighbour", "residual", "mahalanobis")
STATISTICS = list(range(len(VIEW_KINDS)))


def main() -> int:
    """Print a line a view, two columns a tree."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("network", type=Path, metavar="FILE.onnx", help="with its card beside it")
    parser.add_argument("tree", nargs="+", type=Path)
    arguments = parser.parse_args()
    try:
        _compare(every_view(load_encoder(arguments.network)), arguments.tree)
    except AsdMonitorError as error:
        sys.stderr.write(f"compare_views: {error}\n")
        return error.exit_code
    return 0


def every_view(encoder: Encoder) -> Encoder:
    """Return the network with a card that asks for every view of each of its maps."""
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


def _compare(encoder: Encoder, trees: Sequence[Path]) -> None:
    scored: list[list[Scored]] = []
    for tree in trees:
        scored.append([])
        for machine in find_machines(tree):
            heard = hear(machine, [encoder])
            scored[-1].append(score(fit(heard).detector, machine, heard.clips))
            sys.stderr.write(f"{tree.name} {machine.name}\n")
    _row("view", *(column for tree in trees for column in (tree.name, "with statistics")))
    _row(*["---"] * (2 * len(trees) + 1))
    _row("statistics", *(cell for each in scored for cell in (_mean(each, STATISTICS), "")))
    for column, view in enumerate(encoder.card.views, len(VIEW_KINDS)):
        cells = (
            cell
            for each in scored
            for cell in (_mean(each, [column]), _mean(each, [*STATISTICS, column]))
        )
        _row(view.name, *cells)


def _mean(machines: Sequence[Scored], views: Sequence[int]) -> str:
    areas = [machine.areas(fuse, views) for machine in machines]
    whole, partial = mean_by_type([machine.type for machine in machines], areas)
    return f"{whole:.3f} / {partial:.3f}"


def _row(*cells: str) -> None:
    typer.echo(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    sys.exit(main())
