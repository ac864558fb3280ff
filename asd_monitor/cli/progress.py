"""Progress on stderr: a bar on a terminal, otherwise a line for each step and each tenth."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

_LINE_EVERY = 0.1


@contextmanager
def shown_progress() -> Iterator[Callable[[str, float], None]]:
    """Yield a function that shows a step's name and the share that is done, 0 … 1."""
    console = Console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        yield _lines()
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
            # the time of a task that was complete once stands still
            if step != shown and bar.tasks[0].finished:
                bar.reset(task)
            shown = step
            bar.update(task, description=step, completed=share)

        yield show


def _lines() -> Callable[[str, float], None]:
    printed_step, printed_share = "", 0.0

    def show(step: str, share: float) -> None:
        nonlocal printed_step, printed_share
        if step != printed_step or share >= printed_share + _LINE_EVERY:
            printed_step, printed_share = step, share
            print(f"{step} … {100 * share:.0f} %", file=sys.stderr, flush=True)  # noqa: T201 - output for the user

    return show
