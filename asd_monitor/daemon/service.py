"""The daemon while it runs: its concurrent tasks, in one task group.

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

Its parts are made and joined in `asd_monitor.daemon.assembly`.  Each task is supervised: one that
fails is restarted (`asd_monitor.daemon.supervision`).

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
from functools import partial

import structlog

from asd_monitor.config.settings import Config
from asd_monitor.daemon.assembly import assemble
from asd_monitor.daemon.failure_cause import shortage, shortage_stated
from asd_monitor.daemon.overview import Overviews
from asd_monitor.daemon.page_process import PageProcess, page_setup
from asd_monitor.daemon.runtime_options import RuntimeOptions
from asd_monitor.daemon.service_end import close_daemon, closing_stages
from asd_monitor.daemon.shutdown import longest_s, run_stage
from asd_monitor.daemon.supervision import Supervision
from asd_monitor.errors import AsdMonitorError
from asd_monitor.worker_thread import WorkerThread, in_daemon_thread

log = structlog.get_logger()


class Service:
    """Runs until it is stopped, or until every device was a recording and all have ended.

    Args:
        config: The configuration.
        options: Folders, time limits and external functions.

    Raises:
        UsageError: Settings of the broker that cannot work.
        OperationError: The state folder is in use or cannot be used, or threads, memory or files
            do not suffice.

    """

    def __init__(self, config: Config, options: RuntimeOptions) -> None:
        self.interrupted = False
        """Whether SIGINT (Ctrl-C) was the first request to stop."""
        self._options = options
        self._tasks = asyncio.TaskGroup()
        with shortage_stated():
            daemon = assemble(config, options, self._tasks)
        self.parts = daemon.parts
        """What the daemon consists of."""
        self._connects = daemon.connects
        self._box_status = daemon.box_status
        self._heartbeat = daemon.heartbeat
        self._watchdog = daemon.watchdog
        self._delivery: asyncio.Task[None] | None = None  # of events
        self._stop_requested = asyncio.Event()
        self._begun_s = time.monotonic()

    @property
    def config(self) -> Config:
        """The configuration in use."""
        return self.parts.config_reload.config

    @property
    def longest_stop_s(self) -> float:
        """How long a stop takes where every step exceeds its limit, in s.

        It is counted from the request, or from ``STOPPING=1`` where all recordings have ended.
        """
        limits = self._options.limits
        closing = closing_stages(self.parts, None, limits=limits)
        stages = (self.parts.registry.removals("the daemon was stopped"), *closing)
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
        self.parts.reloads.request()

    async def run(self) -> None:
        """Run the daemon.

        Raises:
            UsageError: A recording could not be read.
            OperationError: Threads, memory or files do not suffice to start.

        """
        with shortage_stated():
            await self._run()

    async def _run(self) -> None:
        parts = self.parts
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        loop.add_signal_handler(signal.SIGINT, self.interrupt)
        loop.add_signal_handler(signal.SIGHUP, self.request_reload)
        noting = WorkerThread("note models")  # not waited for: the disk may not answer
        noting.post(partial(parts.lock.note_models, self._options.models))
        noting.close()
        self._connects.begin()
        parts.broker.start()
        deliver = partial(in_daemon_thread, parts.events.run, "events")
        events = parts.tasks.endless("events", deliver)
        self._delivery = asyncio.create_task(events.run(), name="supervise events")
        try:
            await parts.sharing.start()
            async with self._tasks:
                await self._run_tasks()
        except BaseExceptionGroup as group:
            raise _user_error(group) from group
        finally:
            # the handlers remain until the event loop is closed: a signal during the shutdown must
            # not end the process halfway
            await close_daemon(
                parts,
                self._delivery,
                limits=self._options.limits,
                stop_requested=self._stop_requested,
                on_delivered=parts.notifier.stopping,
            )
        if parts.registry.failures and not self._stop_requested.is_set():
            raise parts.registry.failures[0]

    async def _run_tasks(self) -> None:
        parts = self.parts
        await parts.config_reload.start_machines()
        endless = parts.tasks.endless
        poll = partial(parts.journal.poll, parts.config_reload.check_journal)
        supervisions = (
            endless("heartbeat", self._heartbeat.run),
            endless("journal", poll),
            endless("watchdog", self._watchdog.run),
            parts.tasks.supervision("ready", self._report_ready),
            endless("reload", self._reload_on_request),
            endless("broker", partial(self._connects.run, self._publish_status)),
            endless("load", parts.load_monitor.run),
            endless("selftest", parts.self_test.run),
            endless("selftest-conditions", parts.self_test.observe),
            endless("checks", parts.checks.run),
            endless("shelves", parts.shelves.run),
            endless("commands", parts.commands.run),
            endless("discovery", parts.discovery.run),
            endless("evidence", parts.evidence.run),
            *self._overviews(),
            *self._pages(),
        )
        tasks = [
            self._tasks.create_task(each.run(), name=f"supervise {each.name}")
            for each in supervisions
        ]
        await self._wait_for_end()
        if self._stop_requested.is_set():
            parts.notifier.stopping()
        for task in tasks:
            task.cancel()
        cancel_s = self._options.limits.cancel_s
        await run_stage(parts.registry.removals("the daemon was stopped"), cancel_s=cancel_s)

    def _overviews(self) -> Iterator[Supervision]:
        """Yield the task that shows the machines to an observer, where there is one."""
        observer = self._options.observer
        if observer is not None:
            show = partial(Overviews(observer, self.parts.broker).run, self.parts.registry.machines)
            yield self.parts.tasks.endless("overview", show)

    def _pages(self) -> Iterator[Supervision]:
        """Yield the task that runs the process of the page, where there is one."""
        http = self.config.http
        if self.parts.page is not None and http is not None:
            page = PageProcess(
                page_setup(self.config, http, self._options),
                self.parts.page,
                is_connected=lambda: self.parts.broker.connected,
                machines=lambda: list(self.config.machines),
                request_reload=self.parts.reloads.request,
            )
            yield self.parts.tasks.endless("page", page.run)

    async def _wait_for_end(self) -> None:
        stop = asyncio.create_task(self._stop_requested.wait(), name="stop")
        ended = asyncio.create_task(self.parts.registry.all_ended.wait(), name="ended")
        try:
            await asyncio.wait((stop, ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            ended.cancel()
        log.info("stopping" if self._stop_requested.is_set() else "every recording has ended")

    async def _report_ready(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._options.intervals.ready_timeout_s):
                for supervised in tuple(self.parts.registry.machines.values()):
                    await supervised.loaded.wait()
        self.parts.notifier.ready(self.parts.registry.summary)
        self._box_status.publish()
        log.info(
            "ready",
            machines=len(self.parts.registry.machines),
            seconds=round(time.monotonic() - self._begun_s, 2),
        )
        await self.parts.load_monitor.measure_capacity()
        self._box_status.publish()

    async def _reload_on_request(self) -> None:
        while True:
            waiting = await self.parts.reloads.next()
            self.parts.notifier.reloading()
            log.info("reloading")
            try:
                await self._reload(waiting)
                await self.parts.load_monitor.measure_capacity()
            finally:
                self.parts.notifier.ready(self.parts.registry.summary)

    async def _reload(self, waiting: int) -> None:
        with contextlib.ExitStack() as undo:
            undo.callback(self.parts.reloads.request)  # the next attempt of the task reloads again
            outcome = await self.parts.config_reload.reload()
            undo.pop_all()
        self.parts.reloads.end(waiting, outcome)

    def _publish_status(self) -> None:
        """Publish the present status, before the broker sends retained messages."""
        self.parts.retained.connected()
        self._box_status.publish()


def _user_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error with a remedy among those that ended the daemon, or the group."""
    for error in group.exceptions:
        found = _user_error(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, AsdMonitorError) or shortage(found) is not None:
            return found
    return group
