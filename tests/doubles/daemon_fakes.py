"""A source that a test drives, a detector of one number, and a broker that only remembers."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from asd_monitor.audio.source import Event, Opened, Outage
from asd_monitor.config.settings import Config, Machine
from asd_monitor.detector.calibration import KNOTS, Tail
from asd_monitor.detector.detector import Detector
from asd_monitor.detector.estimators import BackEnd
from asd_monitor.detector.views import View, ViewKind
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.model_store.bundle import BundleError
from asd_monitor.publish.shared_outbox import Counters
from asd_monitor.publish.topics import Topics
from asd_monitor.records import Block, MicrophoneState

PATIENCE_S = 30.0
RATE = 16_000


async def until(condition: Callable[[], object], what: str = "") -> None:
    """Wait for something that the daemon does by itself."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - what is awaited has no event
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"did not come: {what or condition}") from None


class ScriptedSource:
    """Gives what the test puts in; a microphone unless told to end."""

    def __init__(self, rate_hz: int = RATE) -> None:
        self.rate_hz = rate_hz
        self.lost_samples = self.gaps = self.restarts = 0
        self.drift_ppm = 0.0
        self.keeps_pace = True
        self.closed = False
        self.end = 0
        self._events: asyncio.Queue[Event | Exception | None] = asyncio.Queue()

    def open(self) -> ScriptedSource:
        self._events.put_nowait(Opened(self.rate_hz, 1, "scripted"))
        return self

    def hear(self, seconds: float, level: float = 0.1, *, gap: int = 0) -> None:
        """Give noise of this RMS."""
        self.end += gap
        count = round(seconds * self.rate_hz)
        noise = np.random.default_rng(self.end).standard_normal(count) * level
        for first in range(0, count, self.rate_hz // 10):
            part = noise[first : first + self.rate_hz // 10].astype(np.float32)
            self._events.put_nowait(Block(self.end, part))
            self.end += len(part)

    def hear_value(self, seconds: float, value: float = 0.0) -> None:
        count = round(seconds * self.rate_hz)
        self._events.put_nowait(Block(self.end, np.full(count, value, np.float32)))
        self.end += count

    def lose(self, reason: str, state: MicrophoneState = MicrophoneState.NO_DEVICE) -> None:
        self._events.put_nowait(Outage(reason, state))

    def fail(self, error: Exception) -> None:
        self._events.put_nowait(error)

    def finish(self) -> None:
        self._events.put_nowait(None)

    @property
    def taken(self) -> bool:
        return self._events.empty()

    async def events(self) -> AsyncGenerator[Event]:
        while (event := await self._events.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event

    async def close(self) -> None:
        self.closed = True


def step_at(raw: float) -> Tail:
    """Return a tail that scores 9 for twice this raw score, 0 below it."""
    return Tail((raw,) * KNOTS, 0.0, raw / (8 * np.log(10)))


@dataclass(frozen=True, slots=True, eq=False)
class Loudness(BackEnd):
    """1 for levels above −10 dBFS, 0 below; with a gate it waits for that."""

    kind = "loudness"
    gate: threading.Event | None = None
    entered: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def fit(cls, reference: Any, spans: Any) -> Any:
        raise NotImplementedError

    @classmethod
    def score_each(cls, machines: Any, vectors: Any) -> Any:
        for machine in machines:
            if machine.gate is not None:
                machine.entered.set()
                assert machine.gate.wait(PATIENCE_S), "nobody let the inference go on"
        return (vectors[:, :, 0] > -10).astype(np.float32)


class LevelDetector(Detector):
    """Scores 9 for windows above −10 dBFS, 0 below; idle below −60 dBFS."""

    def __init__(self, gate: threading.Event | None = None) -> None:
        kind = ViewKind("level", "level", Loudness, "loudness")
        view = View(kind, Loudness(gate), step_at(0.5))
        super().__init__(FrontEnd(), (view,), step_at(4.5), step_at(4.5), (-300.0, -60.0))

    @property
    def entered(self) -> threading.Event:
        """Set when a window is being scored."""
        loudness = self.views[0].back_end
        assert isinstance(loudness, Loudness)
        return loudness.entered

    def alarm_threshold(self, alarms_per_s: float) -> float:
        return 5.0 if alarms_per_s < 1e-6 else 3.0


@dataclass(eq=False)
class StubBundle:
    version: str = "v1"
    detector: Any = field(default_factory=LevelDetector)


class StubModels:
    """What `load_bundle` finds."""

    def __init__(self, **bundles: StubBundle) -> None:
        self.bundles = bundles
        self.broken: dict[str, str] = {}

    def load(self, _models: Path, machine: str) -> Any:
        if machine in self.broken:
            raise BundleError(self.broken[machine])
        if machine not in self.bundles:
            raise BundleError(f"no model of {machine}: train one")
        return self.bundles[machine]


class MemorySession:
    """Looks like the session with the broker."""

    def __init__(self, box: str = "testbox") -> None:
        self.topics = Topics("asd", box)
        self.counters = Counters()
        self.connected = True
        self.waiting = 0
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.retained: dict[str, dict[str, Any]] = {}
        self.stopped = False

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        message = json.loads(payload)
        self.sent.append((topic, message))
        if retain:
            self.retained[topic] = message

    def start(self) -> None:
        pass

    def stop(self, timeout_s: float) -> None:
        self.stopped = True

    def wait_for(self, condition: Any, timeout_s: float) -> bool:
        return bool(condition(self))

    def all(self, topic: str) -> list[dict[str, Any]]:
        return [message for where, message in self.sent if where == f"asd/{topic}"]

    def state(self, machine: str) -> dict[str, Any]:
        return self.retained.get(f"asd/{machine}/state", {})

    def states(self, machine: str) -> list[tuple[str, str]]:
        return [(m["state"], m["microphone"]) for m in self.all(f"{machine}/state")]

    def alarm(self, machine: str) -> dict[str, Any]:
        return self.retained.get(f"asd/{machine}/alarm", {})

    def changes(self, machine: str) -> list[tuple[str, str]]:
        return [(m["from"], m["to"]) for m in self.all(f"{machine}/event")]


def make_config(**machines: dict[str, Any]) -> Config:
    return Config(
        version=1,
        box="testbox",
        machines={name: Machine.model_validate(keys) for name, keys in machines.items()},
    )
