"""Options that take several values after one name, as the shell expands ``*.wav``."""

from __future__ import annotations

from typing import Any

from asd_monitor.cli.command_group import PlainCommand


class ManyValues(PlainCommand):
    """A command in which ``--normal A B`` means ``--normal A --normal B``.

    That holds for every repeatable option: its values end at the next option.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert the option's name before each further value, then parse."""
        repeatable = {
            name
            for param in self.params
            if getattr(param, "multiple", False)
            for name in param.opts
        }
        expanded: list[str] = []
        option: str | None = None
        values = 0
        for arg in args:
            if arg.startswith("-") and arg != "-":
                name = arg.partition("=")[0]
                option, values = (name if name in repeatable else None), int("=" in arg)
            elif option is not None:
                if values:
                    expanded.append(option)
                values += 1
            expanded.append(arg)
        return super().parse_args(ctx, expanded)
