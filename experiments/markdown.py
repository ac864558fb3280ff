"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def row(*cells: str) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(cells)} |\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; all columns but the first are aligned to the right, as numbers."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "".join(row(*cells) for cells in (head, rule, *rows))


def text_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of text, aligned to the left."""
    return "".join(row(*cells) for cells in (head, ["---"] * len(head), *rows))
