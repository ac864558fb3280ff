"""A daemon in the process of the test whose standstills are found within a second."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

from asd_monitor.daemon.runtime_options import StandstillLimits
from asd_monitor.daemon.self_test_intervals import SelfTestIntervals
from tests.doubles.in_process_daemon import INTERVALS, InProcessDaemon
from tests.doubles.service_manager import Systemd
from tests.doubles.waiting import until

LIMITS = StandstillLimits(2.5, 0.5, 0.5, 0.5, 0.5, 0.5)  # some tasks have turns of a second
SHORT = replace(
    INTERVALS,
    heartbeat_s=0.05,
    box_checks_s=0.05,
    restart_reset_s=2.0,
    standstill=LIMITS,
    self_test=SelfTestIntervals(3600.0, 0.02, 3600.0),
)
ALARM = "asd/box/testbox/alarm"


def conditions(daemon: InProcessDaemon) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the retained conditions of the box by kind and check."""
    listed = daemon.broker.retained.get(ALARM, {}).get("conditions", [])
    return {(each["kind"], each["check"]): each for each in listed}


async def until_not_fed(systemd: Systemd) -> None:
    """Wait until the watchdog has not been fed for ten intervals."""
    since_s, fed = time.monotonic(), systemd.fed

    def is_starved() -> bool:
        nonlocal since_s, fed
        if systemd.fed != fed:
            since_s, fed = time.monotonic(), systemd.fed
        return time.monotonic() - since_s > 0.4

    await until(is_starved, "the watchdog is not fed")


async def longest_pause_s(systemd: Systemd, seconds: float) -> float:
    """Return the longest time without a message to the watchdog during ``seconds``, in s."""
    begun_s = fed_s = time.monotonic()
    fed, longest_s = systemd.fed, 0.0
    while (now_s := time.monotonic()) < begun_s + seconds:
        if systemd.fed != fed:
            fed, fed_s = systemd.fed, now_s
        longest_s = max(longest_s, now_s - fed_s)
        await asyncio.sleep(0.02)
    return longest_s
