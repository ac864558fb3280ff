"""Contains a listener: whatever breaks in one machine, the others go on undisturbed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import structlog

from asd_monitor.config.settings import Machine
from asd_monitor.daemon.machine_publisher import MachinePublisher, utc
from asd_monitor.daemon.monitor_session import MonitorSession
from asd_monitor.daemon.watchdog import WorkProgress
from asd_monitor.errors import UsageError
from asd_monitor.publish.messages import MachineStatus
from asd_monitor.records import MicrophoneState

log = structlog.get_logger()

_BACKOFF_S = (1.0, 2.0, 5.0, 15.0, 60.0)
_HELD_S = 600.0  # a listener that ran so long begins with the shortest pause again


class Supervised:
    """One machine's listener, started anew with a growing pause when it breaks."""

    def __init__(
        self,
        machine: str,
        settings: Machine,
        report: MachinePublisher,
        make: Callable[[], MonitorSession],
        *,
        backoff_s: tuple[float, ...] = _BACKOFF_S,
    ) -> None:
        """`make` makes a new listener; it may raise like one."""
        self.machine = machine
        self.settings = settings
        self.restarts = 0
        """How often the listener broke and was started anew."""
        self.loaded = asyncio.Event()
        """Set when the first listener has tried to load its model, or broke."""
        self.task: asyncio.Task[None] | None = None
        self.listener: MonitorSession | None = None
        self._report = report
        self._make = make
        self._backoff_s = backoff_s
        self._told: set[str] = set()
        self._pausing = False

    async def run(self) -> None:
        """Listen until the recording ends, or for ever."""
        tries = 0
        while True:
            begun_s = time.monotonic()
            try:
                await self._listen()
            except Exception as error:  # noqa: BLE001 - a defect here must not end other machines
                if time.monotonic() - begun_s > _HELD_S:
                    tries = 0
                pause_s = self._backoff_s[min(tries, len(self._backoff_s) - 1)]
                tries += 1
                self.restarts += 1
                self._tell(error, pause_s)
                self._pausing = True
                await asyncio.sleep(pause_s)
                self._pausing = False
            else:
                return

    async def _listen(self) -> None:
        try:
            self.listener = listener = self._make()
            loaded = asyncio.create_task(listener.loaded.wait(), name=f"loaded {self.machine}")
            loaded.add_done_callback(lambda _: self.loaded.set())
            try:
                await listener.run()
            finally:
                loaded.cancel()
        finally:
            self.loaded.set()

    @property
    def listening(self) -> MonitorSession | None:
        """The listener, while it listens: it has not ended, and waits for no other try."""
        ended = self.task is not None and self.task.done()
        return None if self._pausing or ended else self.listener

    @property
    def refusal(self) -> UsageError | None:
        """Why a recording could not be heard at all."""
        return self.listener.refusal if self.listener else None

    @property
    def pulse(self) -> WorkProgress:
        """Whether the work advances."""
        if self.task is not None and self.task.done():
            return WorkProgress(0, "the recording has ended")
        if self.listener is None or self._pausing:
            return WorkProgress(0, "starting again")
        return self.listener.pulse

    @property
    def status(self) -> MachineStatus:
        """The machine's line in the status of the box."""
        return self.listener.status if self.listener else self._report.status()

    def repeat_state(self) -> None:
        """Publish the state anew."""
        try:
            if self.listener is None or self._pausing or (self.task and self.task.done()):
                self._report.repeat_state(utc(time.time()))
            else:
                self.listener.repeat_state()
        except Exception:  # the same boundary as around the listener
            log.exception("a defect in asd-monitor: the state cannot be told", machine=self.machine)

    def _tell(self, error: Exception, pause_s: float) -> None:
        cause: BaseException = error
        while isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        text = f"{type(cause).__name__}: {cause}"
        if text not in self._told:
            self._told.add(text)
            log.error(
                "a defect in asd-monitor: listening to this machine broke; please report it",
                machine=self.machine,
                next_try_s=pause_s,
                exc_info=cause,
            )
        condition = replace(
            self._report.condition,
            microphone=MicrophoneState.FAULT,
            reason=f"a defect in asd-monitor ({text}); listening starts again in {pause_s:g} s",
        )
        self._report.publish_state(condition, utc(time.time()))
