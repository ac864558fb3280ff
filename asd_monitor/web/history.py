"""The history while the page runs: minutes are gathered, written in a thread, and read."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from anyio import CapacityLimiter, to_thread

from asd_monitor.daemon.page_protocol import LiveWindow
from asd_monitor.web.disk_access import begin_on_disk, on_disk
from asd_monitor.web.history_store import HistoryStore
from asd_monitor.web.live_state import LiveState
from asd_monitor.web.minute_means import HistoryRow, MinuteMeans
from asd_monitor.web.trend import PERIOD_S, PERIODS

MAX_WAITING = 10_000
"""Minutes that wait to be written; the oldest are dropped."""


@dataclass(frozen=True, slots=True)
class Span:
    """A span of time that can be chosen."""

    key: str
    name: str
    seconds: int
    step_s: int


SPANS = (
    Span("hour", "1 hour", 3600, 60),
    Span("day", "1 day", 86_400, 300),
    Span("week", "7 days", 7 * 86_400, 3600),
    Span("quarter", "90 days", 90 * 86_400, 14_400),
)


class History:
    """The scores of the last days of all machines.

    Args:
        state: The state folder.

    """

    def __init__(self, state: Path) -> None:
        self._state = state
        self._store = HistoryStore(state)
        self.dropped = 0
        """Minutes that were dropped, since the disk could not be written for too long."""
        self._gathered: dict[str, MinuteMeans] = {}
        self._waiting: deque[HistoryRow] = deque()
        self._thread = CapacityLimiter(1)
        self._writing: asyncio.Task[bool] | None = None

    @property
    def note(self) -> str | None:
        """What the page says about the history; None: nothing."""
        return self._store.note

    def push(self, window: LiveWindow) -> None:
        """Take a window."""
        row = self._gathered.setdefault(window.machine, MinuteMeans(window.machine)).push(window)
        if row is not None:
            self._waiting.append(row)
            self._bound()

    async def write(self) -> None:
        """Write the minutes that have ended; those that cannot be written wait further."""
        if self._writing is not None:  # of who was cancelled meanwhile
            await asyncio.wait((self._writing,))
        if not self._waiting:
            return
        rows = list(self._waiting)
        self._waiting.clear()

        def put_back(done: asyncio.Task[bool]) -> None:
            if done.cancelled() or done.exception() is not None or not done.result():
                self._waiting.extendleft(reversed(rows))
                self._bound()

        self._writing = begin_on_disk(
            lambda: self._store.write(rows, time.time()), limiter=self._thread
        )
        self._writing.add_done_callback(put_back)
        await asyncio.shield(self._writing)  # the end of the page may come meanwhile

    async def free_gb(self) -> float | None:
        """Return the free space for the state folder, in GB; None where it is not known."""
        return await to_thread.run_sync(_free_gb, self._state, limiter=self._thread)

    async def end(self) -> None:
        """Write everything, and close the file."""
        self._waiting.extend(row for each in self._gathered.values() if (row := each.end()))
        self._gathered.clear()
        await self.write()
        await to_thread.run_sync(self._store.close, limiter=self._thread)

    def _bound(self) -> None:
        while len(self._waiting) > MAX_WAITING:
            self._waiting.popleft()
            self.dropped += 1

    async def read(self, machine: str, span: Span, end: datetime) -> Sequence[HistoryRow]:
        """Return the periods of a span up to a time.  Raises `OperationError`: the disk hangs."""
        end_s = int(end.timestamp()) + 1
        begin_s = (end_s - span.seconds) // span.step_s * span.step_s
        return await on_disk(
            lambda: self._store.read(machine, begin_s, end_s, span.step_s), limiter=self._thread
        )

    async def restore_trend(self, live: LiveState, machine: str, now: datetime) -> None:
        """Take up the trend of a machine from before the start of the page."""
        span = Span("trend", "", PERIODS * PERIOD_S, PERIOD_S)
        trend = live.machine(machine).trend
        for row in await self.read(machine, span, now):
            if row.highest_alarm_score is not None:
                trend.add(datetime.fromtimestamp(row.begin_s, UTC), row.highest_alarm_score)


def _free_gb(state: Path) -> float | None:
    try:
        return shutil.disk_usage(state).free / 1e9
    except OSError:
        return None
