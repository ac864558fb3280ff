"""Options that take several values after one name, as the shell's ``*.wav`` gives them."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


class ManyValues(TyperCommand):
    """``--normal a.wav b.wav`` means ``--normal a.wav --normal b.wav``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option's name before each further value."""
        many = {
            name
            for param in self.params
            if getattr(param, "multiple", False)
            for name in param.opts
        }
        repeated: list[str] = []
        current: str | None = None
        taken = 0
        for arg in args:
            if arg.startswith("-") and arg != "-":
                name = arg.partition("=")[0]
                current, taken = (name if name in many else None), int("=" in arg)
            elif current is not None:
                if taken:
                    repeated.append(current)
                taken += 1
            repeated.append(arg)
        return super().parse_args(ctx, repeated)
