"""Where tables and sentences for people are printed: stdout."""

from __future__ import annotations

from rich.console import Console

_WIDE = 1000


def result_console() -> Console:
    """Return stdout; lines are folded on a terminal only: who reads a pipe wants them whole."""
    console = Console()
    if not console.is_terminal:
        console.width = _WIDE
    return console
