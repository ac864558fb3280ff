"""What the daemon has dropped, refused, restarted, retried or skipped since its start.

Each component has a frozen dataclass of its counters; a field of `BoxCounters` is one component.
All are published in the status of the box, as ``counters.<component>.<counter>``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from asd_monitor.daemon.box_refits import CommissioningCounters
from asd_monitor.daemon.commands import CommandCounters
from asd_monitor.daemon.config_reload import ReloadCounters
from asd_monitor.daemon.daemon_parts import DaemonParts
from asd_monitor.daemon.evidence_packages import EvidenceCounters
from asd_monitor.daemon.machine_publisher import StreamCounts
from asd_monitor.daemon.page_feed import PageCounters
from asd_monitor.daemon.self_test_state import SelfTestCounters
from asd_monitor.journal.journal_counters import JournalCounters
from asd_monitor.publish.shared_send_queue import Counters


@dataclass(frozen=True, slots=True)
class SharingCounters:
    """Other programs that receive the daemon's sound."""

    dropped_clients: int
    """Clients that were disconnected because they read too slowly."""
    refused_clients: int
    """Requests that could not be met."""


@dataclass(frozen=True, slots=True)
class MonitoringCounters:
    """The daemon itself."""

    restarted_sessions: int
    """Restarts of the monitoring of a machine."""
    restarted_tasks: int
    """Restarts of the daemon's own tasks, of all together."""
    standstills: int
    """Times that work of a machine or of the daemon has begun to stand still."""
    clock_steps: int
    """Steps of the system clock."""
    late_scores: int
    """Scores of an ended session, which were not published."""
    recording_waits: int
    """Times that recordings have waited until the broker had taken messages."""
    failed_event_reads: int
    """Times that waiting events could not be read from the journal; it is tried again."""


@dataclass(frozen=True, slots=True)
class BoxCounters:
    """The counters of all components."""

    broker: Counters
    commands: CommandCounters
    commissioning: CommissioningCounters
    configuration: ReloadCounters
    evidence: EvidenceCounters
    journal: JournalCounters
    monitoring: MonitoringCounters
    page: PageCounters
    self_test: SelfTestCounters
    sharing: SharingCounters
    sound: StreamCounts
    tasks: Mapping[str, int]
    """Restarts of each task of the daemon, by its name."""

    def by_component(self) -> dict[str, dict[str, int]]:
        """Return the counts by component and counter."""
        return asdict(self)


def box_counters(parts: DaemonParts, *, standstills: int) -> BoxCounters:
    """Return the counters of a daemon; ``standstills`` is the count of its watchdog."""
    tasks = parts.tasks.restarts
    return BoxCounters(
        broker=parts.broker.counters,
        commands=parts.commands.counters,
        commissioning=parts.refits.counters,
        configuration=parts.config_reload.counters,
        evidence=parts.evidence.counters,
        journal=parts.journal.journal.counters,
        monitoring=MonitoringCounters(
            restarted_sessions=parts.registry.restarts,
            restarted_tasks=sum(tasks.values()),
            standstills=standstills,
            clock_steps=parts.checks.clock.steps,
            late_scores=parts.registry.late_scores,
            recording_waits=parts.throttle.waits,
            failed_event_reads=parts.events.read_failures,
        ),
        page=PageCounters(0, 0) if parts.page is None else parts.page.counters,
        self_test=parts.self_test.counters,
        sharing=SharingCounters(parts.sharing.dropped_clients, parts.sharing.refused_clients),
        sound=parts.registry.counts,
        tasks=dict(tasks),
    )
