"""Progress on stderr: a bar on a terminal, otherwise one line per step."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


@contextmanager
def shown_progress() -> Iterator[Callable[[str, float], None]]:
    """Yield a function that shows a step's name and the share of it that is done, 0 … 1."""
    console = Console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        yield _line_per_step()
        return
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as bar:
        task = bar.add_task("", total=1.0)

        shown = ""

        def show(step: str, share: float) -> None:
            nonlocal shown
            if step != shown:  # the time of a task that was complete once stands still
                bar.reset(task)
                shown = step
            bar.update(task, description=step, completed=share)

        yield show


def _line_per_step() -> Callable[[str, float], None]:
    printed: set[str] = set()

    def show(step: str, share: float) -> None:  # noqa: ARG001 - the signature of the bar's
        if step not in printed:
            printed.add(step)
            print(step, "…", file=sys.stderr, flush=True)  # noqa: T201 - output for the user

    return show
