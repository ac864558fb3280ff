"""`asd-monitor run`: monitors machines; the daemon."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asd_monitor.cli.logs import LogFormatOption, Verbose, configure_logs
from asd_monitor.cli.options import (
    Broker,
    ModelsDir,
    OptionalDevice,
    OptionalMachine,
    StateDir,
    config_option,
)
from asd_monitor.errors import UsageError

if TYPE_CHECKING:
    from asd_monitor.cli.logs import LogFormat
    from asd_monitor.cli.terminal_display import TerminalDisplay
    from asd_monitor.config.settings import Config, Mqtt
    from asd_monitor.daemon.overview import Observer

ConfigFile = Annotated[Path | None, config_option("Configuration file: monitor its machines.")]
Learn = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Train a model first where there is none, on this much sound, such as 30m.",
        show_default=False,
    ),
]
Speed = Annotated[
    float,
    typer.Option(
        metavar="FACTOR", help="Speed of `file:` devices; 2: twice real time, 0: unlimited."
    ),
]


NoLive = Annotated[
    bool, typer.Option("--no-live", help="Show no line for each machine on a terminal.")
]


def command(
    *,
    models: ModelsDir,
    state: StateDir,
    device: OptionalDevice = None,
    machine: OptionalMachine = None,
    config: ConfigFile = None,
    learn: Learn = None,
    broker: Broker = None,
    speed: Speed = 1.0,
    no_live: NoLive = False,
    log_format: LogFormatOption = None,
    verbose: Verbose = False,
) -> None:
    """Monitor one machine (--device, --machine) or those of a configuration file (--config)."""
    if not (speed >= 0 and math.isfinite(speed)):
        raise UsageError(f"--speed {speed:g}: write a number from 0 (unlimited speed)")
    if config is None:
        settings = _one_machine(device, machine, learn, broker)
    else:
        given = {"--device": device, "--machine": machine, "--broker": broker, "--learn": learn}
        mixed = [option for option, value in given.items() if value is not None]
        if mixed:
            raise UsageError(
                f"{' and '.join(mixed)} cannot be combined with --config: set it in {config}"
            )
        settings = None
    with _display(log_format, wanted=not no_live) as display:
        write = None if display is None else display.print_line
        configure_logs(log_format, verbose=verbose, write=write)
        if settings is not None and machine is not None:
            from asd_monitor.cli.known_machine import log_notices

            log_notices(models, state, machine, learn=learn is not None)
        os.umask(0o077)  # recorded sound and alarms are readable for this user only
        _run(settings, config, models, state, speed=speed, observer=display)


@contextmanager
def _display(log_format: LogFormat | None, *, wanted: bool) -> Iterator[TerminalDisplay | None]:
    """Yield what shows the machines below the log; None where that is not a text on a terminal."""
    from asd_monitor.cli.logs import LogFormat, effective_format
    from asd_monitor.cli.terminal_abilities import has_colours, moves_cursor

    is_text = effective_format(log_format) is LogFormat.TEXT
    if not (wanted and is_text and moves_cursor(sys.stderr)):
        yield None
        return
    from asd_monitor.cli.live_lines import live_lines
    from asd_monitor.cli.terminal_display import TerminalDisplay

    try:
        display = TerminalDisplay(
            sys.stderr.fileno(), live_lines, has_colours=has_colours(sys.stderr)
        )
    except OSError:  # a terminal that this process cannot open again
        yield None
        return
    with display:
        yield display


def _one_machine(
    device: str | None, machine: str | None, learn: str | None, broker: str | None
) -> Config:
    from asd_monitor.audio.devices.device_strings import parse_device
    from asd_monitor.config.loading import machine_from_options

    if device is None or machine is None:
        from asd_monitor.cli.known_places import configuration_hint, known_configurations

        known = configuration_hint(known_configurations())
        raise UsageError(
            f"no machine: give --device D and --machine M, or {known or '--config FILE'}; "
            "`asd-monitor devices` lists the input devices"
        )
    return machine_from_options(
        device, machine, check_device=parse_device, learn=learn, mqtt=parse_broker(broker)
    )


def parse_broker(text: str | None) -> Mqtt:
    """Return the settings of the broker HOST, HOST:PORT or [IPV6]:PORT; None: the default.

    Raises:
        UsageError: the text is malformed.

    """
    from asd_monitor.config.quantities import check_host
    from asd_monitor.config.settings import Mqtt

    if text is None:
        return Mqtt()
    host, port = text, "1883"
    if text.startswith("["):  # an IPv6 address with or without port; without brackets it has none
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") if rest else port
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not host or not re.fullmatch(r"\d{1,5}", port) or not 1 <= int(port) <= 65535:
        raise UsageError(f"--broker {text}: write HOST or HOST:PORT, such as plant-broker:1883")
    try:
        check_host(host)
    except UsageError as error:
        raise UsageError(f"--broker {text}: {error}") from error
    return Mqtt(host=host, port=int(port))


def _run(
    settings: Config | None,
    config: Path | None,
    models: Path,
    state: Path,
    *,
    speed: float,
    observer: Observer | None,
) -> None:
    import asyncio

    import structlog

    from asd_monitor.cli.configuration import read_for_run
    from asd_monitor.daemon.runtime_options import Dependencies, RuntimeOptions
    from asd_monitor.daemon.service import Service
    from asd_monitor.encoders.runtime import Runtime
    from asd_monitor.model_store.usable_version import load_usable_bundle

    def read() -> Config:
        if config is None:
            raise UsageError("started without --config: there is no file to reload")
        file = read_for_run(config)
        for notice in file.notices:
            structlog.get_logger().warning("configuration", notice=notice)
        return file.config

    first = settings or read()
    runtime = Runtime(first.inference.provider, first.inference.threads)

    async def run() -> bool:
        options = RuntimeOptions(
            models=models,
            state=state,
            speed=speed,
            reload=read if config else None,
            config_path=config,
            observer=observer,
            dependencies=Dependencies(load_model=partial(load_usable_bundle, runtime=runtime)),
        )
        service = Service(first, options)
        await service.run()
        return service.interrupted

    if asyncio.run(run()):
        raise typer.Exit(130)
