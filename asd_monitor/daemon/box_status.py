"""The status of the box: versions, load, machines, and counts of what was lost or restarted."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime

from asd_monitor import __version__
from asd_monitor.daemon.box_counters import BoxCounters
from asd_monitor.daemon.daemon_parts import DaemonParts
from asd_monitor.publish.messages import AlarmStatus, OutboxStatus, Status


class BoxStatus:
    """Publishes the status of the box, from the counters of the parts of the daemon."""

    def __init__(self, parts: DaemonParts, counters: Callable[[], BoxCounters]) -> None:
        """``counters`` returns the counters of all components."""
        self._broker = parts.broker
        self._journal = parts.journal.journal
        self._sharing = parts.sharing
        self._registry = parts.registry
        self._load_monitor = parts.load_monitor
        self._counters = counters
        self._begun_s = time.monotonic()

    def publish(self) -> None:
        """Publish the present status."""
        status = self._message()
        self._broker.publish(self._broker.topics.status, status.payload(), qos=1, retain=True)

    def _message(self) -> Status:
        all_counters = self._counters()
        counters, counts = all_counters.broker, all_counters.sound
        fault = self._journal.fault
        return Status(
            box=self._broker.topics.box,
            time=datetime.now(UTC),
            version=__version__,
            uptime_s=round(time.monotonic() - self._begun_s, 1),
            machines={name: each.status for name, each in self._registry.machines.items()},
            load=[round(load, 2) for load in os.getloadavg()],
            dropped={
                "messages": counters.dropped,
                "refused": counters.refused,
                "samples": counts.lost_samples,
                "journal": self._journal.dropped,
                "sharing": self._sharing.dropped_clients,
                "windows": counts.skipped_windows,
                "changes": counts.dropped_changes,
            },
            restarted={
                "microphones": counts.restarts,
                "sessions": self._registry.restarts,
                "broker": counters.reconnects,
                "tasks": all_counters.monitoring.restarted_tasks,
            },
            counters=all_counters.by_component(),
            scoring=self._load_monitor.message,
            outbox=self._outbox(),
            alarms=AlarmStatus(**asdict(self._journal.figures(datetime.now(UTC)))),
            reason=None if fault is None else f"alarms are kept in memory only: {fault}",
        )

    def _outbox(self) -> OutboxStatus:
        figures, counters = self._journal.outbox.figures, self._broker.counters
        oldest_s = figures.oldest_s
        return OutboxStatus(
            waiting=figures.waiting,
            bytes=figures.bytes,
            oldest_s=None if oldest_s is None else round(time.monotonic() - oldest_s, 1),
            dropped=figures.dropped,
            set_aside=figures.set_aside,
            refused=counters.refused_events,
            retried=counters.retried_events,
        )
