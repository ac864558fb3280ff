"""The parts of a daemon, for what runs, observes or ends all of them."""

from __future__ import annotations

from dataclasses import dataclass

from asd_monitor.audio.sharing.server import SharingServer
from asd_monitor.daemon.box_checks import BoxChecks
from asd_monitor.daemon.box_refits import BoxRefits
from asd_monitor.daemon.broker_interface import Broker
from asd_monitor.daemon.commands import Commands
from asd_monitor.daemon.config_reload import ConfigReload
from asd_monitor.daemon.discovery import Discovery
from asd_monitor.daemon.event_delivery import EventDelivery
from asd_monitor.daemon.evidence_packages import EvidencePackages
from asd_monitor.daemon.journal_access import JournalAccess
from asd_monitor.daemon.load_monitor import LoadMonitor
from asd_monitor.daemon.machine_registry import MachineRegistry
from asd_monitor.daemon.page_feed import PageFeed
from asd_monitor.daemon.recording_throttle import RecordingThrottle
from asd_monitor.daemon.reload_requests import ReloadRequests
from asd_monitor.daemon.retained_states import RetainedStates
from asd_monitor.daemon.scoring_thread import ScoringThread
from asd_monitor.daemon.self_test import DailySelfTest
from asd_monitor.daemon.shelf_expiry import ShelfExpiry
from asd_monitor.daemon.state_lock import StateLock
from asd_monitor.daemon.supervised_tasks import SupervisedTasks
from asd_monitor.daemon.systemd import SystemdNotifier


@dataclass(frozen=True, slots=True)
class DaemonParts:
    """The parts; each machine has its own, which the registry knows."""

    lock: StateLock
    notifier: SystemdNotifier
    broker: Broker
    retained: RetainedStates
    journal: JournalAccess
    events: EventDelivery
    sharing: SharingServer
    scoring: ScoringThread
    throttle: RecordingThrottle
    evidence: EvidencePackages
    refits: BoxRefits
    registry: MachineRegistry
    load_monitor: LoadMonitor
    reloads: ReloadRequests
    config_reload: ConfigReload
    self_test: DailySelfTest
    checks: BoxChecks
    shelves: ShelfExpiry
    commands: Commands
    discovery: Discovery
    tasks: SupervisedTasks
    page: PageFeed | None = None  # None: there is no page
