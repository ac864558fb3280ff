"""The box: its session with the broker, and how it does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime

from asd_monitor import __version__
from asd_monitor.daemon.machine_publisher import StreamCounts
from asd_monitor.journal.store import Journal
from asd_monitor.publish.messages import MachineStatus, Scoring, Status
from asd_monitor.publish.broker_session import BrokerSession


def box_status(
    session: BrokerSession,
    journal: Journal,
    machines: Mapping[str, MachineStatus],
    *,
    uptime_s: float,
    dropped_sharing: int,
    counts: StreamCounts,
    restarted: int,
    scoring: Scoring | None = None,
) -> Status:
    """Return how the box does now; `counts` are those of all machines, removed ones included."""
    counters = session.counters
    return Status(
        box=session.topics.box,
        time=datetime.now(UTC),
        version=__version__,
        uptime_s=round(uptime_s, 1),
        machines=machines,
        load=[round(load, 2) for load in os.getloadavg()],
        dropped={
            "messages": counters.dropped,
            "refused": counters.refused,
            "samples": counts.lost_samples,
            "journal": journal.dropped,
            "sharing": dropped_sharing,
            "windows": counts.skipped_windows,
        },
        restarted={
            "microphones": counts.restarts,
            "listeners": restarted,
            "broker": counters.reconnects,
        },
        scoring=scoring,
    )
