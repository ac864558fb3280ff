"""`asd-monitor record`: recordings of normal sound, for training."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asd_monitor.cli.options import AsJson, Machine, StateDir, device_option

if TYPE_CHECKING:
    from asd_monitor.audio.files.recorder import WrittenRecording


def command(
    *,
    machine: Machine,
    minutes: Annotated[
        str,
        typer.Option(
            "--minutes",
            metavar="MINUTES",
            help="Duration of the recording: minutes, such as 30, or with a unit, such as 90s.",
            show_default=False,
        ),
    ],
    state: StateDir,
    device: Annotated[
        str | None,
        device_option("Input device", "the machine's sound, from the daemon that monitors it"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Folder of the recordings.",
            show_default="recordings/MACHINE",
            readable=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Record a machine's normal sound as FLAC files.

    Ctrl-C, SIGTERM and SIGHUP end it early and keep the recording (exit codes 130, 143, 129).
    """
    from asd_monitor.audio.devices.device_strings import parse_device
    from asd_monitor.audio.files.recordings_check import check_recordings, loop_shortage
    from asd_monitor.audio.sharing.protocol import SOCKET_NAME
    from asd_monitor.cli.json_meter import JsonMeter
    from asd_monitor.cli.recorded_coverage import RecordedCoverage
    from asd_monitor.cli.recording_session import RecordingSession
    from asd_monitor.config.field_types import MIN_TRAINING_S

    spec = None if device is None else parse_device(device)
    total_s = duration_s(minutes)
    if spec is not None and spec.is_file:
        check_recordings(spec.path, spec.channel)
        if (shortage := loop_shortage(spec, MIN_TRAINING_S)) is not None:
            typer.echo(f"notice: {shortage}", err=True)
    folder = output or Path("recordings") / machine
    if as_json:
        covered = RecordedCoverage(total_s)
        meter = JsonMeter(total_s, covered.coverage)
        session = RecordingSession(
            spec, machine, total_s, folder, listen=covered.listen, meter=meter
        )
    else:
        session = RecordingSession(spec, machine, total_s, folder)
    try:
        asyncio.run(session.run(state / SOCKET_NAME))
    except asyncio.CancelledError as error:
        if session.ended_by is None:
            raise
        raise typer.Exit(128 + session.ended_by) from error
    finally:
        _report(session.written, as_json=as_json)


def duration_s(text: str) -> float:
    """Return the duration of ``30`` (minutes), ``30m`` or ``90s``.

    Raises:
        UsageError: it is neither, or not above 0.

    """
    from asd_monitor.config.quantities import parse_duration
    from asd_monitor.errors import UsageError
    from asd_monitor.wording import quoted

    try:
        seconds = 60 * float(text)
    except ValueError:
        try:
            seconds = parse_duration(text).seconds
        except UsageError as error:
            raise UsageError(
                f"--minutes {quoted(text)}: write minutes or a duration, such as 10, 90s or 2h"
            ) from error
    if not 0 < seconds < float("inf"):
        raise UsageError(f"--minutes {text}: write a number above 0, such as 10")
    return seconds


def _report(written: Sequence[WrittenRecording], *, as_json: bool) -> None:
    """Print the files written, their warnings, and whether they suffice for a training."""
    from asd_monitor.cli.json_lines import print_json
    from asd_monitor.wording import printable

    shortage = _shortage(sum(each.seconds for each in written)) if written else None
    if as_json:
        files = [
            {
                "path": str(each.path),
                "seconds": round(each.seconds, 3),
                "rms_dbfs": round(each.levels.rms_dbfs, 1),
                "warnings": list(each.warnings),
            }
            for each in written
        ]
        print_json({"files": files, "shortage": shortage})
        return
    for each in written:
        path = printable(each.path)
        typer.echo(f"{path}  {each.seconds:.1f} s  {each.levels.rms_dbfs:.1f} dBFS")
        for warning in each.warnings:
            typer.echo(f"{path}: {warning}", err=True)
    if shortage is not None:
        typer.echo(f"for a training, {shortage}", err=True)


def _shortage(seconds: float) -> str | None:
    """Return what so much sound lacks for a training; None: nothing."""
    from asd_monitor.config.field_types import MIN_TRAINING_S
    from asd_monitor.model_training.findings import RECOMMENDED_S, ShortReference
    from asd_monitor.model_training.reference import too_short
    from asd_monitor.reports.notices import finding_text

    if seconds < MIN_TRAINING_S:
        return too_short(seconds, MIN_TRAINING_S)
    return finding_text(ShortReference(seconds)) if seconds < RECOMMENDED_S else None
