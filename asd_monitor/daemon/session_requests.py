"""What changes the alarm of a monitored machine without sound: requests, the end of a shelf."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from functools import partial

import structlog

from asd_monitor.backoff import Backoff, doubling
from asd_monitor.daemon.capture_loop import CaptureLoop
from asd_monitor.daemon.evaluator import Evaluator
from asd_monitor.daemon.session_reporter import SessionReporter
from asd_monitor.daemon.shelf_pace import ShelfPace
from asd_monitor.journal.alarm_records import Event
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.worker_thread import WorkerThread

log = structlog.get_logger()


class SessionRequests:
    """Applies requests and ends the shelving of one machine, between two blocks of its sound.

    Args:
        machine: Id of the machine.
        capture: Has the time of the sound.
        evaluator: Has the alarm.
        reporter: Publishes the changes.
        publish_state: Publishes the state where it has changed.
        worker: The machine's thread for blocking work.
        wake: Set when there may be something to do.

    """

    def __init__(
        self,
        machine: str,
        *,
        capture: CaptureLoop,
        evaluator: Evaluator,
        reporter: SessionReporter,
        publish_state: Callable[[], object],
        worker: WorkerThread,
        wake: asyncio.Event,
    ) -> None:
        self.unread_requests = 0
        """How often requests could not be read."""
        self._capture = capture
        self._evaluator = evaluator
        self._reporter = reporter
        self._publish_state = publish_state
        self._worker = worker
        self._wake = wake
        self._log = log.bind(machine=machine)
        self._backoff = Backoff(doubling(1.0, 60.0))
        self._logged_error: str | None = None
        self._has_requests = True
        self._shelf_pace: ShelfPace | None = None  # None: the shelf is not to be ended

    def check(self) -> None:
        """Let the next `apply` read the requests that were written to the journal."""
        self._has_requests = True
        self._wake.set()

    def expire_shelf(self, pace: ShelfPace) -> None:
        """Let the next `apply` end the shelving, where its time is over and the pace allows."""
        self._shelf_pace = pace
        self._wake.set()

    async def apply(self) -> None:
        """Apply requests and end the shelving, where there may be something to do."""
        if self._has_requests:
            await self._apply_requests()
        if self._shelf_pace is not None:
            pace, self._shelf_pace = self._shelf_pace, None
            expire = partial(self._publish_changes, self._evaluator.expire_shelf)
            await pace.end(self._evaluator.alarm, expire)

    async def _apply_requests(self) -> None:
        self._has_requests = False
        if not self._evaluator.is_alarm_known and await self._worker.run(
            self._evaluator.take_up_alarm
        ):
            self._reporter.publish_alarm()
        try:
            await self._publish_changes(self._evaluator.apply_requests)
        except JournalError as error:
            # the requests remain, and are tried again after a pause
            self.unread_requests += 1
            asyncio.get_running_loop().call_later(self._backoff.delay_s(), self.check)
            if str(error) != self._logged_error:
                self._logged_error = str(error)
                self._log.error("requests about alarms cannot be read", reason=str(error))
            return
        self._backoff.reset()
        self._logged_error = None

    async def _publish_changes(self, change: Callable[[datetime, datetime], list[Event]]) -> bool:
        """Publish the transitions that a change of the alarm has written to the journal.

        Returns whether there are some.  Raises `JournalError`; what was changed before is
        published, and the events by the journal.
        """
        capture = self._capture
        try:
            events = await self._worker.run(change, capture.present_time(), capture.now())
        except JournalError:
            self._reporter.publish_changed_alarm()
            self._publish_state()
            raise
        self._reporter.publish_events(events)
        self._reporter.publish_changed_alarm()
        self._publish_state()
        return bool(events)
