"""The daemon: what runs side by side, in one task group.

    listen <machine>   one per machine: see `asd_monitor.daemon.monitor_session`
    heartbeat          every minute: states again, the status of the box
    load               every second: load shedding (`asd_monitor.daemon.load_monitor`)
    broker             the status of the box, whenever the broker is back
    journal            every second: acknowledgements that `alarms ack` signed
    watchdog           feeds systemd while all machines are looked after
    signals            SIGTERM and SIGINT stop, SIGHUP reloads

The listeners of one device share a task beside the group, which ends with the last of them:
see `asd_monitor.audio.capture.shared_device`.

A machine's trouble stays its own: no model, no device and even a defect are published and
tried again, while the others go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from asd_monitor.audio.devices.device_strings import DeviceSpec, parse_device
from asd_monitor.audio.opening import Devices
from asd_monitor.audio.sharing.server import SoundSharing
from asd_monitor.audio.source import Source
from asd_monitor.config.settings import Config, Machine
from asd_monitor.daemon import training_child
from asd_monitor.daemon.box_status import box_status
from asd_monitor.daemon.load_monitor import LoadMonitor
from asd_monitor.daemon.machine_publisher import MachinePublisher, StreamCounts
from asd_monitor.daemon.monitor_session import MonitorSession, SessionContext
from asd_monitor.daemon.scoring_thread import Scoring
from asd_monitor.daemon.shutdown import Step, in_daemon_thread, run_until_cancelled, take
from asd_monitor.daemon.state_lock import StateLock
from asd_monitor.daemon.stream_clock import clock_synced
from asd_monitor.daemon.supervision import Supervised
from asd_monitor.daemon.watchdog import HangDetector, ServiceManager
from asd_monitor.errors import AsdMonitorError, UsageError
from asd_monitor.journal.journal_file import set_aside
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.sqlite_errors import DamagedJournalError, JournalError
from asd_monitor.journal.store import Journal
from asd_monitor.publish.broker_session import BrokerSession

log = structlog.get_logger()

R = TypeVar("R")

_HEARTBEAT_S = 60.0
_JOURNAL_S = 1.0
_READY_WITHIN_S = 60.0
_WATCH_S = 5.0
_FIRST_BROKER_S = 5.0  # so long a recording waits for the broker
_MOST_WAITING = 100  # messages; then a recording waits for them
_GOODBYE_S = 5.0
_DELIVERY_S = 30.0  # for what a recording has told
_REMOVE_S = 20.0  # for a machine: a device that the kernel holds takes 15 s
# with the other limits of a stop less than systemd's `TimeoutStopSec`
_STEP_S = 3.0
_MARGIN_S = 2.0  # beside the session's own limit
_JOURNAL_CLOSE_S = 12.0  # another process may have it locked for 5 s, twice


@dataclass(frozen=True, slots=True)
class RuntimeOptions:
    """What the daemon is told beside its configuration."""

    models: Path
    state: Path
    speed: float = 1.0  # of recordings; 0: as fast as it goes
    reload: Callable[[], Config] | None = None
    """Reads the configuration again; raises UsageError.  None: there is no file."""
    config_path: Path | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    open_source: Callable[[DeviceSpec], Source] | None = None
    """In the place of the real devices."""
    hang_s: float = 20.0
    """So long without work or an excuse is a hang; a source tells of a stall within 3 s."""


class Service:
    """Runs until it is told to stop, or every device was a recording and has ended."""

    def __init__(
        self, config: Config, setting: RuntimeOptions, *, session: BrokerSession | None = None
    ) -> None:
        """Raise UsageError for what can never work, OperationError where it cannot now.

        `session` stands in the place of one with the configured broker.
        """
        self.interrupted = False
        """Whether it was Ctrl-C that asked for the stop."""
        self._config = config
        self._setting = setting
        self._manager = ServiceManager.from_environment(setting.environment)
        with contextlib.ExitStack() as undo:
            self._lock = StateLock(setting.state)
            undo.callback(self._lock.release)
            self._journal = _open_journal(setting.state)
            undo.callback(self._journal.close)
            self._session = session or BrokerSession(
                config.mqtt, config.box, on_connect=self.note_connection
            )
            undo.pop_all()
        self._journal_thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._journals: dict[str, MachineJournal] = {}
        self._reports: dict[str, MachinePublisher] = {}
        self._machines: dict[str, Supervised] = {}
        self._removed_restarts = 0  # of the listeners of removed machines
        self._sharing = SoundSharing(setting.state)
        self._scoring = Scoring()
        self._load = LoadMonitor(self._scoring, self._listeners)
        self._devices = Devices(speed=setting.speed)
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()
        self._connected = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()
        self._begun_s = time.monotonic()
        self._broker_waited = False
        self._failures: list[UsageError] = []

    def stop(self) -> None:
        """Ask for a clean stop."""
        self._stop.set()

    def note_connection(self) -> None:
        """Ask for a new status of the box, since the broker has us (again); from any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop closed, and said what there was
                self._loop.call_soon_threadsafe(self._connected.set)

    def interrupt(self) -> None:
        """Ask for a clean stop, as Ctrl-C does."""
        self.interrupted |= not self._stop.is_set()
        self.stop()

    def request_reload(self) -> None:
        """Ask for the configuration and models to be read again."""
        self._reload.set()

    async def run(self) -> None:
        """Run.  Raises UsageError when no recording could be heard."""
        self._loop = loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        loop.add_signal_handler(signal.SIGINT, self.interrupt)
        loop.add_signal_handler(signal.SIGHUP, self.request_reload)
        self._session.start()
        try:
            await self._sharing.start()
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                self._devices.expect(_devices_of(self._config))
                for machine, settings in self._config.machines.items():
                    await self._add(machine, settings)
                others = [
                    tasks.create_task(self._heartbeat(), name="heartbeat"),
                    tasks.create_task(self._watch_journal(), name="journal"),
                    tasks.create_task(self._watch(), name="watchdog"),
                    tasks.create_task(self._tell_ready(), name="ready"),
                    tasks.create_task(self._watch_reload(), name="reload"),
                    tasks.create_task(self._watch_broker(), name="broker"),
                    tasks.create_task(self._load.run(), name="load"),
                ]
                await self._wait_for_end()
                self._manager.stopping()
                for task in others:
                    task.cancel()
                await asyncio.gather(*map(take, self._removals("the daemon was stopped")))
        except BaseExceptionGroup as group:
            raise _told(group) from group
        finally:
            try:
                await self._close()
            finally:  # a signal during the shutdown must not end the process halfway
                for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                    loop.remove_signal_handler(number)
        if self._failures and not self._stop.is_set():
            raise self._failures[0]

    async def _wait_for_end(self) -> None:
        stop = asyncio.create_task(self._stop.wait(), name="stop")
        ended = asyncio.create_task(self._ended.wait(), name="ended")
        try:
            await asyncio.wait((stop, ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            ended.cancel()
        log.info("stopping" if self._stop.is_set() else "every recording has ended")

    async def _close(self) -> None:
        leave_s = _GOODBYE_S if self._stop.is_set() else _DELIVERY_S
        leave = partial(in_daemon_thread, partial(self._session.stop, leave_s))
        close_journal = partial(in_daemon_thread, self._close_journal)
        release = partial(in_daemon_thread, self._lock.release)
        for step in (
            Step("stop sharing sound", _STEP_S, self._sharing.stop),
            Step("stop scoring", _STEP_S, self._scoring.close),
            Step("disconnect from the broker", leave_s + _MARGIN_S, leave),
            Step("close the journal", _JOURNAL_CLOSE_S, close_journal),
            Step("release the state folder", _STEP_S, release),
        ):
            await take(step)

    def _close_journal(self) -> None:
        self._journal_thread.shutdown(cancel_futures=True)
        self._journal.close()

    def _removals(self, reason: str) -> list[Step]:
        limit_s = _REMOVE_S + _MARGIN_S  # which `_remove` keeps itself
        return [
            Step(f"remove {machine}", limit_s, partial(self._remove, machine, reason))
            for machine in self._machines
        ]

    # machines

    async def _add(self, machine: str, settings: Machine) -> None:
        if machine not in self._journals:
            journal = await self._in_journal_thread(MachineJournal, self._journal, machine)
            self._journals[machine] = journal
            self._reports[machine] = MachinePublisher(
                machine, self._session.topics, self._session, clock_synced=clock_synced
            )
        report = self._reports[machine]
        around = SessionContext(
            models=self._setting.models,
            state=self._setting.state,
            sharing=self._sharing,
            scoring=self._scoring,
            open_source=self._setting.open_source or self._devices.open,
            train=partial(training_child.train, config=self._setting.config_path),
            ease=self._ease,
        )
        make = partial(MonitorSession, machine, settings, self._journals[machine], report, around)
        supervised = Supervised(machine, settings, report, make)
        self._machines[machine] = supervised
        bounded = run_until_cancelled(
            supervised.run, name=f"supervise {machine}", limit_s=_REMOVE_S
        )
        supervised.task = self._tasks.create_task(bounded, name=f"listen {machine}")
        supervised.task.add_done_callback(lambda task: self._note_end(machine, task))

    async def _remove(self, machine: str, reason: str) -> None:
        """End a machine's task, which keeps `_REMOVE_S`, and publish that it has stopped."""
        supervised = self._machines.pop(machine)
        self._removed_restarts += supervised.restarts
        task, listener = supervised.task, supervised.listener
        try:
            if task is not None:
                task.cancel()
                await asyncio.wait((task,))
        finally:
            if listener is not None:
                listener.publish_stopped(reason)

    def _note_end(self, machine: str, task: asyncio.Task[None]) -> None:
        supervised = self._machines.get(machine)
        if task.cancelled() or supervised is None or supervised.task is not task:
            return
        if supervised.refusal is not None:
            self._failures.append(supervised.refusal)
        all_files = all(
            parse_device(each.settings.device_text).is_file for each in self._machines.values()
        )
        tasks = [each.task for each in self._machines.values()]
        if all_files and all(each is not None and each.done() for each in tasks):
            self._ended.set()

    async def _ease(self) -> None:
        session = self._session
        if not self._broker_waited:
            self._broker_waited = True
            connected = partial(session.wait_for, lambda s: s.connected, _FIRST_BROKER_S)
            await asyncio.to_thread(connected)
        # its thread has no event for this, and a recording is in no hurry
        while session.connected and session.waiting > _MOST_WAITING:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    def _listeners(self) -> list[MonitorSession]:
        return [found for each in self._machines.values() if (found := each.listening)]

    # side by side with the listeners

    async def _watch_broker(self) -> None:
        """Tell how the box does now; what the broker got on connecting was from before."""
        while True:
            await self._connected.wait()
            self._connected.clear()
            self._tell_status()

    async def _tell_ready(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_READY_WITHIN_S):
                for supervised in tuple(self._machines.values()):
                    await supervised.loaded.wait()
        self._manager.ready(self._status_line())
        self._tell_status()
        log.info(
            "ready",
            machines=len(self._machines),
            seconds=round(time.monotonic() - self._begun_s, 2),
        )
        await self._load.try_how_many()
        self._tell_status()

    async def _heartbeat(self) -> None:
        while True:
            await asyncio.sleep(_HEARTBEAT_S)
            for supervised in self._machines.values():
                supervised.repeat_state()
            self._tell_status()

    def _tell_status(self) -> None:
        status = box_status(
            self._session,
            self._journal,
            {name: each.status for name, each in self._machines.items()},
            uptime_s=time.monotonic() - self._begun_s,
            dropped_sharing=self._sharing.dropped_clients,
            counts=sum((each.counts for each in self._reports.values()), StreamCounts()),
            restarted=(
                self._removed_restarts + sum(each.restarts for each in self._machines.values())
            ),
            scoring=self._load.message,
        )
        topic = self._session.topics.status
        self._session.publish(topic, status.payload(), qos=1, retain=True)

    async def _watch_journal(self) -> None:
        fault: str | None = None
        while True:
            await asyncio.sleep(_JOURNAL_S)
            try:
                changed = await self._in_journal_thread(self._look_into_journal)
                new_fault = self._journal.fault
            except JournalError as error:
                changed, new_fault = False, str(error)
            if new_fault not in (None, fault):
                log.error("the journal of alarms cannot be written", reason=new_fault)
            fault = new_fault
            if changed:
                for supervised in self._machines.values():
                    if supervised.listener is not None:
                        supervised.listener.look_for_acknowledgements()

    def _look_into_journal(self) -> bool:
        self._journal.flush()
        return self._journal.changed()

    async def _watch(self) -> None:
        every_s = min(_WATCH_S, (self._manager.watchdog_s or _WATCH_S) / 3)
        vigil = HangDetector(self._setting.hang_s)
        told: list[str] = []
        while True:
            pulses = {name: each.pulse for name, each in self._machines.items()}
            stuck = vigil.stuck(time.monotonic(), pulses)
            if not stuck:
                self._manager.alive()
            elif stuck != told:
                log.error("machines hang; systemd will start the daemon again", machines=stuck)
            told = stuck
            self._manager.status(self._status_line())
            await asyncio.sleep(every_s)

    def _status_line(self) -> str:
        parts = []
        for name, each in self._machines.items():
            status = each.status
            parts.append(f"{name} {status.state} ({status.microphone})")
        return ", ".join(parts)

    # reload

    async def _watch_reload(self) -> None:
        while True:
            await self._reload.wait()
            self._reload.clear()
            self._manager.reloading()
            log.info("reloading")
            await self._reload_all()
            self._manager.ready(self._status_line())

    async def _reload_all(self) -> None:
        config, refusal = self._config, None
        if self._setting.reload is not None:
            try:
                config = await asyncio.to_thread(self._setting.reload)
            except UsageError as error:
                refusal = str(error)
        if refusal is not None:
            log.error("the new configuration is not used, the old one goes on", reason=refusal)
        if _lasting(config) != _lasting(self._config):
            log.warning(
                "changes of `box`, `mqtt` and `inference` need a restart; the rest is taken up",
                hint="restart the daemon",
            )
        self._devices.expect(_devices_of(config))
        old, new = dict(self._config.machines), dict(config.machines)
        for machine in old:
            if machine not in new:
                await self._remove(machine, "removed from the configuration")
                log.info("machine removed", machine=machine)
        for machine, settings in new.items():
            supervised = self._machines.get(machine)
            if supervised is not None and settings == old.get(machine):
                if supervised.listener is not None:
                    supervised.listener.reload()
                continue
            if supervised is not None:
                await self._remove(machine, "its configuration has changed")
            await self._add(machine, settings)
            log.info("machine taken up", machine=machine)
        self._config = config
        await self._load.try_how_many()

    async def _in_journal_thread(self, work: Callable[..., R], *arguments: object) -> R:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._journal_thread, lambda: work(*arguments))


def _open_journal(state: Path) -> Journal:
    """Open the journal; a damaged one is set aside, since a deaf daemon would be worse."""
    try:
        return Journal(state)
    except DamagedJournalError as error:
        damage = str(error)
    log.error(
        "the alarms on record could not be read: a new journal begins without them",
        reason=damage,
        kept_as=str(set_aside(state)),
    )
    return Journal(state)


def _lasting(config: Config) -> tuple[object, ...]:
    """Return the settings that are as they were at the start."""
    return config.box, config.mqtt, config.inference


def _devices_of(config: Config) -> list[DeviceSpec]:
    return [parse_device(each.device_text) for each in config.machines.values()]


def _told(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what the user is told of the errors that ended the daemon."""
    for error in group.exceptions:
        found = _told(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, AsdMonitorError):
            return found
    return group
