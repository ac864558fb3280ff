"""The real daemon on recordings that play at their own pace, and the latency of its scores.

A ``file:`` device at its own pace captures sample n at n / rate after it was opened, and delivers a
block when its last sample is captured.  The ``time`` of a message is that of the end of the window,
so the latency is counted from the capture of the window's last sample.  It includes the wait for
the end of the block, scoring, sending and receiving.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import soundfile
from paho.mqtt.client import MQTTMessage

from benchmarks.daemon_process import DaemonProcess, run_program, train
from benchmarks.mqtt_subscriber import MqttSubscriber
from benchmarks.score_publisher import machine_name
from benchmarks.simulated_fleet import RATE_HZ, synthetic_sound

MAX_MACHINES = 64
TRAINING_S = 120.0
COPY_MODELS = Path(__file__).resolve().with_name("model_copies_child.py")


def train_fleet(folder: Path, tree: Path | None = None) -> Path:
    """Train one model, copy it for all machines, and return the folder of the models.

    ``tree`` is an earlier checkout, whose program trains and copies.

    Raises:
        OperationError: one of them fails.

    """
    recording, models = folder / "normal.wav", folder / "models"
    soundfile.write(recording, synthetic_sound(TRAINING_S, 11), RATE_HZ)
    first, *others = map(machine_name, range(MAX_MACHINES))
    train(first, recording, models, tree)
    run_program([sys.executable, "-P", str(COPY_MODELS), str(models), first, *others], folder, tree)
    return models


class RecordedFleet(DaemonProcess):
    """The daemon on so many machines, each with a `file:` device."""

    def __init__(
        self,
        folder: Path,
        models: Path,
        port: int,
        machines: int,
        *,
        options: Sequence[str] = (),
        query: str = "",
        defaults: Mapping[str, Any] = MappingProxyType({}),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Configure machines of a broker on ``port``; ``query`` follows the path of each device.

        ``defaults`` are settings of all machines.
        """
        self._recordings = [folder / f"{machine_name(number)}.wav" for number in range(machines)]
        for recording in self._recordings:
            recording.unlink(missing_ok=True)
        devices = {
            machine_name(number): {"device": f"file:{recording}{query}"}
            for number, recording in enumerate(self._recordings)
        }
        mqtt = {"host": "127.0.0.1", "port": port}
        config = {"version": 1, "box": "bench", "mqtt": mqtt, "machines": devices}
        if defaults:
            config["defaults"] = dict(defaults)
        super().__init__(folder, config, models, options=options, environment=environment)

    def play(self, recording: Path) -> None:
        """Put the recording in place of each device; the daemon finds it within two seconds."""
        for path in self._recordings:
            os.link(recording, path)


@dataclass(frozen=True, slots=True)
class ReceivedScore:
    """A score message with its latency."""

    received_s: float  # Unix time
    machine: str
    seq: int
    lost_samples: int
    latency_s: float

    @staticmethod
    def of(received_s: float, message: Mapping[str, Any]) -> ReceivedScore:
        """Return the latency of a message from a recording that does not loop."""
        time_s = datetime.fromisoformat(message["time"]).timestamp()
        return ReceivedScore(
            received_s,
            message["machine"],
            message["seq"],
            message["lost_samples"],
            received_s - time_s,
        )


class ScoreRecorder(MqttSubscriber):
    """Records the score messages of all machines; use it with ``with``."""

    def __init__(self, port: int) -> None:
        self._messages: list[tuple[float, bytes]] = []
        super().__init__(port, "asd/+/score", self._record)

    def _record(self, message: MQTTMessage) -> None:
        self._messages.append((time.time(), bytes(message.payload)))

    def scores(self) -> list[ReceivedScore]:
        """Return the scores received so far, of recordings that do not loop."""
        return [ReceivedScore.of(at, json.loads(payload)) for at, payload in list(self._messages)]
