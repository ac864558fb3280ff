"""The commands to go on with after `setup`."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import typer

from asd_monitor.cli.setup_answers import Answers
from asd_monitor.config.listen_address import page_url
from asd_monitor.config.settings import Config, Mqtt


def report_next(answers: Answers, path: Path, config: Config, service: str | None) -> None:
    """Print the commands; ``service`` is the service that reads the file at ``path``, if any."""
    typer.echo(f"{answers.machine} is set up.  Next:")
    sudo = privilege()
    folders = [("--models", answers.models), ("--state", answers.state)]
    options = [f"{name} {shlex.quote(str(folder))}" for name, folder in folders if folder]
    of_config = " ".join(["--config", shlex.quote(str(path)), *options])
    if service is None:
        typer.echo(f"  {sudo}asd-monitor run {of_config}")
    else:
        typer.echo(f"  systemctl status {service}")
        typer.echo(f"  {sudo}journalctl -u {service} -f")
    typer.echo(f"  {subscription_command(config.mqtt, answers.password_file)}")
    if (http := config.http) is not None:
        typer.echo(f"  the page: {page_url(http.listen, 'localhost')}")
    typer.echo(f"  {sudo}asd-monitor doctor {of_config}")


def privilege() -> str:
    """Return what a command begins with for a person who has begun this one by sudo."""
    return "sudo " if os.geteuid() == 0 and "SUDO_USER" in os.environ else ""


def subscription_command(mqtt: Mqtt, password_file: Path | None) -> str:
    """Return the command that shows what is published; ``password_file``: one not in ``mqtt``."""
    words = ["mosquitto_sub", "-h", mqtt.host, "-p", str(mqtt.port)]
    if mqtt.tls is not None:
        files = (("--cafile", mqtt.tls.ca), ("--cert", mqtt.tls.cert), ("--key", mqtt.tls.key))
        words += [word for name, path in files if path for word in (name, str(path))]
        words += [] if mqtt.tls.ca else ["--tls-use-os-certs"]
    if mqtt.username is not None:
        words += ["-u", mqtt.username]
    command = shlex.join([*words, "-v", "-t", f"{mqtt.prefix}/#"])
    file = mqtt.password_file or password_file
    if mqtt.username is None or file is None:
        return command
    return f'{command} -P "$({privilege()}cat {shlex.quote(str(file))})"'
