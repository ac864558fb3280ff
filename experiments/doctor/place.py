"""A healthy installation that problems are planted in, and the calls of `doctor` on it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asd_monitor.cli.app import main as asd_monitor
from asd_monitor.diagnosis.findings import Finding
from benchmarks.mosquitto import free_port
from tests.doubles.mosquitto import Mosquitto
from tests.doubles.synthetic_sounds import machine_sound, write

BOX, MACHINE = "edge-07", "fan01"
LIMIT_S = 120.0
_SOUND_S = 35.0


class UnexpectedOutputError(Exception):
    """`doctor` has printed no document."""


@dataclass(frozen=True, slots=True)
class Healthy:
    """What all places share: recordings and a model of the machine."""

    recordings: Path
    models: Path


def make_healthy(folder: Path) -> Healthy:
    """Synthesise recordings and train the model."""
    recordings = folder / "recordings"
    recordings.mkdir(parents=True)
    for number in range(2):
        write(recordings / f"{number}.flac", machine_sound(_SOUND_S, seed=number))
    models = folder / "models"
    sys.argv = ["asd-monitor", "train", "--machine", MACHINE, "--normal", str(recordings)]
    sys.argv += ["--models", str(models)]
    try:
        asd_monitor()
    except SystemExit as ended:
        if ended.code:
            raise
    return Healthy(recordings, models)


@dataclass(slots=True)
class Place:
    """An installation of its own; its broker is on a free port of loopback."""

    folder: Path
    healthy: Healthy
    mqtt: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    brokers: list[Mosquitto] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Create the folders; no broker of this computer is reached by accident."""
        self.folder.mkdir(parents=True)
        self.state.mkdir(mode=0o700)
        self.mqtt = {"host": "127.0.0.1", "port": free_port(), **self.mqtt}
        self.machine = {"device": f"file:{self.healthy.recordings}", **self.machine}

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.folder / "state"

    @property
    def config(self) -> Path:
        """The configuration."""
        return self.folder / "hall.yaml"

    def own_models(self) -> Path:
        """Return a copy of the models folder that may be changed."""
        return Path(shutil.copytree(self.healthy.models, self.folder / "models"))

    def start_broker(self, **options: Any) -> Mosquitto:
        """Start a broker, and configure it.  The same options as `Mosquitto`."""
        broker = Mosquitto(self.folder / f"broker{len(self.brokers)}", **options).start()
        self.brokers.append(broker)
        self.mqtt |= {"host": "localhost", "port": broker.port}
        return broker

    def close(self) -> None:
        """End the brokers."""
        for broker in self.brokers:
            broker.stop()

    def write_config(self, text: str | None = None) -> None:
        """Write the configuration; None: that of the settings."""
        document = {
            "version": 1,
            "box": BOX,
            "mqtt": self.mqtt,
            "machines": {MACHINE: self.machine},
        }
        self.config.write_text(text or json.dumps(document, default=str))
        self.config.chmod(0o644)

    def doctor(
        self,
        *,
        models: Path | None = None,
        state: Path | None = None,
        text: str | None = None,
        before: Sequence[str] = (),
        write: bool = True,
    ) -> list[dict[str, Any]]:
        """Run `doctor --json` as a process; return its findings.

        Args:
            models: the models folder; None: the healthy one.
            state: the state folder; None: that of the place.
            text: of the configuration; None: that of the settings.
            before: a command that starts the process, such as `prlimit`.
            write: whether the configuration is written first.

        Raises:
            UnexpectedOutputError: it has printed no document.

        """
        if write:
            self.write_config(text)
        command = [*before, sys.executable, "-m", "asd_monitor", "doctor", "--json"]
        command += ["--config", str(self.config), "--state", str(state or self.state)]
        command += ["--models", str(models or self.healthy.models)]
        done = subprocess.run(
            command,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )
        try:
            findings: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
        except ValueError as error:
            raise UnexpectedOutputError(done.stdout[-500:] + done.stderr[-2000:]) from error
        if "Traceback" in done.stderr:
            raise UnexpectedOutputError(done.stderr[-2000:])
        return findings


@contextmanager
def placed(folder: Path, healthy: Healthy) -> Iterator[Place]:
    """Return a place that is closed at the end."""
    place = Place(folder, healthy)
    try:
        yield place
    finally:
        place.close()


Findings = Sequence[Finding] | Sequence[Mapping[str, Any]]
Examine = Callable[[Place], Findings]
"""Plants a problem and examines the place."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem that is planted."""

    name: str
    area: str
    checks: frozenset[str]  # one of these has to find it
    examine: Examine
    is_real: bool = True  # else the facts are given, since a test computer cannot have them


def problem(name: str, expected: str, examine: Examine, *, is_real: bool = True) -> Problem:
    """Return a problem; ``expected`` is the area and the checks: ``sound dead|quiet``."""
    area, _, checks = expected.partition(" ")
    return Problem(name, area, frozenset(checks.split("|")), examine, is_real)
