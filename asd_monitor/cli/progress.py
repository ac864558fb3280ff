"""Progress on stderr: a bar on a terminal, a line a step elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


@contextmanager
def shown_progress() -> Iterator[Callable[[str, float], None]]:
    """Give a function to tell what is being done and which share (0 … 1) of it is over."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _line_a_step()
        return
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as bar:
        task = bar.add_task("", total=1.0)

        def tell(what: str, share: float) -> None:
            bar.update(task, description=what, completed=share)

        yield tell


def _line_a_step() -> Callable[[str, float], None]:
    told: set[str] = set()

    def tell(what: str, share: float) -> None:  # noqa: ARG001 - a bar would show it
        if what not in told:
            told.add(what)
            print(what, "…", file=sys.stderr, flush=True)  # noqa: T201 - this is the place for it

    return tell
