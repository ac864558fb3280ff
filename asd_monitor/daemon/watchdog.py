"""The watchdog of systemd is fed while the work of every machine advances.

systemd restarts a service that does not send ``WATCHDOG=1`` in time.  A daemon whose event loop
runs while the work of one machine hangs is restarted too, since the message is sent only if each
machine advances or has declared why it does not (no device, a recording that has ended …).
"""

from __future__ import annotations

import asyncio
import time

import structlog

from asd_monitor.daemon.hang_detection import HangDetector
from asd_monitor.daemon.machine_registry import MachineRegistry
from asd_monitor.daemon.runtime_options import Intervals
from asd_monitor.daemon.systemd import SystemdNotifier

log = structlog.get_logger()


async def feed_watchdog(
    notifier: SystemdNotifier, registry: MachineRegistry, intervals: Intervals
) -> None:
    """Feed the watchdog and update the status line of the service, until cancelled."""
    interval_s = min(intervals.watchdog_s, (notifier.watchdog_s or intervals.watchdog_s) / 3)
    detector = HangDetector(intervals.hang_s)
    logged: list[str] = []
    while True:
        progress = {name: each.progress for name, each in registry.machines.items()}
        hung = detector.hung(time.monotonic(), progress)
        if not hung:
            notifier.feed_watchdog()
        elif hung != logged:
            log.error("machines hang: systemd will restart the daemon", machines=hung)
        logged = hung
        notifier.status(registry.summary)
        await asyncio.sleep(interval_s)
