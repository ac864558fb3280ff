"""Makes the parts of a daemon and joins them; nothing runs yet."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from asd_monitor.audio.opening import DevicePool
from asd_monitor.audio.sharing.server import SharingServer
from asd_monitor.config.settings import Config
from asd_monitor.daemon import refit_child, training_child
from asd_monitor.daemon.box_checks import BoxChecks
from asd_monitor.daemon.box_conditions import BoxConditions
from asd_monitor.daemon.box_counters import box_counters
from asd_monitor.daemon.box_refits import BoxRefits
from asd_monitor.daemon.box_status import BoxStatus
from asd_monitor.daemon.broker_interface import Broker
from asd_monitor.daemon.clock_check import newest_time_s
from asd_monitor.daemon.commands import Commands
from asd_monitor.daemon.config_reload import ConfigReload
from asd_monitor.daemon.daemon_parts import DaemonParts
from asd_monitor.daemon.discovery import Discovery
from asd_monitor.daemon.event_delivery import EventDelivery
from asd_monitor.daemon.evidence_packages import EvidencePackages, evidence_bounds
from asd_monitor.daemon.evidence_storage import PackageChange
from asd_monitor.daemon.heartbeat import Heartbeat
from asd_monitor.daemon.journal_access import JournalAccess, open_journal
from asd_monitor.daemon.load_monitor import LoadMonitor
from asd_monitor.daemon.machine_registry import MachineRegistry
from asd_monitor.daemon.page_feed import PageFeed
from asd_monitor.daemon.recording_throttle import RecordingThrottle
from asd_monitor.daemon.reload_requests import ReloadRequests
from asd_monitor.daemon.retained_states import RetainedStates
from asd_monitor.daemon.running_input import RunningInputs
from asd_monitor.daemon.runtime_options import RuntimeOptions
from asd_monitor.daemon.scoring_thread import ScoringThread
from asd_monitor.daemon.self_test import DailySelfTest
from asd_monitor.daemon.session_context import SessionContext
from asd_monitor.daemon.shelf_expiry import ShelfExpiry
from asd_monitor.daemon.state_lock import StateLock
from asd_monitor.daemon.status_on_connect import StatusOnConnect
from asd_monitor.daemon.supervised_tasks import SupervisedTasks
from asd_monitor.daemon.systemd import SystemdNotifier
from asd_monitor.daemon.topic_readers import TopicReaders
from asd_monitor.daemon.watchdog import Watchdog
from asd_monitor.daemon.watched_work import watched_work
from asd_monitor.journal.store import Journal


@dataclass(frozen=True, slots=True)
class AssembledDaemon:
    """A daemon that can run: its parts, and what observes all of them."""

    parts: DaemonParts
    connects: StatusOnConnect
    box_status: BoxStatus
    heartbeat: Heartbeat
    watchdog: Watchdog


def assemble(config: Config, options: RuntimeOptions, tasks: asyncio.TaskGroup) -> AssembledDaemon:
    """Make a daemon; the state folder is locked and its journal open.

    Args:
        config: The configuration.
        options: Folders, time limits and external functions.
        tasks: In which the machines will run.

    Raises:
        UsageError: Settings of the broker that cannot work.
        OperationError: The state folder is in use or cannot be used.

    """
    parts: DaemonParts  # made below from what refers to it while the daemon runs
    watchdog: Watchdog
    intervals, dependencies = options.intervals, options.dependencies
    notifier = SystemdNotifier.from_environment(options.environment)
    past_s = newest_time_s(options.state)  # before this run writes there
    connects = StatusOnConnect()
    lock, journal, broker = _opened(config, options, connects)
    broker.more_events = lambda: parts.events.has_more
    broker.is_configured = lambda machine: machine in parts.config_reload.config.machines
    access = JournalAccess(journal, poll_s=intervals.journal_poll_s)
    events = EventDelivery(journal, broker)
    sharing = SharingServer(options.state)
    scoring = ScoringThread(estimate=dependencies.estimate_capacity)
    throttle = RecordingThrottle(broker)
    refits = BoxRefits(dependencies.refit or partial(refit_child.refit, config=options.config_path))
    devices = DevicePool(speed=options.speed, open_microphone=dependencies.open_microphone)
    readers = TopicReaders(broker)
    running = RunningInputs(readers.reader(), time.monotonic)
    retained = RetainedStates(broker, readers.reader(), limit_s=intervals.retained_s)

    def note_package(change: PackageChange) -> None:
        parts.registry.note_package(change)
        parts.discovery.note_package(change)

    evidence = EvidencePackages(
        config.box,
        options.state,
        options.models,
        journal=journal,
        bounds=lambda machine: evidence_bounds(parts.config_reload.config, machine),
        on_change=note_package,
        limits=options.evidence,
    )
    page = None if config.http is None else _fed_page(broker)
    registry = MachineRegistry(
        tasks,
        journal=access,
        broker=broker,
        retained=retained,
        publish_events=events.wake,
        context=SessionContext(
            models=options.models,
            state=options.state,
            sharing=sharing,
            scoring=scoring,
            open_source=dependencies.open_source or devices.open,
            train=partial(training_child.train, config=options.config_path),
            throttle=throttle.wait,
            evidence=evidence,
            refits=refits,
            load_model=dependencies.load_model,
            running_input=running.of,
            page=page,
            ring_s=intervals.ring_s,
        ),
        intervals=intervals,
        limits=options.limits,
    )
    load_monitor = LoadMonitor(scoring, registry.active_sessions)
    conditions = BoxConditions(broker, partial(datetime.now, UTC))
    reloads = ReloadRequests()
    commands = Commands(broker, access, registry, reloads, monotonic_s=time.monotonic)
    discovery = Discovery(
        options.state,
        broker=broker,
        reader=readers.reader(),
        commands=config.mqtt.commands,
        longest_delay_s=intervals.discovery_delay_s,
        confirm_s=intervals.discovery_confirm_s,
    )
    reads_commands = config.mqtt.commands  # a change needs a restart

    def apply(applied: Config) -> None:
        """Apply a configuration to what reads and publishes topics of its machines."""
        if reads_commands:
            commands.read(applied.machines.keys())
        discovery.configure(applied)

    config_reload = ConfigReload(
        config,
        options.reload,
        registry,
        devices,
        running,
        conditions=conditions,
        on_config=apply,
    )
    self_test = DailySelfTest(
        options.state,
        broker=broker,
        conditions=conditions,
        readers=readers,
        registry=registry,
        machines=lambda: config_reload.config.machines,
        scoring=scoring,
        is_on=lambda: config_reload.config.selftest == "daily",
        intervals=intervals.self_test,
    )
    checks = BoxChecks(
        options.state,
        conditions,
        past_s=past_s,
        journal_fault=lambda: journal.fault,
        interval_s=intervals.box_checks_s,
        answer_s=intervals.disk_answer_s,
    )
    supervised = SupervisedTasks(intervals)
    parts = DaemonParts(
        lock=lock,
        notifier=notifier,
        broker=broker,
        retained=retained,
        journal=access,
        events=events,
        sharing=sharing,
        scoring=scoring,
        throttle=throttle,
        evidence=evidence,
        refits=refits,
        registry=registry,
        load_monitor=load_monitor,
        reloads=reloads,
        config_reload=config_reload,
        self_test=self_test,
        checks=checks,
        shelves=ShelfExpiry(registry, interval_s=intervals.shelves_s),
        commands=commands,
        discovery=discovery,
        tasks=supervised,
        page=page,
    )
    box_status = BoxStatus(parts, lambda: box_counters(parts, standstills=watchdog.standstills))
    heartbeat = Heartbeat(registry, box_status, interval_s=intervals.heartbeat_s)
    watchdog = Watchdog(
        notifier,
        registry,
        watched_work(parts, heartbeat, intervals),
        tasks=supervised,
        conditions=conditions,
        intervals=intervals,
    )
    return AssembledDaemon(parts, connects, box_status, heartbeat, watchdog)


def _opened(
    config: Config, options: RuntimeOptions, connects: StatusOnConnect
) -> tuple[StateLock, Journal, Broker]:
    """Lock the state folder, open its journal and make the session with the broker: all or none."""
    with contextlib.ExitStack() as undo:
        lock = StateLock(options.state)
        undo.callback(lock.release)
        journal = open_journal(options.state)
        undo.callback(journal.close)
        connect = options.dependencies.connect
        broker = connect(config.mqtt, config.box, on_connect=connects.note)
        undo.pop_all()
    return lock, journal, broker


def _fed_page(broker: Broker) -> PageFeed:
    """Return the feed of the page, which takes all retained messages."""
    feed = PageFeed()
    broker.on_retained = feed.note_retained
    return feed
