"""The dialogue of `setup`: questions on stderr, answers from stdin or the defaults."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from asd_monitor.cli.terminal_abilities import moves_cursor
from asd_monitor.errors import UsageError
from asd_monitor.wording import printable

T = TypeVar("T")


class InputEndedError(Exception):
    """There is no more input: the terminal was closed."""


class Dialogue:
    """Says and asks; where it is not ``interactive`` every question has its default answer."""

    def __init__(self, *, interactive: bool) -> None:
        self.interactive = interactive
        self.console = Console(stderr=True, highlight=False, markup=False, emoji=False)

    def without_questions(self) -> Dialogue:
        """Return a dialogue on the same terminal that asks nothing."""
        other = Dialogue(interactive=False)
        other.console = self.console
        return other

    def step(self, title: str) -> None:
        """Begin a step."""
        self.console.print()
        self.console.print(Rule(Text(title, "bold"), align="left", style="dim"))

    def say(self, text: str) -> None:
        """Print a paragraph."""
        self._print(Text(text))

    def success(self, text: str) -> None:
        """Print what was done."""
        self._marked("✔", "green", text)

    def warn(self, text: str) -> None:
        """Print a warning, with its remedy."""
        self._marked("!", "yellow", text)

    def command(self, text: str) -> None:
        """Print a command to be typed; it is not wrapped."""
        self.console.print(Text(f"    {text}", "cyan"), soft_wrap=True)

    @contextmanager
    def waiting(self, text: str) -> Iterator[Callable[[str], None]]:
        """Show what is awaited; yield what shows how it stands beside that."""
        if not moves_cursor(sys.stderr):
            self.say(text)
            yield lambda now: self.say(f"so far: {now}")
            return
        with self.console.status(Text(printable(text))) as status:
            yield lambda now: status.update(Text(printable(f"{text}: {now}")))

    def ask(self, question: str, default: str | None, parse: Callable[[str], T]) -> T:
        """Return the answer as ``parse`` returns it; ask again where it raises `UsageError`.

        Raises:
            UsageError: not interactive, and the default is none or is wrong.
            InputEndedError: the input has ended.

        """
        if not self.interactive:
            if default is None:
                raise UsageError(f"{question}: give it by its option, or run without --yes")
            return parse(default)
        while True:
            try:
                return parse(self._answer(question, default))
            except UsageError as error:
                self.warn(str(error))

    def confirm(self, question: str, *, default: bool) -> bool:
        """Return whether the answer is yes."""

        def parse(answer: str) -> bool:
            if answer.lower() not in {"y", "yes", "n", "no"}:
                raise UsageError("write y or n")
            return answer.lower().startswith("y")

        return self.ask(f"{question} (y/n)", "y" if default else "n", parse)

    def _answer(self, question: str, default: str | None) -> str:
        while True:
            prompt = Text(f"{question} ", "bold")
            if default:
                prompt.append(f"[{default}] ", "dim")
            self.console.print(prompt, end="", soft_wrap=True)
            line = sys.stdin.readline()
            if not line:
                raise InputEndedError
            answer = line.strip() or default
            if answer is not None:
                return answer

    def _marked(self, mark: str, style: str, text: str) -> None:
        safe = "\n".join(map(printable, text.splitlines()))
        if not self.console.is_terminal:
            prefix = "warning: " if mark == "!" else ""
            self._print(Text(prefix + safe))
            return
        self._print(Text(f"{mark} ", style).append(safe, "" if mark == "!" else style))

    def _print(self, text: Text) -> None:
        """Print a text between its words; a path that is wider than the terminal stays whole."""
        wraps = self.console.is_terminal
        self.console.print(text, soft_wrap=not wraps, overflow="ignore", crop=False)
