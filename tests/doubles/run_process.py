"""The daemon as a user starts it: a process of its own, on synthetic sound."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from paho.mqtt.client import MQTTMessage

from tests.doubles.mosquitto import Subscriber

TIMEOUT_S = 90.0
RATE_HZ = 16_000


def write_sound(
    path: Path, seconds: float, *, seed: int, fault_from_s: float | None = None
) -> Path:
    """Write the hum of a machine in noise; from ``fault_from_s`` on with an intermittent tone."""
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    sound = 0.05 * np.sin(2 * np.pi * 120 * t)
    sound += 0.03 * np.sin(2 * np.pi * 240 * t) * (1 + 0.2 * np.sin(2 * np.pi * 1.3 * t))
    sound += 0.02 * np.random.default_rng(seed).standard_normal(len(t))
    if fault_from_s is not None:
        tone = np.sin(2 * np.pi * 2700 * t) * (np.sin(2 * np.pi * 17 * t) > 0.5)
        sound += 0.15 * tone * (t >= fault_from_s)
    soundfile.write(path, sound, RATE_HZ)
    return path


def asd_monitor(*arguments: object, timeout_s: float = TIMEOUT_S) -> str:
    """Run a command to its end and return its output."""
    command = [sys.executable, "-m", "asd_monitor", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


class RunProcess:
    """`asd-monitor run …` as a process; use it with ``with``.

    Args:
        folder: Where its log is written.
        arguments: Options of `run`.
        before: A command that starts the program, such as a jail.
        program: The program.

    """

    def __init__(
        self,
        folder: Path,
        *arguments: object,
        before: tuple[str, ...] = (),
        program: tuple[str, ...] = (sys.executable, "-m", "asd_monitor"),
    ) -> None:
        self.log_path = folder / f"run{len(list(folder.glob('run*.log')))}.log"
        self._log = self.log_path.open("wb")
        command = [*before, *program, "run", *map(str, arguments)]
        self.process = subprocess.Popen(command, stderr=self._log)

    @property
    def log(self) -> str:
        """The log so far."""
        return self.log_path.read_text()

    def end(self) -> int:
        """Wait for the end of the process; return its exit code."""
        try:
            return self.process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the process did not end: {self.log}") from None

    def __enter__(self) -> RunProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """Kill the process if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(TIMEOUT_S)
        self._log.close()


class BrokerMessages:
    """The messages that a subscriber has received, as objects."""

    def __init__(self, subscriber: Subscriber) -> None:
        self._subscriber = subscriber

    def all(self, topic: str) -> list[dict[str, Any]]:
        """Return the messages on a topic below the prefix, in order."""
        self._subscriber.catch_up()
        return [json.loads(payload) for payload in self._subscriber.payloads(f"asd/{topic}")]

    @staticmethod
    def newest(messages: list[MQTTMessage], topic: str) -> dict[str, Any] | None:
        """Return the newest of these messages on a topic below the prefix; None: there is none."""
        found = next((m for m in reversed(messages) if m.topic == f"asd/{topic}"), None)
        document: dict[str, Any] | None = None if found is None else json.loads(found.payload)
        return document

    def until_text(self, topic: str, text: str) -> None:
        """Wait until the newest message on a topic is this plain text."""

        def is_newest(messages: list[MQTTMessage]) -> bool:
            payloads = [m.payload for m in messages if m.topic == f"asd/{topic}"]
            return payloads[-1:] == [text.encode()]

        self._subscriber.wait_until(is_newest, timeout_s=TIMEOUT_S)

    def until(
        self, topic: str, condition: Callable[[dict[str, Any]], object], run: RunProcess
    ) -> dict[str, Any]:
        """Wait for a message that meets a condition, and return it."""
        found: list[dict[str, Any]] = []

        def arrived(messages: list[MQTTMessage]) -> bool:
            documents = (json.loads(m.payload) for m in messages if m.topic == f"asd/{topic}")
            found[:] = [document for document in documents if condition(document)]
            return bool(found)

        try:
            self._subscriber.wait_until(arrived, timeout_s=TIMEOUT_S)
        except AssertionError:
            raise AssertionError(f"{topic}: {self.all(topic)[-3:]}; log: {run.log}") from None
        return found[0]

    def until_state(
        self, machine: str, state: str, microphone: str, run: RunProcess
    ) -> dict[str, Any]:
        """Wait for a state message, and return it."""
        expected = (state, microphone)
        return self.until(
            f"{machine}/state", lambda m: (m["state"], m["microphone"]) == expected, run
        )
