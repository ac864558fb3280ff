"""The level meter of `record` on stderr: a bar on a terminal, otherwise a line every 10 s.

It shows the level of the sound, without DC and its drift.  Clipping, and the colour that warns of
it, depend on the samples as captured.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.text import Text

from asd_monitor.audio.files.levels import dbfs
from asd_monitor.cli.terminal_abilities import moves_cursor
from asd_monitor.dsp.dc_removal import DCRemover
from asd_monitor.dsp.sample_faults import CLIPPING_LEVEL
from asd_monitor.records import Samples

_BAR_CELLS = 30
_MIN_DBFS = -80.0
_NEAR_CLIPPING_DBFS = -6.0
_LINE_EVERY_S = 10.0


class Meter(Protocol):
    """Shows a recording that goes on."""

    def __enter__(self) -> Self:
        """Begin to show it."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """End."""

    def print_line(self, text: str) -> None:
        """Print a line of text."""

    def show(self, samples: Samples, rate_hz: int, recorded_s: float) -> None:
        """Show a block (n,), full scale ±1, and how much was recorded with it, in s."""


class LevelMeter:
    """Shows the level of the last block, the highest peak and the recorded duration.

    Args:
        total_s: Duration of the whole recording, in s.
        before_s: What of it was recorded earlier, in s.
        detail: Returns a second line.

    """

    def __init__(
        self, total_s: float, *, before_s: float = 0.0, detail: Callable[[], str] | None = None
    ) -> None:
        self._total_s = total_s
        self._before_s = before_s
        self._detail = detail
        self._console = Console(file=sys.stderr)
        self._live = (
            Live(console=self._console, refresh_per_second=10, transient=True)
            if moves_cursor(sys.stderr)
            else None
        )
        self._dc_remover: DCRemover | None = None
        self._peak = 0.0
        self._next_line_s = 0.0

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()

    def print_line(self, text: str) -> None:
        """Print a line above the meter."""
        self._console.print(Text(text), soft_wrap=True)

    def show(self, samples: Samples, rate_hz: int, recorded_s: float) -> None:
        """Show the level of a block (n,), full scale ±1; nothing in the first half second."""
        self._dc_remover = self._dc_remover or DCRemover(rate_hz)
        sound = self._dc_remover.push(samples)
        if not len(sound):
            return
        rms_dbfs = dbfs(float(np.sqrt(np.mean(np.square(sound)))))
        peak = float(np.abs(sound).max())
        self._peak = max(self._peak, peak)
        recorded_s += self._before_s
        if self._live:
            captured_peak = float(np.abs(samples).max())
            self._live.update(self.bar(rms_dbfs, peak, captured_peak, recorded_s))
        elif recorded_s >= self._next_line_s:
            self._next_line_s = recorded_s + _LINE_EVERY_S
            self.print_line(
                f"{recorded_s:.0f} s of {self._total_s:.0f} s, {rms_dbfs:.0f} dBFS, "
                f"peak {dbfs(self._peak):.0f} dBFS"
            )
            if self._detail is not None:
                self.print_line(self._detail())

    def bar(self, rms_dbfs: float, peak: float, captured_peak: float, recorded_s: float) -> Text:
        """Return the bar of a block: its level, its peak without and with DC, full scale 1."""

        def cells(level_dbfs: float) -> int:
            share = (level_dbfs - _MIN_DBFS) / -_MIN_DBFS
            return round(_BAR_CELLS * min(1.0, max(0.0, share)))

        rms, now = cells(rms_dbfs), cells(dbfs(peak))
        colour = "red" if dbfs(captured_peak) > _NEAR_CLIPPING_DBFS else "green"
        bar = Text()
        bar.append("█" * rms, colour)
        bar.append("─" * max(0, now - rms), colour)
        bar.append("·" * (_BAR_CELLS - max(rms, now)), "dim")
        bar.append(f" {rms_dbfs:4.0f} dBFS  peak {dbfs(max(self._peak, peak)):4.0f}")
        bar.append("  CLIPPING" if captured_peak >= CLIPPING_LEVEL else "          ", "bold red")
        bar.append(f" {recorded_s:.0f} of {self._total_s:.0f} s")
        if self._detail is not None:
            bar.append(f"\n{self._detail()}")
        return bar
