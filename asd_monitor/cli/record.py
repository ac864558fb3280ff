"""`asd-monitor record`: recordings of normal sound, for training."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asd_monitor.cli.options import Machine, StateDir

if TYPE_CHECKING:
    from asd_monitor.audio.files.recorder import WrittenRecording


def command(
    *,
    device: Annotated[
        str,
        typer.Option(
            "--device",
            "-d",
            metavar="DEVICE",
            help="Input device; `asd-monitor devices` lists them.",
            show_default=False,
        ),
    ],
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
) -> None:
    """Record a machine's normal sound as FLAC files.

    Ctrl-C, SIGTERM and SIGHUP end it early and keep the recording (exit codes 130, 143, 129).
    """
    from asd_monitor.audio.devices.device_strings import parse_device
    from asd_monitor.audio.sharing.protocol import SOCKET_NAME
    from asd_monitor.cli.recording_session import RecordingSession
    from asd_monitor.cli.recordings_check import check_recordings

    spec = parse_device(device)
    total_s = duration_s(minutes)
    if spec.is_file:
        check_recordings(spec.path, spec.channel)
    session = RecordingSession(spec, machine, total_s, output or Path("recordings") / machine)
    try:
        asyncio.run(session.run(state / SOCKET_NAME))
    except asyncio.CancelledError as error:
        if session.ended_by is None:
            raise
        raise typer.Exit(128 + session.ended_by) from error
    finally:
        _report(session.written)


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


def _report(written: Sequence[WrittenRecording]) -> None:
    """Print the files written, their warnings, and whether they suffice for a training."""
    from asd_monitor.config.field_types import MIN_TRAINING_S
    from asd_monitor.model_training.findings import RECOMMENDED_S, ShortReference
    from asd_monitor.model_training.reference import too_short
    from asd_monitor.reports.notices import finding_text
    from asd_monitor.wording import printable

    for each in written:
        path = printable(each.path)
        typer.echo(f"{path}  {each.seconds:.1f} s  {each.levels.rms_dbfs:.1f} dBFS")
        for warning in each.warnings:
            typer.echo(f"{path}: {warning}", err=True)
    total_s = sum(each.seconds for each in written)
    if written and total_s < MIN_TRAINING_S:
        typer.echo(f"for a training, {too_short(total_s, MIN_TRAINING_S)}", err=True)
    elif written and total_s < RECOMMENDED_S:
        typer.echo(f"for a training, {finding_text(ShortReference(total_s))}", err=True)
