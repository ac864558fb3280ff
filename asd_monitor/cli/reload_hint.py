"""How a running daemon takes up the version that a command has put into use."""

from __future__ import annotations

from pathlib import Path

import typer


def print_in_use(machine: str, version: str, models: Path, state: Path) -> None:
    """Print that a version is in use, and on stderr the command by which a daemon loads it."""
    typer.echo(f"{machine} uses {version}.")
    command = running_reload_command(models, state)
    typer.echo(
        "A daemon that runs loads it at `sudo systemctl reload asd-monitor@NAME`, or without "
        "systemd at `kill -HUP PID`."
        if command is None
        else f"The running daemon loads it at `{command}`.",
        err=True,
    )


def running_reload_command(models: Path, state: Path) -> str | None:
    """Return the command for the daemon that loads models of a folder; None: none is found.

    It is sought at this state folder, and at that around the models, where those of a service lie.
    """
    from asd_monitor.daemon.reload_command import reload_command
    from asd_monitor.daemon.state_lock import loader_of

    for folder in dict.fromkeys((state, models.resolve().parent)):
        pid = loader_of(models, folder)
        if pid is not None:
            return reload_command(pid)
    return None
