"""Commands whose modules are imported when one of them is called.

The modules of all commands take four times as long to import as that of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from asd_monitor.cli.command_group import CommandGroup, PlainCommand


@dataclass(frozen=True, slots=True)
class CommandModule:
    """Where a command is: the function ``command`` of its module, or the group ``app``."""

    name: str
    short_help: str | None = None
    """None: it is a group, which has its own."""
    cls: type[TyperCommand] = PlainCommand

    def load(self, command: str) -> Any:
        """Import the module; return the command or the group, as typer calls it."""
        module = import_module(self.name)
        if self.short_help is None:
            return typer.main.get_group(module.app)
        group = CommandGroup(command, "")
        group.command(command, cls=self.cls, short_help=self.short_help)(module.command)
        return typer.main.get_group(group).commands[command]


class _Loaded(Mapping[str, Any]):
    """Commands by name, each loaded when it is looked up."""

    def __init__(self, modules: Mapping[str, CommandModule]) -> None:
        self._modules = modules
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = self._modules[name].load(name)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)


def group_on_demand(modules: Mapping[str, CommandModule]) -> type[TyperGroup]:
    """Return the class of a group with these commands, by name."""

    class GroupOnDemand(TyperGroup):
        """A group of commands that are loaded when they are looked up."""

        def __init__(self, **options: Any) -> None:
            super().__init__(**{**options, "commands": _Loaded(modules)})

        def list_commands(self, ctx: Any) -> list[str]:
            """Return the names of the commands, without loading them."""
            del ctx
            return list(modules)

    return GroupOnDemand
