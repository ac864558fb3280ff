"""Supervision of a monitor session: a defect in one machine does not affect the others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import structlog

from asd_monitor.backoff import Backoff
from asd_monitor.config.settings import Machine
from asd_monitor.daemon.hang_detection import WorkProgress
from asd_monitor.daemon.machine_publisher import MachinePublisher, utc
from asd_monitor.daemon.monitor_session import MonitorSession
from asd_monitor.errors import UsageError
from asd_monitor.publish.messages import MachineStatus
from asd_monitor.records import MicrophoneState

log = structlog.get_logger()


class SupervisedSession:
    """The monitor session of one machine, restarted with a growing delay when it fails.

    Args:
        machine: Id of the machine.
        settings: Its configuration.
        publisher: Publishes its messages.
        create: Creates a session; a failure counts as one of the session.
        backoff: Delays between the attempts.

    """

    def __init__(
        self,
        machine: str,
        settings: Machine,
        publisher: MachinePublisher,
        create: Callable[[], MonitorSession],
        *,
        backoff: Backoff,
    ) -> None:
        self.machine = machine
        self.settings = settings
        self.restarts = 0
        """How often the session has failed and was restarted."""
        self.loaded = asyncio.Event()
        """Set when the first session has tried to load its model, or has failed."""
        self.task: asyncio.Task[None] | None = None
        """The task of `run`, set by the caller."""
        self.session: MonitorSession | None = None
        """The newest session."""
        self._publisher = publisher
        self._create = create
        self._backoff = backoff
        self._logged_defects: set[str] = set()
        self._waiting = False  # for the next attempt

    async def run(self) -> None:
        """Monitor until the recording ends, or without end.

        A cancellation ends it, also if the end of the session fails.
        """
        while True:
            begun_s = time.monotonic()
            # a task of its own: in Python 3.11 a task group may leave a cancellation counted
            session = asyncio.create_task(self._run_session(), name=f"session {self.machine}")
            try:
                await session
            except Exception as error:  # a defect must not end other machines
                if self._is_cancelled:
                    self._log_defect(error)
                    raise asyncio.CancelledError from error
                delay_s = self._backoff.delay_s(time.monotonic() - begun_s)
                self.restarts += 1
                self._report_defect(error, delay_s)
                self._waiting = True
                await asyncio.sleep(delay_s)
                self._waiting = False
            else:
                return

    async def _run_session(self) -> None:
        try:
            self.session = session = self._create()
            loaded = asyncio.create_task(session.loaded.wait(), name=f"loaded {self.machine}")
            loaded.add_done_callback(lambda _: self.loaded.set())
            try:
                await session.run()
            finally:
                loaded.cancel()
        finally:
            self.loaded.set()

    @property
    def active_session(self) -> MonitorSession | None:
        """The session that monitors now; None before the first, between two and at the end."""
        return None if self._waiting or self._has_ended else self.session

    @property
    def refusal(self) -> UsageError | None:
        """Why a recording cannot be read at all."""
        return self.session.refusal if self.session else None

    @property
    def progress(self) -> WorkProgress:
        """How far the work has advanced."""
        if self._has_ended:
            return WorkProgress(0, "the recording has ended")
        if self.session is None or self._waiting:
            return WorkProgress(0, "restarting")
        return self.session.progress

    @property
    def status(self) -> MachineStatus:
        """The machine's entry in the status of the box."""
        return self.session.status if self.session else self._publisher.status()

    @property
    def _is_cancelled(self) -> bool:
        """Whether the task that runs was cancelled, also if an exception replaced that."""
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0

    @property
    def _has_ended(self) -> bool:
        return self.task is not None and self.task.done()

    def report_starting(self) -> None:
        """Publish the state where the model is still being loaded; the broker has that before."""
        if not self.loaded.is_set():
            self.repeat_state()

    def repeat_state(self) -> None:
        """Publish the state again."""
        session = self.active_session
        try:
            if session is None:
                self._publisher.repeat_state(utc(time.time()))
            else:
                session.repeat_state()
        except Exception:  # the same boundary as around the session
            log.exception(
                "a defect in asd-monitor: the state cannot be published; please report it",
                machine=self.machine,
            )

    def _report_defect(self, error: Exception, delay_s: float) -> None:
        text = self._log_defect(error, next_attempt_s=delay_s)
        condition = replace(
            self._publisher.condition,
            microphone=MicrophoneState.FAULT,
            reason=f"a defect in asd-monitor ({text}); monitoring restarts in {delay_s:g} s",
        )
        self._publisher.publish_state(condition, utc(time.time()))

    def _log_defect(self, error: Exception, **facts: float) -> str:
        """Log a defect, each only once; return it as text."""
        cause: BaseException = error
        while isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        text = f"{type(cause).__name__}: {cause}"
        if text not in self._logged_defects:
            self._logged_defects.add(text)
            log.error(
                "a defect in asd-monitor: the monitoring of this machine failed; please report it",
                machine=self.machine,
                exc_info=cause,
                **facts,
            )
        return text
