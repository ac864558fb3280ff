"""Fixtures of the tests of the daemon: one session, or the whole daemon in the process."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.doubles.in_process_daemon import InProcessDaemon
from tests.doubles.level_detector import StubBundle, StubModels, make_config
from tests.doubles.monitored_machine import MonitoredMachine
from tests.doubles.service_manager import Systemd
from tests.doubles.waiting import until
from tests.doubles.watched_daemon import SHORT


@pytest.fixture
def models() -> StubModels:
    """Return the models of the machine of `make`."""
    return StubModels(fan=StubBundle())


@pytest.fixture
async def make(
    tmp_path: Path, models: StubModels
) -> AsyncIterator[Callable[..., MonitoredMachine]]:
    """Return a function that makes a machine with a model, from keys of its configuration."""
    machines: list[MonitoredMachine] = []

    def make_machine(**keys: object) -> MonitoredMachine:
        machines.append(MonitoredMachine(tmp_path, models, {"device": "hw:1"} | keys))
        return machines[-1]

    yield make_machine
    for machine in machines:
        await machine.stop()
        machine.journal.close()


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[InProcessDaemon]:
    """Return a daemon that is not started, with models of fan, pump and mill."""
    models = StubModels(**{name: StubBundle(machine=name) for name in ("fan", "pump", "mill")})
    daemon = InProcessDaemon(tmp_path, models)
    yield daemon
    if daemon.task is not None and not daemon.task.done():
        daemon.service.stop()
        with contextlib.suppress(Exception):
            await daemon.finish()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    """Return the receiving end of the notification socket."""
    manager = Systemd(tmp_path / "notify")
    yield manager
    manager.close()


@pytest.fixture
def environment(systemd: Systemd, tmp_path: Path) -> dict[str, str]:
    """Return the environment in which systemd starts the daemon, with a watchdog of 0.1 s."""
    return {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"}


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Return what blocks a part of the daemon until the end of the test."""
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.fixture
async def fan(
    daemon: InProcessDaemon, systemd: Systemd, environment: dict[str, str]
) -> InProcessDaemon:
    """Return a daemon under systemd that monitors a fan, with short limits."""
    daemon.environment |= environment
    daemon.start(make_config(fan={"device": "hw:1"}), intervals=SHORT)
    await daemon.until_state("fan", "normal")
    await until(lambda: systemd.fed > 3)
    return daemon
