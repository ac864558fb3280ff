"""The machine and the version that a command of `models` is about: as arguments, or as options.

Help and documents show the arguments; the options are for those who write them for every command.
"""

from __future__ import annotations

from typing import Annotated

import typer

from asd_monitor.cli.options import (
    MACHINE_HELP,
    VERSION_HELP,
    check_machine_id,
    check_version,
    machine_option,
    version_option,
)
from asd_monitor.errors import UsageError

MachineArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="MACHINE", callback=check_machine_id, help=MACHINE_HELP, show_default=False
    ),
]
MachineOption = Annotated[str | None, machine_option("The same as MACHINE.")]
OnlyMachineArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[MACHINE]",
        callback=check_machine_id,
        help="Only this machine.",
        show_default="all",
    ),
]
VersionArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="VERSION", callback=check_version, help=VERSION_HELP, show_default=False
    ),
]
VersionOption = Annotated[str | None, version_option("The same as VERSION.")]


def named_machine(argument: str | None, option: str | None, usage: str) -> str:
    """Return the machine that is named; ``usage`` is the remedy.

    Raises `UsageError` where none is, or two are.
    """
    return _required(optional_machine(argument, option, usage), "machine", usage)


def optional_machine(argument: str | None, option: str | None, usage: str) -> str | None:
    """Return the machine that is named; None: none is.  Raises `UsageError` where two are."""
    return _named_once(argument, option, "--machine", usage)


def named_version(argument: str | None, option: str | None, usage: str) -> str:
    """Return the version that is named; see `named_machine`."""
    return _required(optional_version(argument, option, usage), "version", usage)


def optional_version(argument: str | None, option: str | None, usage: str) -> str | None:
    """Return the version that is named; None: none is.  Raises `UsageError` where two are."""
    return _named_once(argument, option, "--version", usage)


def _named_once(argument: str | None, option: str | None, name: str, usage: str) -> str | None:
    if argument is not None and option is not None and argument != option:
        raise UsageError(f"{argument} and {name} {option} are not the same: write `{usage}`")
    return option if argument is None else argument


def _required(named: str | None, what: str, usage: str) -> str:
    if named is None:
        raise UsageError(f"no {what} is named: write `{usage}`")
    return named
