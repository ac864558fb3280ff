"""`asd-monitor setup`: from nothing to a monitored machine, step by step."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from asd_monitor.cli.options import (
    Broker,
    OptionalDevice,
    OptionalMachine,
    config_option,
    models_option,
    state_option,
)

_OF_SERVICE_OR_USER = "that of the service or the user"


def command(
    *,
    device: OptionalDevice = None,
    machine: OptionalMachine = None,
    broker: Broker = None,
    username: Annotated[
        str | None,
        typer.Option("--username", metavar="NAME", help="User of the broker.", show_default="none"),
    ] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(
            "--password-file",
            metavar="FILE",
            help="File with the password of that user.",
            show_default="none",
            readable=False,
        ),
    ] = None,
    false_alarms: Annotated[
        str | None,
        typer.Option(
            "--false-alarms",
            metavar="RATE",
            help="Accepted rate of false alarms.",
            show_default="1 per month",
        ),
    ] = None,
    minutes: Annotated[
        str,
        typer.Option(
            "--minutes", metavar="MINUTES", help="Sound to record: minutes, or such as 90s."
        ),
    ] = "10",
    config: Annotated[
        Path | None,
        config_option(
            "Configuration file, new or one to which the machine is added.",
            "of the service as root, else of the user",
        ),
    ] = None,
    models: Annotated[Path | None, models_option(_OF_SERVICE_OR_USER)] = None,
    state: Annotated[Path | None, state_option(_OF_SERVICE_OR_USER)] = None,
    recordings: Annotated[
        Path | None,
        typer.Option(
            "--recordings",
            metavar="DIR",
            help="Folder of the recordings.",
            show_default="recordings/ID in the state folder",
            readable=False,
        ),
    ] = None,
    service: Annotated[
        bool | None,
        typer.Option(
            "--service/--no-service",
            help="Install and start the systemd service; as root.",
            show_default="asks",
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing: options and defaults are the answers.")
    ] = False,
) -> None:
    """Set up a machine: microphone, broker, recording, model, configuration, service.

    Ctrl-C ends it; run it again to go on.  Nothing is overwritten.
    """
    from asd_monitor.cli.record import duration_s
    from asd_monitor.cli.setup_answers import Answers
    from asd_monitor.cli.setup_dialogue import Dialogue
    from asd_monitor.cli.setup_run import GuidedSetup
    from asd_monitor.errors import UsageError

    if yes and (device is None or machine is None):
        raise UsageError("--yes asks nothing: give --device DEVICE and --machine ID as well")
    if not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "setup asks questions and needs a terminal: without one, give --device DEVICE, "
            "--machine ID and --yes, and --broker, --false-alarms, --minutes, --config, --service "
            "where their defaults do not suit"
        )
    answers = Answers(
        device=device,
        machine=machine,
        broker=broker,
        username=username,
        password_file=_absolute(password_file),
        false_alarms=false_alarms,
        target_s=duration_s(minutes),
        minutes=minutes,
        config=_absolute(config),
        models=_absolute(models),
        state=_absolute(state),
        recordings=_absolute(recordings),
        service=service,
    )
    GuidedSetup(answers, Dialogue(interactive=not yes)).run()


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.expanduser().absolute()
