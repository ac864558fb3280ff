"""`asd-monitor evaluate`: detection on a data set by the rules of DCASE Task 2."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asd_monitor.cli.options import AsJson, Channel, EncoderFiles, NoShippedEncoder
from asd_monitor.evaluation.dcase_years import Rules
from asd_monitor.evaluation.regime_names import RegimeName

if TYPE_CHECKING:
    from asd_monitor.evaluation.dcase_rules import Figures
    from asd_monitor.evaluation.results import Results


def command(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="Folder with TYPE/train, TYPE/test …",
            show_default=False,
            readable=False,  # the command reports an unreadable folder in one line
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder of results, report and CSV files."
        ),
    ] = Path("evaluation"),
    *,
    rules: Annotated[
        Rules | None,
        typer.Option(help="Year of the rules.", show_default="recognised from the data"),
    ] = None,
    regime: Annotated[
        RegimeName, typer.Option(help="Train on one machine, or on all ids of a type.")
    ] = RegimeName.SINGLE,
    adapt: Annotated[
        bool,
        typer.Option("--adapt", help="Adapt the encoder to each machine (extra train)."),
    ] = False,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="CSV file or folder of them: labels of clips that have none in the name.",
            show_default="CSV files beside the types",
        ),
    ] = None,
    channel: Channel = None,
    jobs: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="Machines in parallel.", show_default="number of cores"
        ),
    ] = os.cpu_count() or 1,
    baseline: Annotated[
        bool,
        typer.Option("--baseline", help="Also evaluate the official autoencoder (extra train)."),
    ] = False,
    encoder: EncoderFiles = None,
    no_shipped_encoder: NoShippedEncoder = False,
    sound: Annotated[
        bool, typer.Option(help="Embed clips in the report; their licence may forbid publication.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Evaluate detection on a data set in a layout of DCASE Task 2: one model per id or section."""
    from asd_monitor.cli.progress import shown_progress
    from asd_monitor.encoders.encoder_loading import select_encoders, shipped_encoder
    from asd_monitor.errors import OperationError, UsageError
    from asd_monitor.evaluation.baseline import require_baseline
    from asd_monitor.evaluation.dcase_layouts import find_data_set
    from asd_monitor.evaluation.ids_regime import IdsRegime, require_ids
    from asd_monitor.evaluation.regimes import SingleRegime
    from asd_monitor.evaluation.runner import evaluate
    from asd_monitor.extras import TORCH_AND_EXPORT, require_extra

    if baseline:
        require_baseline()
    if regime is RegimeName.IDS:
        require_ids()
    if adapt:
        if regime is not RegimeName.SINGLE:
            raise UsageError(
                "--adapt needs --regime single; --regime ids trains the encoder itself"
            )
        require_extra("--adapt", TORCH_AND_EXPORT, "omit --adapt")
    shipped = None if no_shipped_encoder else shipped_encoder()
    encoders = select_encoders(shipped, encoder or ())
    data = find_data_set(folder, rules, labels, channel)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperationError(
            f"{output}: cannot be created ({error.strerror}): choose another folder with --output"
        ) from error
    how = "by --rules" if data.chosen else "recognised from the files; --rules sets another year"
    typer.echo(f"rules of DCASE {data.rules} ({how})", err=True)
    training = IdsRegime(encoders) if regime is RegimeName.IDS else SingleRegime(encoders, adapt)
    with shown_progress() as progress:
        results = evaluate(data, training, jobs=jobs, baseline=baseline, progress=progress)
        progress("writing the report", 1.0)
        from asd_monitor.reports.evaluation_report import report_html
        from asd_monitor.reports.notices import evaluation_notices

        results.write(output, report_html(results, sound=sound))
    for notice in evaluation_notices(results):
        typer.echo(f"notice: {notice}", err=True)
    if as_json:
        typer.echo(json.dumps(results.to_json(), ensure_ascii=False))
    else:
        _print(results)
        typer.echo(f"Results: {output}")


def _print(results: Results) -> None:
    from rich.table import Table

    from asd_monitor.cli.console import result_console
    from asd_monitor.evaluation.results import FUSED

    console = result_console()
    columns = list(results.mean().by_column())
    table = Table("machine", title=f"Fused score by the rules of DCASE {results.rules}")
    for name in (*columns, "trained on"):
        table.add_column(name, justify="right")
    for kind in results.types:
        of_type = [result for result in results.machines if result.machine.type == kind]
        for result in of_type:
            cells = _cells(result.figures())
            table.add_row(result.machine.name, *cells, f"{result.train_s:.0f} s")
        if len(of_type) > 1:
            table.add_row(kind, *_cells(results.of_type(kind)), style="bold")
        table.add_section()
    table.add_row("mean", *_cells(results.mean()), style="bold")
    console.print(table)

    names = (FUSED, *results.baselines, *results.views)
    what = "Official score" if results.rules.has_domains else "AUC"
    table = Table("score", title=f"{what} of the fused score, of baselines and of each view alone")
    width = sum(len(f" {name:>5} |") for name in ("a long view", *results.types, *columns))
    types = results.types if width < console.width else ()
    if not types:
        table.caption = "per type: see results.json, or use a wider terminal"
    for name in (*types, *columns):
        table.add_column(name, justify="right")
    for name in names:
        cells = [f"{results.of_type(kind, name).score:.3f}" for kind in types]
        cells += _cells(results.mean(name))
        table.add_row(name, *cells, style="bold" if name == FUSED else None)
    console.print(table)


def _cells(figures: Figures) -> list[str]:
    return [f"{value:.3f}" for value in figures.by_column().values()]
