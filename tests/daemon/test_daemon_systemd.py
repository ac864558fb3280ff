"""Notification of systemd, and its watchdog."""

import os

import pytest

from asd_monitor.daemon.systemd import SystemdNotifier
from tests.doubles.level_detector import make_config
from tests.doubles.waiting import until


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
