"""Results on stdout: the console and the form of plain tables."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

_PIPE_COLUMNS = 1000


def result_console() -> Console:
    """Return a console on stdout that prints text verbatim: no markup, no emoji codes.

    It wraps lines on a terminal only, not in a pipe or file.
    """
    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = _PIPE_COLUMNS
    return console


def plain_table(*headings: str) -> Table:
    """Return a table without borders; the first column is never wrapped."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, heading in enumerate(headings):
        table.add_column(heading, no_wrap=number == 0)
    return table
