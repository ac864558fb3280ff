"""A display below the log on a terminal, written by a thread of its own.

Neither a slow terminal nor one that is stopped (Ctrl-S) delays anyone who prints: the terminal is
opened anew and not waited for, lines are queued, the oldest dropped and counted where too many
wait, and of the display only the newest is kept.  No mode of the terminal is changed, so there is
none to be restored, however the process ends.
"""

from __future__ import annotations

import math
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType

from rich.color import ColorSystem
from rich.console import Console
from rich.text import Text

from asd_monitor.daemon.overview import Overview

MAX_LINES = 1000
"""Lines of the log that wait for the terminal."""
STOP_S = 1.0
"""The end waits so long for the terminal."""
_SHARE_OF_HEIGHT = 2  # the display takes half the terminal at most
_CLEAR_BELOW = "\x1b[J"
_CONSOLE = Console()  # for names of styles only

Render = Callable[[Overview, int], Sequence[Text]]
"""(overview, rows) → lines, of which each is cut to the width of the terminal."""


class TerminalDisplay:
    """Prints lines above a display of the newest overview; use it with ``with``.

    All methods may be called in any thread and return at once.

    Args:
        terminal: A file descriptor of the terminal.
        render: Forms the lines of the display.
        has_colours: Whether they are shown with their colours.

    Raises:
        OSError: The terminal cannot be opened.

    """

    def __init__(self, terminal: int, render: Render, *, has_colours: bool = True) -> None:
        self.dropped_lines = 0
        """Lines that were not printed since the terminal did not take them."""
        self._render = render
        self._has_colours = has_colours
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        self._terminal = os.open(os.ttyname(terminal), flags)
        self._wake_reader, self._wake_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._changed = threading.Condition()
        self._lines: deque[str] = deque()
        self._newest: Overview | None = None
        self._drawn: Overview | None = None
        self._stop_s: float | None = None  # monotonic time at which the thread gives up
        self._shown: list[int] = []  # length of each line of the display
        self._reported_drops = 0
        self._is_gone = False
        self._thread = threading.Thread(target=self._run, name="terminal", daemon=True)

    def __enter__(self) -> TerminalDisplay:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        with self._changed:
            self._stop_s = time.monotonic() + STOP_S
            self._changed.notify()
        os.write(self._wake_writer, b"\0")
        self._thread.join(2 * STOP_S)
        for each in (self._terminal, self._wake_reader, self._wake_writer):
            os.close(each)

    def print_line(self, text: str) -> None:
        """Print a line above the display; after the end on stderr."""
        with self._changed:
            if self._stop_s is None:
                if len(self._lines) == MAX_LINES:
                    self._lines.popleft()
                    self.dropped_lines += 1
                self._lines.append(text)
                self._changed.notify()
                return
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - the log

    def observe(self, overview: Overview) -> None:
        """Show this overview; one that is not shown yet is forgotten."""
        with self._changed:
            self._newest = overview
            self._changed.notify()

    # the thread

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._has_news)
                lines, is_stopping = list(self._lines), self._stop_s is not None
                self._lines.clear()
                self._drawn = shown = self._newest
                dropped = self.dropped_lines - self._reported_drops
                self._reported_drops = self.dropped_lines
            if dropped:
                lines.insert(0, f"{dropped} lines of the log were not printed: the terminal stood")
            self._write(self._frame(lines, None if is_stopping else shown))
            if is_stopping:
                return

    def _has_news(self) -> bool:
        is_stopping = self._stop_s is not None
        return bool(self._lines) or self._newest is not self._drawn or is_stopping

    def _frame(self, lines: Sequence[str], overview: Overview | None) -> bytes:
        """Return what replaces the display by these lines and the next display."""
        columns, height = _size(self._terminal)
        parts = [self._erased(columns), *(f"{line}\n" for line in lines)]
        self._shown = []
        if overview is not None and self._is_in_foreground():
            texts = self._render(overview, max(1, height // _SHARE_OF_HEIGHT - 1))
            rendered = [_cut(text, columns) for text in texts]
            self._shown = [each.cell_len for each in rendered]
            parts.append(
                "\n".join(_ansi(each) if self._has_colours else each.plain for each in rendered)
            )
        return "".join(parts).encode(errors="replace")

    def _erased(self, columns: int) -> str:
        """Return what erases the display; a terminal that became narrower has wrapped its lines."""
        if not self._shown:
            return ""
        rows = sum(max(1, math.ceil(length / columns)) for length in self._shown)
        up = f"\x1b[{rows - 1}A" if rows > 1 else ""
        return f"\r{up}{_CLEAR_BELOW}"

    def _is_in_foreground(self) -> bool:
        try:
            return os.tcgetpgrp(self._terminal) == os.getpgrp()
        except OSError:  # not the controlling terminal
            return True

    def _write(self, data: bytes) -> None:
        """Write all of it, unless the terminal is gone or the time of the end is over."""
        ready = select.poll()
        ready.register(self._terminal, select.POLLOUT)
        ready.register(self._wake_reader, select.POLLIN)
        while data and not self._is_gone:
            try:
                data = data[os.write(self._terminal, data) :]
            except BlockingIOError:
                if self._stop_s is None:
                    ready.poll()
                elif time.monotonic() < self._stop_s:
                    _wait_writable(self._terminal, self._stop_s - time.monotonic())
                else:
                    return
            except OSError:  # closed
                self._is_gone = True


def _wait_writable(terminal: int, limit_s: float) -> None:
    ready = select.poll()
    ready.register(terminal, select.POLLOUT)
    ready.poll(max(0.0, 1000 * limit_s))


def _size(terminal: int) -> tuple[int, int]:
    try:
        size = os.get_terminal_size(terminal)
    except OSError:
        return 80, 24
    return max(20, size.columns), max(4, size.lines)


def _cut(text: Text, columns: int) -> Text:
    """Return the text as one row; the last column stays free, so that no terminal wraps it."""
    cut = text.copy()
    cut.truncate(columns - 1, overflow="ellipsis")
    return cut


def _ansi(line: Text) -> str:
    """Return the text with its colours as control sequences; a console takes four times as long."""
    return "".join(
        segment.text
        if segment.style is None
        else segment.style.render(segment.text, color_system=ColorSystem.STANDARD)
        for segment in line.render(_CONSOLE)
    )
