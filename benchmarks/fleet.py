"""The real daemon on recordings that play at their pace, watched from outside.

**When a block arrives.**  A ``file:`` device hands block k over when its last sample is due:
(k + 1) · 0.1 s after it began.  The daemon's clock of a recording says that sample 0 sounded
when block 0 was handed over (`Hearing._take`), so the message's ``time``, of sample index e, is
that moment + e / rate.  The window's last sample, e − 1, lies in block k = (e − 1) // 1600,
which arrived at that moment + k · 0.1 s.  Hence

    arrival = time − e / rate + k · 0.1 s,    latency = received − arrival.

It counts the wait for the event loop and the scoring, sending and receiving.  Recordings are
laid in their places after the daemon is ready, so that starting up delays no first block: the
clock would take such a delay for the way of the world, and latencies would seem shorter.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import soundfile
import yaml
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from asd_monitor.audio.files.file_source import BLOCK_S
from asd_monitor.errors import OperationError
from benchmarks.broker import machine_name
from benchmarks.detectors import RATE_HZ, synthetic_sound
from benchmarks.measure import plain_environment

BLOCK = round(BLOCK_S * RATE_HZ)
MOST_MACHINES = 64
REFERENCE_S = 120.0
_PATIENCE_S = 120.0
_CLI = [sys.executable, "-m", "asd_monitor"]


def train(folder: Path) -> Path:
    """Train one machine with the real command, and give its model to all others."""
    normal, models = folder / "normal.wav", folder / "models"
    soundfile.write(normal, synthetic_sound(REFERENCE_S, 11), RATE_HZ)
    first = machine_name(0)
    subprocess.run(
        [*_CLI, "train", "--machine", first, "--normal", str(normal), "--models", str(models)],
        check=True,
        capture_output=True,
        env=plain_environment(),
    )
    for number in range(1, MOST_MACHINES):  # the folder names the machine, not what is in it
        shutil.copytree(models / first, models / machine_name(number))
    return models


@dataclass(frozen=True, slots=True)
class Heard:
    """One score message."""

    received_s: float  # Unix time
    machine: str
    seq: int
    lost_samples: int
    latency_s: float


class Subscriber:
    """Notes when each score comes; use it with ``with``."""

    def __init__(self, port: int) -> None:
        self._raw: list[tuple[float, bytes | bytearray]] = []
        self._port = port
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe("asd/+/score")
        self._client.on_message = self._note

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _note(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        self._raw.append((time.time(), message.payload))

    def heard(self) -> list[Heard]:
        """Return what has come so far, of recordings that do not loop."""
        return [_heard(at, json.loads(payload)) for at, payload in list(self._raw)]


def _heard(received_s: float, score: dict[str, Any]) -> Heard:
    end = score["sample"]
    block = (end - 1) // BLOCK
    time_s = datetime.fromisoformat(score["time"]).timestamp()
    arrival_s = time_s - end / RATE_HZ + block * BLOCK_S
    return Heard(
        received_s, score["machine"], score["seq"], score["lost_samples"], received_s - arrival_s
    )


class Daemon:
    """`asd-monitor run` on so many machines; use it with ``with``."""

    def __init__(
        self,
        folder: Path,
        models: Path,
        port: int,
        machines: int,
        *,
        options: Sequence[str] = (),
        query: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """``query`` stands behind the path of each device: ``?loop``.

        ``environment`` is added to the daemon's; what is empty there is left out.
        """
        self._folder = folder
        self._environment = dict(environment or {})
        self._sounds = [folder / f"{machine_name(number)}.wav" for number in range(machines)]
        for sound in self._sounds:
            sound.unlink(missing_ok=True)
        devices = {
            machine_name(number): {"device": f"file:{sound}{query}"}
            for number, sound in enumerate(self._sounds)
        }
        config = folder / "config.yaml"
        mqtt = {"host": "127.0.0.1", "port": port}
        config.write_text(
            yaml.safe_dump({"version": 1, "box": "bench", "mqtt": mqtt, "machines": devices})
        )
        state = folder / "state"
        shutil.rmtree(state, ignore_errors=True)
        places = ["--models", str(models), "--state", str(state)]
        self._command = [*_CLI, "run", "--config", str(config), *places, *options]
        self._process: subprocess.Popen[bytes] | None = None
        self.ready_s = float("nan")
        """Seconds from the start of the process to its word to systemd that it is ready."""

    def __enter__(self) -> Self:
        address = self._folder / "notify"
        address.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(address))
            manager.settimeout(_PATIENCE_S)
            environment = {
                name: text
                for name, text in {**plain_environment(), **self._environment}.items()
                if text or name not in self._environment
            }
            environment["NOTIFY_SOCKET"] = str(address)
            with (self._folder / "daemon.log").open("wb") as log:
                began = time.monotonic()
                self._process = subprocess.Popen(self._command, env=environment, stderr=log)
            try:
                while not manager.recv(65536).startswith(b"READY=1"):
                    pass
            except TimeoutError:
                self._end()
                raise OperationError(f"not ready: see {self._folder / 'daemon.log'}") from None
            self.ready_s = time.monotonic() - began
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(_PATIENCE_S)

    def play(self, recording: Path) -> None:
        """Lay the recording in the place of each device; it is found within two seconds."""
        for sound in self._sounds:
            os.link(recording, sound)

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._process is not None and self._process.poll() is None

    def pss_mb(self) -> float:
        """Return the proportional set size of the daemon and all below it, in MB (10⁶ bytes)."""
        return sum(_pss_kib(pid) for pid in self._pids()) * 1024 / 1e6

    def cpu_s(self) -> float:
        """Return the processor time of the daemon and all below it so far."""
        return sum(_cpu_ticks(pid) for pid in self._pids()) / os.sysconf("SC_CLK_TCK")

    def minor_faults(self) -> int:
        """Return the page faults without disk of the daemon and all below it so far."""
        return sum(_minor_faults(pid) for pid in self._pids())

    def threads(self) -> int:
        """Return how many threads the daemon and all below it have."""
        return sum(len(list(Path(f"/proc/{pid}/task").glob("*"))) for pid in self._pids())

    def _pids(self) -> list[int]:
        if self._process is None:
            return []
        found, left = [], [self._process.pid]
        while left:
            pid = left.pop()
            found.append(pid)
            for thread in Path(f"/proc/{pid}/task").glob("*/children"):
                left += [int(child) for child in _text(thread).split()]
        return found


def _pss_kib(pid: int) -> int:
    lines = _text(Path(f"/proc/{pid}/smaps_rollup")).splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _cpu_ticks(pid: int) -> int:
    fields = _text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15])  # with the children that have ended


def _minor_faults(pid: int) -> int:
    fields = _text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return sum(int(field) for field in fields[7:9])  # with the children that have ended


def _text(path: Path) -> str:
    """Return what stands there, or nothing where its process has just ended."""
    try:
        return path.read_text()
    except OSError:
        return ""
