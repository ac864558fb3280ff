"""The vigil over the pipelines, and the words said to systemd."""

import os
import socket
from pathlib import Path

import pytest

from asd_monitor.daemon.watchdog import HangDetector, ServiceManager, WorkProgress


def test_a_machine_that_advances_is_never_stuck():
    vigil = HangDetector(patience_s=10)
    assert all(vigil.stuck(9.0 * i, {"fan": WorkProgress(i)}) == [] for i in range(10))


def test_a_machine_that_stands_still_is_stuck_after_the_patience():
    vigil = HangDetector(patience_s=10)
    vigil.stuck(0, {"fan": WorkProgress(5), "pump": WorkProgress(5)})
    assert vigil.stuck(10, {"fan": WorkProgress(5), "pump": WorkProgress(6)}) == []
    assert vigil.stuck(10.1, {"fan": WorkProgress(5), "pump": WorkProgress(6)}) == ["fan"]
    assert vigil.stuck(11, {"fan": WorkProgress(6), "pump": WorkProgress(7)}) == []


def test_patience_starts_anew_when_an_outage_ends():
    vigil = HangDetector(patience_s=10)
    for now in range(0, 100, 5):
        assert vigil.stuck(now, {"fan": WorkProgress(5, excuse="no_device")}) == []
    assert vigil.stuck(104, {"fan": WorkProgress(5)}) == []
    assert vigil.stuck(106, {"fan": WorkProgress(5)}) == ["fan"]


def test_a_removed_machine_is_forgotten():
    vigil = HangDetector(patience_s=10)
    vigil.stuck(0, {"fan": WorkProgress(5)})
    vigil.stuck(50, {})
    assert vigil.stuck(100, {"fan": WorkProgress(5)}) == []


@pytest.fixture
def systemd(tmp_path: Path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(10)
        yield sock


def test_what_is_said_to_systemd(systemd: socket.socket):
    manager = ServiceManager.from_environment({"NOTIFY_SOCKET": systemd.getsockname()})
    manager.ready("2 machines")
    manager.alive()
    manager.reloading()
    manager.stopping()
    assert systemd.recv(999) == b"READY=1\nSTATUS=2 machines"
    assert systemd.recv(999) == b"WATCHDOG=1"
    reloading = systemd.recv(999).decode().splitlines()
    assert reloading[0] == "RELOADING=1"
    assert reloading[1].startswith("MONOTONIC_USEC=")
    assert systemd.recv(999).startswith(b"STOPPING=1\n")


@pytest.mark.parametrize("address", [None, "/nowhere/at/all", "@asd-monitor-nobody-listens"])
def test_no_systemd_is_no_trouble(address):
    ServiceManager(address).ready("fine")


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
def test_how_long_systemd_waits(environment, expected):
    assert ServiceManager.from_environment(environment).watchdog_s == expected
