"""`asd-monitor evaluate`: a data set by the rules of the DCASE challenge."""

from __future__ import annotations

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asd_monitor.cli.options import AsJson, EncoderFiles, NoShippedEncoder

if TYPE_CHECKING:
    from asd_monitor.evaluation.dcase_rules import Figures
    from asd_monitor.evaluation.results import Results


class RulesOf(StrEnum):
    """Whose rules: a year of the challenge."""

    Y2020 = "2020"
    Y2021 = "2021"
    Y2022 = "2022"
    Y2023 = "2023"
    Y2024 = "2024"
    Y2025 = "2025"
    Y2026 = "2026"


class RegimeName(StrEnum):
    """What a model hears in training."""

    SINGLE = "single"  # its own machine alone, as in a plant
    IDS = "ids"  # all ids together, told apart


def command(
    folder: Annotated[
        Path,
        typer.Argument(help="Data set of a year: TYPE/train, TYPE/test …", show_default=False),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for results, report and CSV files.")
    ] = Path("evaluation"),
    *,
    rules: Annotated[
        RulesOf | None,
        typer.Option(help="Year of the challenge.", show_default="recognised from the data"),
    ] = None,
    regime: Annotated[
        RegimeName, typer.Option(help="What a model is trained on.")
    ] = RegimeName.SINGLE,
    adapt: Annotated[
        bool,
        typer.Option("--adapt", help="Adapt the encoder to each machine (torch); regime single."),
    ] = False,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="CSV file, or folder of them, with the labels of clips whose names tell none.",
            show_default="tables beside the types",
        ),
    ] = None,
    channel: Annotated[
        int | None, typer.Option(min=0, help="Channel to hear.", show_default="the first")
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, help="Machines at a time.", show_default="one a core")
    ] = os.cpu_count() or 1,
    baseline: Annotated[
        bool, typer.Option("--baseline", help="Train the challenge's autoencoder too (torch).")
    ] = False,
    encoder: EncoderFiles = None,
    no_shipped_encoder: NoShippedEncoder = False,
    sound: Annotated[
        bool, typer.Option(help="Clips to play in the report; some may not be passed on.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Train and test on a data set in a layout of DCASE Task 2; a model an id or section."""
    from asd_monitor.cli.progress import shown_progress
    from asd_monitor.extras import TORCH_AND_EXPORT, require_extra
    from asd_monitor.encoders.loading import chosen_encoders
    from asd_monitor.errors import OperationError, UsageError
    from asd_monitor.evaluation.baseline import require_baseline
    from asd_monitor.evaluation.dcase_layouts import find_data_set
    from asd_monitor.evaluation.dcase_rules import Rules
    from asd_monitor.evaluation.ids_regime import Ids, require_ids
    from asd_monitor.evaluation.regimes import Single
    from asd_monitor.evaluation.runner import evaluate
    from asd_monitor.reports.evaluation_report import report_html

    if baseline:
        require_baseline()
    if regime is RegimeName.IDS:
        require_ids()
    if adapt:
        if regime is not RegimeName.SINGLE:
            raise UsageError("--adapt goes with --regime single: ids trains the encoder itself")
        require_extra("--adapt", TORCH_AND_EXPORT, "omit --adapt")
    encoders = chosen_encoders(encoder or (), instead=no_shipped_encoder)
    data = find_data_set(folder, None if rules is None else Rules(rules), labels, channel)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperationError(
            f"{output}: cannot be made ({error.strerror}): choose another folder with --output"
        ) from error
    how = "as asked" if data.chosen else "recognised from its files; --rules chooses another year"
    typer.echo(f"rules of DCASE {data.rules} ({how})", err=True)
    chosen = Ids(encoders) if regime is RegimeName.IDS else Single(encoders, adapt)
    with shown_progress() as progress:
        results = evaluate(data, chosen, jobs=jobs, baseline=baseline, progress=progress)
        progress("writing the report", 1.0)
        results.write(output, report_html(results, sound=sound))
    for notice in results.notices:
        typer.echo(f"notice: {notice}", err=True)
    if as_json:
        typer.echo(json.dumps(results.to_json(), ensure_ascii=False))
    else:
        _show(results)
        typer.echo(f"Written to {output}")


def _columns(figures: Figures) -> dict[str, float]:
    names = {
        "auc": "AUC",
        "auc_source": "source",
        "auc_target": "target",
        "pauc": "pAUC",
        "official": "official",
    }
    told = figures.to_json()
    if "official" in told:
        del told["auc"]  # a mean of the two beside it, and nothing official
        names["auc_source"], names["auc_target"] = "AUC source", "AUC target"
    return {names[name]: told[name] for name in names if name in told}


def _show(results: Results) -> None:
    from rich.table import Table

    from asd_monitor.cli.console import result_console
    from asd_monitor.evaluation.results import FUSED

    console = result_console()
    columns = list(_columns(results.mean()))
    table = Table("machine", title=f"The fused score by the rules of DCASE {results.rules}")
    for name in (*columns, "trained on"):
        table.add_column(name, justify="right")
    for kind in results.types:
        those = [result for result in results.machines if result.machine.type == kind]
        for result in those:
            cells = _cells(result.figures())
            table.add_row(result.machine.name, *cells, f"{result.train_s:.0f} s")
        if len(those) > 1:
            table.add_row(kind, *_cells(results.of_type(kind)), style="bold")
        table.add_section()
    table.add_row("mean", *_cells(results.mean()), style="bold")
    console.print(table)

    names = (FUSED, *results.baselines, *results.views)
    what = "Official score" if results.rules.has_domains else "AUC"
    console.print(f"[italic]{what} by fusion, by baselines and by each view alone[/]")
    table = Table("score")
    wide = sum(len(f" {name:>5} |") for name in ("a long view", *results.types, *columns))
    types = results.types if wide < console.width else ()
    if not types:
        table.caption = "each type: in results.json, or on a wider terminal"
    for name in (*types, *columns):
        table.add_column(name, justify="right")
    for name in names:
        cells = [f"{results.of_type(kind, name).score:.3f}" for kind in types]
        cells += _cells(results.mean(name))
        table.add_row(name, *cells, style="bold" if name == FUSED else None)
    console.print(table)


def _cells(figures: Figures) -> list[str]:
    return [f"{value:.3f}" for value in _columns(figures).values()]
