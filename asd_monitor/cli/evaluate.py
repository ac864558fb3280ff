"""`asd-monitor evaluate`: a data set by the rules of the DCASE challenge."""

from __future__ import annotations

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asd_monitor.cli.options import AsJson

if TYPE_CHECKING:
    from asd_monitor.evaluation.evaluate import Results


class Rules(StrEnum):
    """Whose rules: a year of the challenge."""

    Y2020 = "2020"


class Regime(StrEnum):
    """What a model hears in training."""

    SINGLE = "single"  # its own machine alone, as in a plant


def command(
    folder: Annotated[
        Path, typer.Argument(help="Data set: TYPE/train, TYPE/test.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for results.json and CSV files.")
    ] = Path("evaluation"),
    rules: Annotated[Rules, typer.Option(help="Year of the challenge.")] = Rules.Y2020,
    regime: Annotated[Regime, typer.Option(help="What a model is trained on.")] = Regime.SINGLE,
    jobs: Annotated[
        int, typer.Option(min=1, help="Machines at a time.", show_default="one a core")
    ] = os.cpu_count() or 1,
    *,
    as_json: AsJson = False,
) -> None:
    """Train and test on a data set in the layout of DCASE; a model an id."""
    from asd_monitor.cli.progress import shown_progress
    from asd_monitor.errors import OperationError
    from asd_monitor.evaluation.dcase import find_machines
    from asd_monitor.evaluation.evaluate import evaluate

    del rules, regime  # there is one of each so far
    machines = find_machines(folder)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperationError(
            f"{output}: cannot be made ({error.strerror}): choose another folder with --output"
        ) from error
    with shown_progress() as progress:
        progress("evaluating", 0.0)
        results = evaluate(
            machines, jobs, lambda _, number: progress("evaluating", number / len(machines))
        )
    for result in results.machines:
        for notice in result.notices:
            typer.echo(f"notice: {notice}", err=True)
    results.write(output)
    if as_json:
        typer.echo(json.dumps(results.to_json(), ensure_ascii=False))
    else:
        _show(results)
        typer.echo(f"Written to {output}")


def _show(results: Results) -> None:
    from rich.table import Table

    from asd_monitor.cli.results import result_console
    from asd_monitor.evaluation.evaluate import FUSED

    console = result_console()
    table = Table("machine", title="AUC and partial AUC of the fused score")
    for name in ("AUC", "pAUC", "trained on"):
        table.add_column(name, justify="right")
    for kind in results.types:
        for result in results.machines:
            if result.machine.type == kind:
                areas = result.areas()
                table.add_row(
                    result.machine.name,
                    f"{areas.auc:.3f}",
                    f"{areas.pauc:.3f}",
                    f"{result.train_s:.0f} s",
                )
        areas = results.of_type(kind)
        table.add_row(f"[bold]{kind}[/]", f"[bold]{areas.auc:.3f}[/]", f"[bold]{areas.pauc:.3f}[/]")
        table.add_section()
    areas = results.mean()
    table.add_row("[bold]mean[/]", f"[bold]{areas.auc:.3f}[/]", f"[bold]{areas.pauc:.3f}[/]")
    console.print(table)

    table = Table("view", title="AUC by each view alone")
    wide = sum(len(f" {name:>5} |") for name in ("a long view", *results.types, "mean", "pAUC"))
    types = results.types if wide < console.width else ()
    if not types:
        table.caption = "each type: in results.json, or on a wider terminal"
    for name in (*types, "mean", "pAUC"):
        table.add_column(name, justify="right")
    for view in (FUSED, *results.views):
        areas = results.mean(view)
        cells = [f"{results.of_type(kind, view).auc:.3f}" for kind in types]
        cells += [f"{areas.auc:.3f}", f"{areas.pauc:.3f}"]
        table.add_row(view, *cells, style="bold" if view == FUSED else None)
    console.print(table)
