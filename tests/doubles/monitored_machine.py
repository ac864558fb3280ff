"""One monitor session with a scripted source, a level detector and a broker in memory."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asd_monitor.audio.sharing.server import SharingServer
from asd_monitor.daemon.box_refits import BoxRefits
from asd_monitor.daemon.event_delivery import EventDelivery
from asd_monitor.daemon.evidence_packages import EvidencePackages
from asd_monitor.daemon.evidence_storage import EvidenceLimits, PackageChange
from asd_monitor.daemon.machine_publisher import MachinePublisher
from asd_monitor.daemon.monitor_session import MonitorSession
from asd_monitor.daemon.refit_child import RefitOutcome
from asd_monitor.daemon.running_input import RunningInput
from asd_monitor.daemon.scoring_thread import ScoringThread
from asd_monitor.daemon.session_context import SessionContext
from asd_monitor.daemon.training_child import TrainingOutcome
from asd_monitor.evidence.retention import Bounds
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.requests import Request, Verb
from asd_monitor.journal.store import Journal
from tests.doubles.level_detector import LevelDetector, StubBundle, StubModels, make_config
from tests.doubles.memory_broker import MemoryBroker
from tests.doubles.scripted_source import ScriptedSource
from tests.doubles.waiting import until


async def _failed_refit(machine: str) -> RefitOutcome:
    return RefitOutcome(f"no refit of {machine} is expected")


class MonitoredMachine:
    """The machine ``fan``; `start` begins a session, also after an earlier one was stopped.

    The source waits for room in the ring buffer, so that no sound is lost however late it is
    evaluated, unless the test sets its ``is_microphone``.
    Training is a stub: it ends when the test sets ``training_ends``.
    """

    def __init__(self, folder: Path, models: StubModels, keys: dict[str, Any]) -> None:
        self.broker = MemoryBroker()
        self.source = ScriptedSource()
        self.journal = Journal(folder)
        self.trained: list[tuple[str, Path, Path]] = []
        """(machine, sound, models) of each training."""
        self.refits: list[tuple[str, Path, Path]] = []
        """(machine, models, state) of each refit."""
        self.refit: Callable[[str], Awaitable[RefitOutcome]] = _failed_refit
        """What stands in for the child process of a refit."""
        self.training_ends = asyncio.Event()
        self.training_failure: str | None = None
        self.models = models
        self.running_input: Callable[[str], RunningInput | None] = lambda _: None
        self.settings = make_config(fan=keys).machines["fan"]
        self.bounds = Bounds(2_000_000_000, 30 * 86_400.0)
        self.evidence = EvidencePackages(
            "testbox",
            folder,
            folder / "models",
            journal=self.journal,
            bounds=lambda _: self.bounds,
            on_change=self._note_package,
            limits=EvidenceLimits(least_free_bytes=0, least_free_share=0.0),
        )
        self._folder = folder
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, source: ScriptedSource | None = None) -> MonitorSession:
        """Begin a session, with this source or the one at hand."""
        self.source = source or self.source
        self.scoring = ScoringThread()
        context = SessionContext(
            models=self._folder / "models",
            state=self._folder,
            sharing=SharingServer(self._folder),
            scoring=self.scoring,
            open_source=lambda _: self.source,
            train=self._train,
            throttle=self._throttle,
            evidence=self.evidence,
            refits=BoxRefits(self._refit),
            load_model=self.models.load,
            running_input=self.running_input,
        )
        publisher = MachinePublisher(
            "fan",
            self.broker.topics,
            self.broker,
            clock_synced=lambda: True,
            publish_events=EventDelivery(self.journal, self.broker).deliver,
        )
        self.machine_journal = MachineJournal(self.journal, "fan")
        self.session = MonitorSession(
            "fan", self.settings, self.machine_journal, publisher, context
        )
        self.task = asyncio.create_task(self.session.run())
        self._tasks.append(self.task)
        return self.session

    async def start_held(self) -> threading.Event:
        """Begin a session whose first evaluation waits; return the event that lets it go on."""
        gate = threading.Event()
        detector = LevelDetector(gate=gate)
        self.models.bundles["fan"] = StubBundle(detector=detector)
        self.start()
        self.source.open().play(5)
        await until(detector.entered.is_set)
        return gate

    async def stop(self) -> None:
        """Cancel all sessions."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._tasks:
            await self.scoring.close()

    @property
    def state(self) -> dict[str, Any]:
        """The retained state message."""
        return self.broker.state("fan")

    async def until_state(self, state: str, microphone: str = "ok") -> dict[str, Any]:
        """Wait for a state message and return it."""

        def reached() -> bool:
            if self.task.done() and not self.task.cancelled():
                self.task.result()  # a defect: no state follows
            return (self.state.get("state"), self.state.get("microphone")) == (state, microphone)

        await until(reached, f"{state}, {microphone} instead of {self.state}")
        return self.state

    async def play(self, seconds: int, level: float = 0.1) -> None:
        """Play noise in pieces of 5 s, each of which is evaluated before the next one."""
        for _ in range(seconds // 5):
            self.source.play(5, level)
            await self.until_evaluated()

    async def change_service(self, verb: Verb) -> None:
        """Take the machine out of service, or return it, and wait until that is published."""
        self.journal.requests.add(Request(verb, "fan", "ann", datetime.now(UTC), why="new belt"))
        self.session.check_requests()
        is_out = verb is Verb.OUT_OF_SERVICE
        await until(lambda: self.broker.alarm("fan")["out_of_service"] is is_out)

    async def until_evaluated(self) -> None:
        """Wait until all sound that was played has been evaluated."""
        await until(lambda: self.source.delivered)
        await until(lambda: self.session.stage == "the capture of sound")

    async def _train(self, machine: str, sound: Path, models: Path) -> TrainingOutcome:
        self.trained.append((machine, sound, models))
        await self.training_ends.wait()
        return TrainingOutcome(self.training_failure)

    async def _refit(self, machine: str, models: Path, state: Path) -> RefitOutcome:
        self.refits.append((machine, models, state))
        return await self.refit(machine)

    def _note_package(self, change: PackageChange) -> None:
        self.machine_journal.queue_package(change.alarm_id, change.path)
        self.session.check_requests()

    async def _throttle(self) -> None:
        await asyncio.sleep(0)
