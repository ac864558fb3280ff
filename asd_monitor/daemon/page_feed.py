"""The feed of the page: what its process is sent, in bounded memory.

It never delays the monitoring.  Of the retained messages the newest of each topic is kept, also for
a process that starts later.  Live values are queued; where the process reads too slowly, the oldest
are dropped and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from asd_monitor.daemon.live_spectrum import (
    COLUMN_S,
    highest_hz,
    level_dbfs,
    spectrogram_columns,
)
from asd_monitor.daemon.page_protocol import LiveSound, LiveWindow
from asd_monitor.monitor import Reading
from asd_monitor.records import Block, Thresholds

MAX_LIVE_LINES = 4096
"""Live values that wait: a minute of twenty machines."""
MAX_WATCHED = 8
"""Machines whose spectrogram is computed: 0.1 % of a processor core each."""
_MAX_BATCH = 256  # lines written at once


@dataclass(frozen=True, slots=True)
class PageCounters:
    """The feed of the page."""

    dropped: int
    """Live values that were dropped because the process of the page read too slowly."""
    lines: int
    """Lines that were passed to it."""


class PageFeed:
    """What the page is sent; all methods but `wait` may be called in any thread."""

    def __init__(self) -> None:
        self._retained: dict[str, bytes] = {}  # by topic
        self._changed: dict[str, None] = {}  # topics whose message was not taken yet, in order
        self._live: deque[bytes] = deque(maxlen=MAX_LIVE_LINES)
        self._lock = threading.Lock()
        self._watched: frozenset[str] = frozenset()
        self._has_ended = False
        self._dropped = 0
        self._lines = 0
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def counters(self) -> PageCounters:
        """What was passed and dropped since the start of the daemon."""
        return PageCounters(self._dropped, self._lines)

    def note_retained(self, topic: str, payload: bytes) -> None:
        """Take a retained message, which replaces the one before on its topic."""
        if not payload.startswith(b"{"):  # the availability, a picture, or a removed message
            with self._lock:
                self._retained.pop(topic, None)
                self._changed.pop(topic, None)
            return
        with self._lock:
            self._retained[topic] = payload
            self._changed.pop(topic, None)
            self._changed[topic] = None
        self._notify()

    def show_window(
        self, machine: str, reading: Reading, thresholds: Thresholds, time: datetime
    ) -> None:
        """Queue the scores of a window; a reading without one is left out."""
        window = reading.window
        if window is None:
            return
        line = LiveWindow(
            machine,
            time,
            score=window.score,
            alarm_score=reading.alarm_score,
            scales={f"{scale_s:g}": score for score, scale_s in reading.scores},
            thresholds=thresholds,
            state=reading.state,
            rms_dbfs=window.rms_dbfs,
        )
        self.put(line.payload())

    def watch(self, machines: Collection[str]) -> None:
        """Show the sound of these machines, at most `MAX_WATCHED`."""
        self._watched = frozenset(list(machines)[:MAX_WATCHED])

    def show_sound(self, machine: str, block: Block, time: datetime) -> None:
        """Queue level and spectrogram of a block that ends at ``time``, of a watched machine."""
        if machine not in self._watched:
            return
        line = LiveSound(
            machine,
            time,
            rms_dbfs=level_dbfs(block),
            column_s=COLUMN_S,
            highest_hz=highest_hz(block.rate_hz),
            columns=spectrogram_columns(block),
        )
        self.put(line.payload())

    def put(self, line: bytes) -> None:
        """Queue a live value; the oldest is dropped where too many wait."""
        with self._lock:
            if self._has_ended:
                return
            self._dropped += len(self._live) == MAX_LIVE_LINES
            self._live.append(line)
        self._notify()

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin anew for a process that starts: it gets every retained message, and new values."""
        with self._lock:
            self._loop = loop
            self._has_ended = False
            self._changed = dict.fromkeys(self._retained)
            self._live.clear()
        self._wake.set()

    def end(self) -> None:
        """Queue nothing while there is no process."""
        with self._lock:
            self._loop = None
            self._has_ended = True
            self._live.clear()
        self.watch(())

    async def wait(self) -> None:
        """Wait until there are lines."""
        await self._wake.wait()

    def take(self) -> Sequence[bytes]:
        """Return the next lines, without their ends; retained messages come first."""
        with self._lock:
            taken = [self._retained[topic] for topic in list(self._changed)[:_MAX_BATCH]]
            for topic in list(self._changed)[:_MAX_BATCH]:
                del self._changed[topic]
            while self._live and len(taken) < _MAX_BATCH:
                taken.append(self._live.popleft())
            if not self._live and not self._changed:
                self._wake.clear()
            self._lines += len(taken)
        return taken

    def _notify(self) -> None:
        loop = self._loop
        if loop is not None and not self._wake.is_set():
            with contextlib.suppress(RuntimeError):  # the event loop is closed
                loop.call_soon_threadsafe(self._wake.set)
