"""`asd-monitor score`: scores of recordings."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asd_monitor.cli.json_lines import print_json
from asd_monitor.cli.options import AsJson, Channel, Machine, ModelsDir, ModelVersion
from asd_monitor.wording import printable

if TYPE_CHECKING:
    from asd_monitor.evaluation.recording_scores import ScoredRecording

Row = dict[str, Any]


class Per(StrEnum):
    """What a row of the result stands for."""

    WINDOW = "window"
    FILE = "file"


def command(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH", help="Recordings: files, folders, patterns.", show_default=False
        ),
    ],
    *,
    machine: Machine,
    models: ModelsDir,
    per: Annotated[Per, typer.Option(help="One row per window, or per file.")] = Per.WINDOW,
    version: ModelVersion = None,
    channel: Channel = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_json: AsJson = False,
) -> None:
    """Score recordings by a machine's model.

    A score is −log10 of the probability that normal sound, of any hour, scores as high: one normal
    window in a thousand has a score of 3 or more. Beside it are the deviations of the views: 0 is
    usual, and at 3 the distance from the training sound is three times the usual spread above the
    usual distance. The fused score combines them.
    """
    from asd_monitor.cli.known_machine import check_machine
    from asd_monitor.cli.progress import shown_progress
    from asd_monitor.errors import AsdMonitorError, UsageError
    from asd_monitor.evaluation.recording_scores import score_recording
    from asd_monitor.model_store.bundle import load_bundle
    from asd_monitor.model_training.recording_paths import expand_and_search

    if as_csv and as_json:
        raise UsageError("--csv and --json exclude each other: choose one of them")
    check_machine(models, machine)
    detector = load_bundle(models, machine, version).detector
    found = expand_and_search(paths)
    for notice in found.notices:
        typer.echo(f"notice: {notice}", err=True)
    recordings = found.paths
    errors: list[AsdMonitorError] = []

    def scored() -> Iterator[ScoredRecording]:
        with shown_progress() as progress:
            for number, path in enumerate(recordings):
                progress("scoring", number / len(recordings))
                try:
                    recording = score_recording(detector, path, channel)
                except AsdMonitorError as error:
                    errors.append(error)
                    continue
                for notice in recording.notices:
                    typer.echo(f"notice: {notice}", err=True)
                yield recording

    rows = (row for recording in scored() for row in _rows(recording, per))
    if as_json:
        for row in rows:
            print_json(row)
    elif as_csv:
        _print_csv(rows)
    else:
        _print_table(list(rows), per)
    for error in errors[:-1]:
        typer.echo(f"asd-monitor: {error}", err=True)
    if errors:
        raise errors[-1]


def _rows(recording: ScoredRecording, per: Per) -> Iterator[Row]:
    if per is Per.FILE:
        yield {
            "file": str(recording.path),
            "seconds": round(recording.seconds, 3),
            "windows": len(recording.windows),
            "score": recording.score,
            "highest": max(window.score for window in recording.windows),
            "fused": recording.fused,
            "views": recording.views,
        }
        return
    for window in recording.windows:
        yield {
            "file": str(recording.path),
            "start_s": round(window.start / recording.rate_hz, 6),
            "score": window.score,
            "fused": window.fused,
            "rms_dbfs": window.rms_dbfs,
            "idle": window.idle,
            "quiet": window.quiet,
            "views": dict(window.views),
        }


def _print_csv(rows: Iterable[Row]) -> None:
    writer: csv.DictWriter[str] | None = None
    for row in rows:
        views = row.pop("views")
        flat = row | {f"view_{name}": value for name, value in views.items()}
        if writer is None:
            writer = csv.DictWriter(sys.stdout, list(flat), lineterminator="\n")
            writer.writeheader()
        writer.writerow(flat | {"file": printable(flat["file"])})


def _print_table(rows: list[Row], per: Per) -> None:
    if not rows:
        return
    from rich.table import Table
    from rich.text import Text

    from asd_monitor.cli.console import result_console
    from asd_monitor.wording import clock

    if per is Per.FILE:
        table = Table("file", *(_right(name) for name in ("length", "score", "highest", "fused")))
        table.add_column("highest views")
        for row in rows:
            table.add_row(
                Text(printable(row["file"])),
                clock(row["seconds"]),
                f"{row['score']:.2f}",
                f"{row['highest']:.2f}",
                f"{row['fused']:.3f}",
                _highest_views(row["views"]),
            )
    else:
        table = Table("file", *(_right(name) for name in ("from", "score", "fused", "dBFS")))
        table.add_column("highest views")
        for row in rows:
            table.add_row(
                Text(printable(row["file"])),
                clock(row["start_s"]),
                f"{row['score']:.2f}",
                f"{row['fused']:.3f}",
                f"{row['rms_dbfs']:.1f}" + _level_word(row),
                _highest_views(row["views"]),
            )
    result_console().print(table)


def _level_word(row: Row) -> str:
    return " idle" if row["idle"] else " quiet" if row["quiet"] else ""


def _right(name: str) -> Any:
    from rich.table import Column

    return Column(name, justify="right")


def _highest_views(views: dict[str, float]) -> str:
    highest = sorted(views.items(), key=lambda item: -item[1])[:2]
    return ", ".join(f"{name} {deviation:.1f}" for name, deviation in highest)
