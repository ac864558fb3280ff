"""The daemon: its parts and its concurrent tasks, in one task group.

    monitor <machine>  one per machine: `asd_monitor.daemon.monitor_session`
    heartbeat          repeats the states and the status of the box, every minute
    load               load shedding, every second: `asd_monitor.daemon.load_monitor`
    broker             publishes the status of the box after each connect
    journal            applies acknowledgements by `alarms ack`, takes up machines of earlier runs:
                       `asd_monitor.daemon.journal_access`
    events             publishes transitions: `asd_monitor.daemon.event_delivery`, a thread
    watchdog           `asd_monitor.daemon.watchdog`
    checks             disk and clock: `asd_monitor.daemon.box_checks`
    ready              reports the end of the start-up
    reload             `asd_monitor.daemon.config_reload`
    selftest           `asd_monitor.daemon.self_test`
    commands           answers commands over MQTT: `asd_monitor.daemon.commands`
    discovery          publishes for Home Assistant: `asd_monitor.daemon.discovery`
    overview           shows the machines to an observer: `asd_monitor.daemon.overview`
    page               starts and feeds the process of the page: `asd_monitor.daemon.page_process`
    evidence           age and size of evidence: `asd_monitor.daemon.evidence_packages`, a thread

Each of them is supervised: one that fails is restarted (`asd_monitor.daemon.supervision`).

SIGTERM and SIGINT stop the daemon, SIGHUP reloads configuration and models.

The machines on one device share a task that captures.  It belongs to the device, which ends it
with the last of them within a limit: `asd_monitor.audio.capture.shared_device`.

A fault of one machine does not affect the others: a missing model, a missing device and even a
defect are published, and another attempt follows.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

import structlog

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
from asd_monitor.daemon.failure_cause import shortage
from asd_monitor.daemon.heartbeat import Heartbeat
from asd_monitor.daemon.journal_access import JournalAccess, open_journal
from asd_monitor.daemon.load_monitor import LoadMonitor
from asd_monitor.daemon.machine_registry import MachineRegistry
from asd_monitor.daemon.overview import Overviews
from asd_monitor.daemon.page_feed import PageFeed
from asd_monitor.daemon.page_process import PageProcess, page_setup
from asd_monitor.daemon.recording_throttle import RecordingThrottle
from asd_monitor.daemon.reload_requests import ReloadRequests
from asd_monitor.daemon.retained_states import RetainedStates
from asd_monitor.daemon.running_input import RunningInputs
from asd_monitor.daemon.runtime_options import RuntimeOptions
from asd_monitor.daemon.scoring_thread import ScoringThread
from asd_monitor.daemon.self_test import DailySelfTest
from asd_monitor.daemon.service_end import close_daemon, closing_stages
from asd_monitor.daemon.session_context import SessionContext
from asd_monitor.daemon.shelf_expiry import ShelfExpiry
from asd_monitor.daemon.shutdown import longest_s, run_stage
from asd_monitor.daemon.state_lock import StateLock
from asd_monitor.daemon.supervised_tasks import SupervisedTasks
from asd_monitor.daemon.supervision import Supervision
from asd_monitor.daemon.systemd import SystemdNotifier
from asd_monitor.daemon.topic_readers import TopicReaders
from asd_monitor.daemon.watchdog import Watchdog
from asd_monitor.daemon.watched_work import watched_work
from asd_monitor.errors import AsdMonitorError, OperationError
from asd_monitor.worker_thread import in_daemon_thread

log = structlog.get_logger()


class Service:
    """Runs until it is stopped, or until every device was a recording and all have ended.

    Args:
        config: The configuration.
        options: Folders, time limits and external functions.

    Raises:
        UsageError: Settings of the broker that cannot work.
        OperationError: The state folder is in use or cannot be used.

    """

    def __init__(self, config: Config, options: RuntimeOptions) -> None:
        self.interrupted = False
        """Whether SIGINT (Ctrl-C) was the first request to stop."""
        self._options = options
        self._notifier = SystemdNotifier.from_environment(options.environment)
        past_s = newest_time_s(options.state)  # before this run writes there
        with contextlib.ExitStack() as undo:
            self._lock = StateLock(options.state)
            undo.callback(self._lock.release)
            journal = open_journal(options.state)
            undo.callback(journal.close)
            self._broker = options.dependencies.connect(
                config.mqtt, config.box, on_connect=self._note_connection
            )
            undo.pop_all()
        self._journal = JournalAccess(journal, poll_s=options.intervals.journal_poll_s)
        self._events = EventDelivery(journal, self._broker)
        self._broker.more_events = lambda: self._events.has_more
        self._sharing = SharingServer(options.state)
        self._scoring = ScoringThread(estimate=options.dependencies.estimate_capacity)
        self._throttle = RecordingThrottle(self._broker)
        self._tasks = asyncio.TaskGroup()
        dependencies = options.dependencies
        refit = dependencies.refit or partial(refit_child.refit, config=options.config_path)
        self._refits = BoxRefits(refit)
        devices = DevicePool(speed=options.speed, open_microphone=dependencies.open_microphone)
        readers = TopicReaders(self._broker)
        running = RunningInputs(readers.reader(), time.monotonic)
        self._retained = RetainedStates(
            self._broker, readers.reader(), limit_s=options.intervals.retained_s
        )
        self._evidence = EvidencePackages(
            config.box,
            options.state,
            options.models,
            journal=journal,
            bounds=lambda machine: evidence_bounds(self.config, machine),
            on_change=self._note_package,
            limits=options.evidence,
        )
        self._page = None if config.http is None else _fed_page(self._broker)
        self._registry = MachineRegistry(
            self._tasks,
            journal=self._journal,
            broker=self._broker,
            retained=self._retained,
            publish_events=self._events.wake,
            context=SessionContext(
                models=options.models,
                state=options.state,
                sharing=self._sharing,
                scoring=self._scoring,
                open_source=dependencies.open_source or devices.open,
                train=partial(training_child.train, config=options.config_path),
                throttle=self._throttle.wait,
                evidence=self._evidence,
                refits=self._refits,
                load_model=dependencies.load_model,
                running_input=running.of,
                page=self._page,
                ring_s=options.intervals.ring_s,
            ),
            intervals=options.intervals,
            limits=options.limits,
        )
        self._broker.is_configured = lambda machine: machine in self.config.machines
        self._load_monitor = LoadMonitor(self._scoring, self._registry.active_sessions)
        conditions = BoxConditions(self._broker, partial(datetime.now, UTC))
        self._reloads = ReloadRequests()
        self._commands = Commands(
            self._broker,
            self._journal,
            self._registry,
            self._reloads,
            monotonic_s=time.monotonic,
        )
        self._discovery = Discovery(
            options.state,
            broker=self._broker,
            reader=readers.reader(),
            commands=config.mqtt.commands,
            longest_delay_s=options.intervals.discovery_delay_s,
            confirm_s=options.intervals.discovery_confirm_s,
        )
        self._reads_commands = config.mqtt.commands  # a change needs a restart
        self._config_reload = ConfigReload(
            config,
            options.reload,
            self._registry,
            devices,
            running,
            conditions=conditions,
            on_config=self._apply,
        )
        self._self_test = DailySelfTest(
            options.state,
            broker=self._broker,
            conditions=conditions,
            readers=readers,
            registry=self._registry,
            machines=lambda: self.config.machines,
            scoring=self._scoring,
            is_on=lambda: self.config.selftest == "daily",
            intervals=options.intervals.self_test,
        )
        self._checks = BoxChecks(
            options.state,
            conditions,
            past_s=past_s,
            journal_fault=lambda: journal.fault,
            interval_s=options.intervals.box_checks_s,
            answer_s=options.intervals.disk_answer_s,
        )
        self._shelves = ShelfExpiry(self._registry, interval_s=options.intervals.shelves_s)
        self._supervised = SupervisedTasks(options.intervals)
        self._parts = parts = DaemonParts(
            broker=self._broker,
            journal=self._journal,
            events=self._events,
            sharing=self._sharing,
            scoring=self._scoring,
            throttle=self._throttle,
            evidence=self._evidence,
            refits=self._refits,
            registry=self._registry,
            load_monitor=self._load_monitor,
            config_reload=self._config_reload,
            self_test=self._self_test,
            checks=self._checks,
            shelves=self._shelves,
            commands=self._commands,
            discovery=self._discovery,
            tasks=self._supervised,
            page=self._page,
        )
        self._box_status = BoxStatus(
            parts, lambda: box_counters(parts, standstills=self._watchdog.standstills)
        )
        self._heartbeat = Heartbeat(
            self._registry, self._box_status, interval_s=options.intervals.heartbeat_s
        )
        self._watchdog = Watchdog(
            self._notifier,
            self._registry,
            watched_work(parts, self._heartbeat, options.intervals),
            tasks=self._supervised,
            conditions=conditions,
            intervals=options.intervals,
        )
        self._delivery: asyncio.Task[None] | None = None  # of events
        self._stop_requested = asyncio.Event()
        self._connected = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._begun_s = time.monotonic()

    @property
    def config(self) -> Config:
        """The configuration in use."""
        return self._config_reload.config

    @property
    def longest_stop_s(self) -> float:
        """How long a stop takes where every step exceeds its limit, in s.

        It is counted from the request, or from ``STOPPING=1`` where all recordings have ended.
        """
        limits = self._options.limits
        closing = closing_stages(self._parts, None, self._lock, limits=limits)
        stages = (self._registry.removals("the daemon was stopped"), *closing)
        return longest_s(stages, cancel_s=limits.cancel_s)

    def stop(self) -> None:
        """Request a clean stop."""
        self._stop_requested.set()

    def interrupt(self) -> None:
        """Request a clean stop, as Ctrl-C does."""
        self.interrupted |= not self._stop_requested.is_set()
        self.stop()

    def request_reload(self) -> None:
        """Request that configuration and models are read again."""
        self._reloads.request()

    async def run(self) -> None:
        """Run the daemon.

        Raises:
            UsageError: A recording could not be read.
            OperationError: Threads, memory or files do not suffice to start.

        """
        try:
            await self._run()
        except (RuntimeError, MemoryError, OSError) as error:
            lacking = shortage(error)
            if lacking is None:
                raise
            raise OperationError(f"{lacking.text}: {lacking.remedy}") from error

    async def _run(self) -> None:
        self._loop = loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        loop.add_signal_handler(signal.SIGINT, self.interrupt)
        loop.add_signal_handler(signal.SIGHUP, self.request_reload)
        self._broker.start()
        deliver = partial(in_daemon_thread, self._events.run, "events")
        events = self._supervised.endless("events", deliver)
        self._delivery = asyncio.create_task(events.run(), name="supervise events")
        try:
            await self._sharing.start()
            async with self._tasks:
                await self._run_tasks()
        except BaseExceptionGroup as group:
            raise _user_error(group) from group
        finally:
            # the handlers remain until the event loop is closed: a signal during the shutdown must
            # not end the process halfway
            await close_daemon(
                self._parts,
                self._delivery,
                self._lock,
                limits=self._options.limits,
                stop_requested=self._stop_requested,
                on_delivered=self._notifier.stopping,
            )
        if self._registry.failures and not self._stop_requested.is_set():
            raise self._registry.failures[0]

    async def _run_tasks(self) -> None:
        await self._config_reload.start_machines()
        endless = self._supervised.endless
        poll = partial(self._journal.poll, self._config_reload.check_journal)
        supervisions = (
            endless("heartbeat", self._heartbeat.run),
            endless("journal", poll),
            endless("watchdog", self._watchdog.run),
            self._supervised.supervision("ready", self._report_ready),
            endless("reload", self._reload_on_request),
            endless("broker", self._publish_status_on_connect),
            endless("load", self._load_monitor.run),
            endless("selftest", self._self_test.run),
            endless("selftest-conditions", self._self_test.observe),
            endless("checks", self._checks.run),
            endless("shelves", self._shelves.run),
            endless("commands", self._commands.run),
            endless("discovery", self._discovery.run),
            endless("evidence", self._evidence.run),
            *self._overviews(),
            *self._pages(),
        )
        tasks = [
            self._tasks.create_task(each.run(), name=f"supervise {each.name}")
            for each in supervisions
        ]
        await self._wait_for_end()
        if self._stop_requested.is_set():
            self._notifier.stopping()
        for task in tasks:
            task.cancel()
        cancel_s = self._options.limits.cancel_s
        await run_stage(self._registry.removals("the daemon was stopped"), cancel_s=cancel_s)

    def _overviews(self) -> Iterator[Supervision]:
        """Yield the task that shows the machines to an observer, where there is one."""
        observer = self._options.observer
        if observer is not None:
            show = partial(Overviews(observer, self._broker).run, self._registry.machines)
            yield self._supervised.endless("overview", show)

    def _pages(self) -> Iterator[Supervision]:
        """Yield the task that runs the process of the page, where there is one."""
        http = self.config.http
        if self._page is not None and http is not None:
            page = PageProcess(
                page_setup(self.config, http, self._options),
                self._page,
                is_connected=lambda: self._broker.connected,
                machines=lambda: list(self.config.machines),
                request_reload=self._reloads.request,
            )
            yield self._supervised.endless("page", page.run)

    async def _wait_for_end(self) -> None:
        stop = asyncio.create_task(self._stop_requested.wait(), name="stop")
        ended = asyncio.create_task(self._registry.all_ended.wait(), name="ended")
        try:
            await asyncio.wait((stop, ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            ended.cancel()
        log.info("stopping" if self._stop_requested.is_set() else "every recording has ended")

    def _note_package(self, change: PackageChange) -> None:
        self._registry.note_package(change)
        self._discovery.note_package(change)

    def _apply(self, config: Config) -> None:
        """Apply a configuration to what reads and publishes topics of its machines."""
        if self._reads_commands:
            self._commands.read(config.machines.keys())
        self._discovery.configure(config)

    async def _report_ready(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._options.intervals.ready_timeout_s):
                for supervised in tuple(self._registry.machines.values()):
                    await supervised.loaded.wait()
        self._notifier.ready(self._registry.summary)
        self._box_status.publish()
        log.info(
            "ready",
            machines=len(self._registry.machines),
            seconds=round(time.monotonic() - self._begun_s, 2),
        )
        await self._load_monitor.measure_capacity()
        self._box_status.publish()

    async def _reload_on_request(self) -> None:
        while True:
            waiting = await self._reloads.next()
            self._notifier.reloading()
            log.info("reloading")
            try:
                await self._reload(waiting)
                await self._load_monitor.measure_capacity()
            finally:
                self._notifier.ready(self._registry.summary)

    async def _reload(self, waiting: int) -> None:
        with contextlib.ExitStack() as undo:
            undo.callback(self._reloads.request)  # the next attempt of the task reloads again
            outcome = await self._config_reload.reload()
            undo.pop_all()
        self._reloads.end(waiting, outcome)

    def _note_connection(self) -> None:
        """Request a new status of the box; called in the thread of the broker session."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the event loop is closed
                self._loop.call_soon_threadsafe(self._connected.set)

    async def _publish_status_on_connect(self) -> None:
        """Publish the present status after a connect, at which the broker gets an older one.

        The broker sends retained messages then.
        """
        while True:
            await self._connected.wait()
            self._connected.clear()
            self._retained.connected()
            self._box_status.publish()


def _fed_page(broker: Broker) -> PageFeed:
    """Return the feed of the page, which takes all retained messages."""
    feed = PageFeed()
    broker.on_retained = feed.note_retained
    return feed


def _user_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error with a remedy among those that ended the daemon, or the group."""
    for error in group.exceptions:
        found = _user_error(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, AsdMonitorError) or shortage(found) is not None:
            return found
    return group
