"""The monitor session of one machine under supervision."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from asd_monitor.backoff import Backoff
from asd_monitor.config.machine_settings import Machine
from asd_monitor.daemon.hang_detection import WorkProgress
from asd_monitor.daemon.machine_publisher import MachineCondition, MachinePublisher, utc
from asd_monitor.daemon.monitor_session import MonitorSession
from asd_monitor.daemon.supervision import Failure, Supervision
from asd_monitor.errors import UsageError
from asd_monitor.journal.alarm_records import AlarmRecord
from asd_monitor.publish.messages import LastEvaluated, MachineStatus, Score
from asd_monitor.records import MicrophoneState


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
        self.loaded = asyncio.Event()
        """Set when the first session has tried to load its model, or has failed."""
        self.task: asyncio.Task[None] | None = None
        """The task of `run`, set by the caller."""
        self.session: MonitorSession | None = None
        """The newest session."""
        self._publisher = publisher
        self._create = create
        self._advanced = 0  # of the earlier sessions
        self._supervision = Supervision(
            f"session {machine}",
            self._run_session,
            backoff=backoff,
            report=self._report_failure,
            machine=machine,
        )

    async def run(self) -> None:
        """Monitor until the recording ends, or without end.

        A cancellation ends it, also if the end of the session fails.
        """
        await self._supervision.run()

    async def _run_session(self) -> None:
        try:
            earlier, session = self.session, self._create()
            if earlier is not None:
                self._advanced += earlier.progress.count
            self.session = session
            loaded = asyncio.create_task(session.loaded.wait(), name=f"loaded {self.machine}")
            loaded.add_done_callback(lambda _: self.loaded.set())
            try:
                await session.run()
            finally:
                loaded.cancel()
        finally:
            self.loaded.set()

    def restart(self, reason: str) -> None:
        """End the session because it stands still, and start another one."""
        self._supervision.restart(reason)

    @property
    def stage(self) -> str:
        """The stage at which the newest block waits."""
        return "monitoring" if self.session is None else self.session.stage

    @property
    def restarts(self) -> int:
        """How often the session has failed and was restarted."""
        return self._supervision.restarts

    @property
    def active_session(self) -> MonitorSession | None:
        """The session that monitors now; None before the first, between two and at the end."""
        return None if self._supervision.is_waiting or self._has_ended else self.session

    @property
    def is_starting(self) -> bool:
        """Whether it is not known yet whether there is sound."""
        if self._supervision.is_waiting or self._has_ended:
            return False
        return self.session is None or not self.session.has_reported

    @property
    def refusal(self) -> UsageError | None:
        """Why a recording cannot be read at all."""
        return self.session.refusal if self.session else None

    @property
    def progress(self) -> WorkProgress:
        """How far the work has advanced, over all sessions."""
        session = self.session
        if session is None:
            return WorkProgress(self._advanced, "starting")
        own = session.progress
        advanced = self._advanced + own.count
        if self._has_ended:
            return WorkProgress(advanced, "the recording has ended")
        if self._supervision.is_waiting:
            return WorkProgress(advanced, "restarting")
        return replace(own, count=advanced)

    @property
    def status(self) -> MachineStatus:
        """The machine's entry in the status of the box."""
        return self.session.status if self.session else self._publisher.status()

    @property
    def condition(self) -> MachineCondition:
        """The condition that was published last."""
        return self._publisher.condition

    @property
    def alarm(self) -> AlarmRecord | None:
        """The newest alarm whose condition was published; None: there is none."""
        return self._publisher.published_alarm

    @property
    def newest_score(self) -> Score | None:
        """The score of the newest window; None while the sound is not evaluated."""
        return self._publisher.newest_score

    @property
    def last_evaluated(self) -> LastEvaluated | None:
        """State and time of the newest window; None: none was evaluated."""
        return self._publisher.last_evaluated

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
        if session is None:
            self._publisher.repeat_state(utc(time.time()))
        else:
            session.request_state()

    def _report_failure(self, failure: Failure) -> None:
        condition = replace(
            self._publisher.condition,
            microphone=MicrophoneState.FAULT,
            reason=f"{failure.cause.text}: {failure.cause.remedy}; monitoring restarts in "
            f"{failure.restarts_in_s:g} s",
        )
        self._publisher.publish_state(condition, utc(time.time()))
