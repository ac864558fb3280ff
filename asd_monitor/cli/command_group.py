"""Groups of commands, with help in plain text: the arguments by name, without their types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from asd_monitor.errors import UsageError
from asd_monitor.wording import quoted


class PlainCommand(TyperCommand):
    """A command whose help lists arguments as ``FILE`` instead of ``FILE <path>``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments.  Raises `UsageError` for one too many."""
        ctx.allow_extra_args = True
        if (extra := super().parse_args(ctx, args)) and not ctx.resilient_parsing:
            raise UsageError(
                f"unexpected argument {quoted(' '.join(extra))}: write each "
                "value after its option, such as --config FILE, and one with spaces in quotes; "
                f"see `{ctx.command_path} --help`"
            )
        return []

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the sections of the arguments and of the options."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            if record := parameter.get_help_record(ctx):
                is_argument = parameter.param_type_name == "argument"
                name = record[0].partition(" <")[0] if is_argument else record[0]
                sections["Arguments" if is_argument else "Options"].append((name, record[1]))
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)


class CommandGroup(typer.Typer):
    """A group of commands; without a command it shows its help."""

    def __init__(self, name: str, description: str, *, cls: type[TyperGroup] = TyperGroup) -> None:
        """Take the description that is printed above the list of commands.

        ``cls`` is the class of the group that typer makes.
        """
        super().__init__(
            name=name,
            cls=cls,
            help=description,
            no_args_is_help=True,
            pretty_exceptions_enable=False,
            rich_markup_mode=None,
        )

    def command(self, name: str | None = None, **options: Any) -> Callable[[Any], Any]:
        """Return a decorator that adds a command; see `typer.Typer.command`."""
        return super().command(name, **{"cls": PlainCommand, **options})
