"""A small plant of synthetic machines, monitored by a real daemon with its page."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import soundfile
import yaml
from paho.mqtt.client import MQTTMessage

from asd_monitor.errors import OperationError
from asd_monitor.records import Samples
from asd_monitor.synthesis.families import draw_machine
from asd_monitor.synthesis.faults import with_fault
from asd_monitor.synthesis.rendering import render
from asd_monitor.web.history_store import HistoryStore
from asd_monitor.web.minute_means import MINUTE_S, HistoryRow
from benchmarks.mosquitto import MosquittoProcess, free_port
from benchmarks.mqtt_subscriber import MqttSubscriber

TOKEN = "token of the pictures"  # noqa: S105
RATE_HZ = 16_000
RMS = 0.02
TRAINING_S, NORMAL_S, LATER_S, REPEATS = 70.0, 20.0, 40.0, 20
HISTORY_S = 86_400
_PATIENCE_S = 180.0
_STOP_S = 30.0
_CLI = (sys.executable, "-m", "asd_monitor")


@dataclass(frozen=True, slots=True)
class Machine:
    """A synthetic machine and what it does in the pictures."""

    id: str
    family: str
    fault: str | None = None
    grade: float = 0.0


MACHINES = (
    Machine("fan01", "fan", "bearing", 1.0),
    Machine("gearbox07", "gearbox", "rub", 1.0),
    Machine("pump03", "pump"),
)
ALARM, SHELVED, HEALTHY = "fan01", "gearbox07", "pump03"
ABSENT, UNTRAINED = "compressor04", "conveyor02"
"""Machines without a microphone and without a model."""


class Plant:
    """The daemon, its broker and all their files in a folder; use it with ``with``."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.url = ""
        """Address of the page, within the ``with``."""
        self._folder = folder
        self._seed = seed
        self._models, self._state = folder / "models", folder / "state"
        self._broker = MosquittoProcess(folder / "broker")
        self._newest: dict[str, Any] = {}
        self._changed = threading.Condition()
        self._subscriber = MqttSubscriber(self._broker.port, "asd/#", self._take)
        self._daemon: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        for number, machine in enumerate(MACHINES):
            self._make(machine, (self._seed, number))
        self._write_history()
        self.url = f"http://localhost:{free_port()}"  # late, so that no other program takes it
        self._broker.__enter__()
        self._subscriber.__enter__()
        command = [*_CLI, "run", "--config", str(self._write_config())]
        with (self._folder / "daemon.log").open("wb") as log:
            self._daemon = subprocess.Popen([*command, *self._folders()], stderr=log)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._daemon is not None:
            self._daemon.terminate()
            try:
                self._daemon.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._daemon.kill()
                self._daemon.wait()
            self._subscriber.__exit__(None, None, None)
        self._broker.stop()

    def wait_for(self, topic: str, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Wait until the newest message on a topic meets a condition, and return it.

        Raises:
            OperationError: It has not in time.

        """

        def is_met() -> bool:
            return topic in self._newest and bool(condition(self._newest[topic]))

        with self._changed:
            if not self._changed.wait_for(is_met, _PATIENCE_S):
                found = self._newest.get(topic)
                raise OperationError(f"{topic} is not as expected: {found}")
            return dict(self._newest[topic])

    def _take(self, message: MQTTMessage) -> None:
        if message.payload.startswith(b"{"):
            with self._changed:
                self._newest[message.topic.removeprefix("asd/")] = json.loads(message.payload)
                self._changed.notify_all()

    def _folders(self) -> Sequence[str]:
        return "--models", str(self._models), "--state", str(self._state)

    def _make(self, machine: Machine, seed: tuple[int, int]) -> None:
        """Write the sound of a machine and train its model."""
        spec = draw_machine(machine.family, np.random.default_rng((*seed, 0)))
        training = _sound(render(spec, TRAINING_S, np.random.default_rng((*seed, 1))))
        live = render(spec, NORMAL_S, np.random.default_rng((*seed, 2)))
        if machine.fault is not None:
            spec = with_fault(spec, machine.fault, machine.grade)
        later = render(spec, LATER_S, np.random.default_rng((*seed, 3)))
        normal = self._folder / f"{machine.id}-normal.wav"
        soundfile.write(normal, training, RATE_HZ)
        live_sound = np.concatenate([_sound(live), np.tile(_sound(later), REPEATS)])
        soundfile.write(self._folder / f"{machine.id}.wav", live_sound, RATE_HZ)
        command = [*_CLI, "train", "-m", machine.id, "-n", str(normal), "--no-shipped-encoder"]
        command += ["--models", str(self._models)]
        subprocess.run(command, check=True, capture_output=True)

    def _write_history(self) -> None:
        """Write a day of scores, as the daemon would have: with shifts, and an hour without."""
        rng = np.random.default_rng(self._seed)
        end = int(time.time()) // MINUTE_S * MINUTE_S - MINUTE_S
        times = np.arange(end - HISTORY_S, end, MINUTE_S)
        load = np.interp(
            times % HISTORY_S / 3600, [0, 6, 7, 15, 16, 22, 23, 24], [0, 0, 1, 1, 0.5, 0.5, 0, 0]
        )
        rows = []
        for machine in MACHINES:
            usual = np.exp(rng.normal(0.0, 0.5, len(times)))
            level = -36 + 3 * load + rng.normal(0.0, 0.3, len(times))
            absent = int(rng.integers(len(times) - 60))
            for at, begin_s in enumerate(times):
                if not absent <= at < absent + 60:
                    score = float(usual[at])
                    rows.append(
                        HistoryRow(
                            machine.id, int(begin_s), 117, score, 0.4, score, 3.94, float(level[at])
                        )
                    )
        self._state.mkdir(parents=True)
        store = HistoryStore(self._state)
        store.write(rows, time.time())
        store.close()

    def _write_config(self) -> Path:
        token = self._folder / "token"
        token.write_text(TOKEN)
        token.chmod(0o600)
        devices = {each.id: f"file:{self._folder}/{each.id}.wav?loop" for each in MACHINES}
        devices[ABSENT] = "usb-path:1-1.3"
        devices[UNTRAINED] = devices[HEALTHY]
        config = {
            "version": 1,
            "box": "hall-2",
            "mqtt": {"host": "127.0.0.1", "port": self._broker.port},
            "http": {
                "listen": self.url.removeprefix("http://").replace("localhost", "127.0.0.1"),
                "token_file": str(token),
            },
            "machines": {name: {"device": device} for name, device in devices.items()},
        }
        path = self._folder / "machines.yaml"
        path.write_text(yaml.safe_dump(config))
        return path


def _sound(sound: Samples) -> Samples:
    """Return a sound at the level of all."""
    rms = float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))
    return np.asarray(RMS / rms * sound, np.float32)
