"""The daemon in the process of the test, with scripted sources and a broker in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from asd_monitor.audio.devices.device_strings import DeviceSpec
from asd_monitor.config.settings import Config, Mqtt
from asd_monitor.daemon.evidence_storage import EvidenceLimits
from asd_monitor.daemon.overview import Observer
from asd_monitor.daemon.runtime_options import (
    Dependencies,
    Intervals,
    RuntimeOptions,
    ShutdownLimits,
)
from asd_monitor.daemon.service import Service
from tests.doubles.level_detector import StubModels
from tests.doubles.memory_broker import MemoryBroker
from tests.doubles.scripted_source import ScriptedSource
from tests.doubles.waiting import TIMEOUT_S, until

EVIDENCE = EvidenceLimits(least_free_bytes=0, least_free_share=0.0)
"""The tests may run on a disk that is nearly full."""
INTERVALS = Intervals(journal_poll_s=0.02, restart_delays_s=(0.01,), hang_s=300.0)
"""On a busy computer work may stand still for longer than in a plant."""


class InProcessDaemon:
    """Starts a `Service` whose microphones have delivered 3 s of sound."""

    def __init__(self, folder: Path, models: StubModels) -> None:
        self.folder = folder
        self.models = models
        self.broker = MemoryBroker()
        self.on_connect: Callable[[], None]
        """Called by the session with the broker after each connect, in its thread."""
        self.sources: dict[str, list[ScriptedSource]] = {}
        """The opened sources by device, in order."""
        self.file: Config | Exception
        """What a reload reads."""
        self.environment: dict[str, str] = {}
        self.task: asyncio.Task[None] | None = None

    def start(
        self,
        config: Config,
        *,
        intervals: Intervals = INTERVALS,
        limits: ShutdownLimits | None = None,
        evidence: EvidenceLimits = EVIDENCE,
        observer: Observer | None = None,
        **dependencies: Any,
    ) -> None:
        """Start the daemon; ``dependencies`` replace those of the test double."""
        self.file = config
        defaults = Dependencies(
            open_source=self.open_source,
            load_model=self.models.load,
            estimate_capacity=lambda _: 100,
            connect=self._connect,
        )
        self.service = Service(
            config,
            RuntimeOptions(
                models=self.folder / "models",
                state=self.folder,
                reload=self._read,
                environment=self.environment,
                intervals=intervals,
                limits=limits or ShutdownLimits(),
                evidence=evidence,
                observer=observer,
                dependencies=replace(defaults, **dependencies),
            ),
        )
        self.task = asyncio.create_task(self.service.run(), name="service")

    def open_source(self, spec: DeviceSpec) -> ScriptedSource:
        """Return a new source; a microphone is open and has 3 s of sound to deliver."""
        source = ScriptedSource()
        source.is_microphone = not spec.is_file
        if not spec.is_file:
            source.open().play(3)
        self.sources.setdefault(str(spec), []).append(source)
        return source

    def source(self, device: str) -> ScriptedSource:
        """Return the newest source of a device."""
        return self.sources[device][-1]

    async def until_state(self, machine: str, state: str, microphone: str = "ok") -> dict[str, Any]:
        """Wait for a state message and return it."""
        expected = (state, microphone)
        await until(
            lambda: (
                expected
                == tuple(self.broker.state(machine).get(key) for key in ("state", "microphone"))
            ),
            f"{machine}: {expected}",
        )
        return self.broker.state(machine)

    async def box_status(self) -> dict[str, Any]:
        """Return a new status of the box."""
        before = len(self.broker.messages("box/testbox/status"))
        await asyncio.to_thread(self.on_connect)
        await until(lambda: len(self.broker.messages("box/testbox/status")) > before)
        return self.broker.messages("box/testbox/status")[-1]

    async def finish(self) -> None:
        """Wait for the end of the daemon; raise what it raises."""
        assert self.task is not None
        await asyncio.wait_for(self.task, TIMEOUT_S)

    def _connect(self, settings: Mqtt, box: str, *, on_connect: Callable[[], None]) -> MemoryBroker:
        self.on_connect = on_connect
        return self.broker

    def _read(self) -> Config:
        if isinstance(self.file, Exception):
            raise self.file
        return self.file
