"""Notification of systemd, and its watchdog."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from asd_monitor.daemon.systemd import SystemdNotifier
from tests.doubles.in_process_daemon import INTERVALS
from tests.doubles.level_detector import LevelDetector, StubBundle, make_config
from tests.doubles.waiting import until


class Systemd:
    """The receiving end of `NOTIFY_SOCKET`."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(0)
        self._lines: list[str] = []

    def received(self) -> list[str]:
        """Return all lines so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._lines += self._socket.recv(4096).decode().splitlines()
        return self._lines

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    manager = Systemd(tmp_path / "notify")
    yield manager
    manager.close()


@pytest.fixture
def environment(systemd: Systemd, tmp_path: Path) -> dict[str, str]:
    return {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"}


def test_messages_are_those_of_sd_notify(systemd, environment):
    notifier = SystemdNotifier.from_environment(environment)
    notifier.ready("2 machines")
    notifier.feed_watchdog()
    notifier.reloading()
    notifier.stopping()
    lines = systemd.received()
    assert lines[:4] == ["READY=1", "STATUS=2 machines", "WATCHDOG=1", "RELOADING=1"]
    assert lines[4].startswith("MONOTONIC_USEC=")
    assert lines[6] == "STOPPING=1"


@pytest.mark.parametrize("address", [None, "/no/such/socket", "@asd-monitor-no-such-socket"])
def test_missing_service_manager_is_ignored(address):
    SystemdNotifier(address).ready("fine")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_watchdog_interval_is_read_from_the_environment(environment, expected):
    assert SystemdNotifier.from_environment(environment).watchdog_s == expected


async def test_daemon_reports_start_reload_and_stop(daemon, systemd, environment):
    daemon.environment |= environment
    daemon.start(make_config(fan={"device": "hw:1"}))
    await until(lambda: "READY=1" in systemd.received())
    await until(lambda: systemd.received().count("WATCHDOG=1") > 3)
    await until(lambda: "STATUS=fan normal (ok)" in systemd.received())
    daemon.service.request_reload()
    await until(lambda: "RELOADING=1" in systemd.received())
    await until(lambda: systemd.received().count("READY=1") == 2)
    daemon.service.stop()
    await daemon.finish()
    assert "STOPPING=1" in systemd.received()


async def test_watchdog_is_not_fed_while_a_machine_hangs(daemon, systemd, environment):
    daemon.environment |= environment
    gate = threading.Event()
    detector = LevelDetector(gate=gate)
    daemon.models.bundles["fan"] = StubBundle(detector=detector)
    config = make_config(fan={"device": "hw:1"}, pump={"device": "hw:2"})
    with structlog.testing.capture_logs() as logs:
        daemon.start(config, intervals=replace(INTERVALS, hang_s=0.2))
        await until(lambda: "READY=1" in systemd.received())
        daemon.source("hw:1").play(3)
        # an outage explains the standstill: the pump does not hang
        daemon.source("hw:2").interrupt("unplugged")
        await until(lambda: any("hang" in entry["event"] for entry in logs))
        (entry,) = [entry for entry in logs if "hang" in entry["event"]]
        assert entry["machines"] == ["fan"]
        fed = systemd.received().count("WATCHDOG=1")
        lines = len(systemd.received())
        await until(lambda: len(systemd.received()) > lines + 5)  # the status is still sent
        assert systemd.received().count("WATCHDOG=1") == fed
        gate.set()
        daemon.source("hw:1").interrupt("unplugged")
        await until(lambda: systemd.received().count("WATCHDOG=1") > fed)
