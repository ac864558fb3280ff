"""The daemon as a user starts it: a process of its own, and made sound to hear."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from tests.doubles.mosquitto import Subscriber

PATIENCE_S = 90.0
RATE = 16_000


def write_sound(
    path: Path, seconds: float, *, seed: int, fault_from_s: float | None = None
) -> Path:
    """Write a humming machine; from a time on it squeals."""
    t = np.arange(round(seconds * RATE)) / RATE
    sound = 0.05 * np.sin(2 * np.pi * 120 * t)
    sound += 0.03 * np.sin(2 * np.pi * 240 * t) * (1 + 0.2 * np.sin(2 * np.pi * 1.3 * t))
    sound += 0.02 * np.random.default_rng(seed).standard_normal(len(t))
    if fault_from_s is not None:
        squeal = np.sin(2 * np.pi * 2700 * t) * (np.sin(2 * np.pi * 17 * t) > 0.5)
        sound += 0.15 * squeal * (t >= fault_from_s)
    soundfile.write(path, sound, RATE)
    return path


def asd_monitor(*arguments: object, timeout_s: float = PATIENCE_S) -> str:
    """Run a command to its end and return what it printed."""
    command = [sys.executable, "-m", "asd_monitor", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


class RunProcess:
    """`asd-monitor run …`; what it logs is in `log`."""

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
        return self.log_path.read_text()

    def end(self) -> int:
        """Wait until it has ended by itself and return its code."""
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end: {self.log}") from None

    def __enter__(self) -> RunProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE_S)
        self._log.close()


class Listening:
    """What the broker has heard so far, as objects."""

    def __init__(self, subscriber: Subscriber) -> None:
        self._subscriber = subscriber

    def all(self, topic: str) -> list[dict[str, Any]]:
        self._subscriber.catch_up()
        return [json.loads(payload) for payload in self._subscriber.payloads(f"asd/{topic}")]

    def text(self, topic: str) -> str:
        self._subscriber.catch_up()
        return (self._subscriber.payloads(f"asd/{topic}") or [b""])[-1].decode()

    def until(
        self, topic: str, condition: Callable[[dict[str, Any]], object], run: RunProcess
    ) -> dict[str, Any]:
        """Wait for a message and return it."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for message in self.all(topic):
                if condition(message):
                    return message
            time.sleep(0.05)
        raise AssertionError(f"{topic}: {self.all(topic)[-3:]}; it logged: {run.log}")

    def until_state(self, machine: str, state: str, microphone: str, run: RunProcess) -> Any:
        """Wait for a state."""
        wanted = (state, microphone)
        return self.until(
            f"{machine}/state", lambda m: (m["state"], m["microphone"]) == wanted, run
        )
