"""Results on stdout: the console and the form of plain tables."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_PIPE_COLUMNS = 1000
_WRAPPED_ROWS = 200  # of a table that is wrapped to the width of a terminal


def result_console() -> Console:
    """Return a console on stdout that prints text verbatim: no markup, no emoji codes.

    It wraps lines on a terminal only, not in a pipe or file.
    """
    from rich.console import Console

    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = _PIPE_COLUMNS
    return console


def print_rows(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table without borders on stdout; one of many rows as aligned text, at once.

    Rich needs a millisecond for a row, to wrap its cells on a terminal, and as long as all else of
    a short command to be imported.
    """
    if sys.stdout.isatty() and len(rows) <= _WRAPPED_ROWS:
        table = plain_table(*headings)
        for row in rows:
            table.add_row(*row)
        result_console().print(table)
        return
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    lines = (
        "  ".join(map(str.ljust, row, widths)).rstrip()  # a row has a cell for each heading
        for row in (headings, *rows)
    )
    typer.echo("\n".join(lines))


def plain_table(*headings: str) -> Table:
    """Return a table without borders; the first column is never wrapped."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, heading in enumerate(headings):
        table.add_column(heading, no_wrap=number == 0)
    return table
