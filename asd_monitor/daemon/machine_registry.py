"""The machines of a running daemon: one supervised monitor session each.

A machine that is not monitored any more keeps its alarm, which can be acknowledged: a machine that
was removed, one whose recording has ended, and one of an earlier run that is not configured now.
The acknowledgement ends the alarm of a machine that is not configured.  Its messages are published
where those that the broker has retained are of this box (`asd_monitor.daemon.retained_states`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import structlog

from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.backoff import Backoff
from asd_monitor.config.machine_settings import Machine
from asd_monitor.daemon.broker_interface import Broker
from asd_monitor.daemon.evidence_storage import PackageChange
from asd_monitor.daemon.journal_access import JournalAccess
from asd_monitor.daemon.machine_publisher import MachinePublisher, StreamCounts
from asd_monitor.daemon.monitor_session import MonitorSession
from asd_monitor.daemon.retained_states import RetainedStates
from asd_monitor.daemon.runtime_options import Intervals, ShutdownLimits
from asd_monitor.daemon.session_context import SessionContext
from asd_monitor.daemon.shelf_pace import ShelfPace
from asd_monitor.daemon.shutdown import Step, run_until_cancelled
from asd_monitor.daemon.stream_clock import clock_synced
from asd_monitor.daemon.supervised_session import SupervisedSession
from asd_monitor.errors import UsageError
from asd_monitor.journal.alarm_records import AlarmRecord, Event
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.machine_requests import MachineRequests
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.records import MachineState

log = structlog.get_logger()


class MachineRegistry:
    """Adds and removes machines.  Journal and publisher of a machine outlive its removal.

    Args:
        tasks: The task group in which the sessions run.
        journal, broker: Shared by all machines.
        retained: Reads the retained states of machines that are not configured.
        context: What all sessions share.
        publish_events: Publishes the events that wait in the journal.
        intervals, limits: Delays before restarts, and limits of a removal.

    """

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        *,
        journal: JournalAccess,
        broker: Broker,
        retained: RetainedStates,
        context: SessionContext,
        publish_events: Callable[[], None],
        intervals: Intervals,
        limits: ShutdownLimits,
    ) -> None:
        self.failures: list[UsageError] = []
        """Why recordings could not be read."""
        self.all_ended = asyncio.Event()
        """Set when every device was a recording and all have ended."""
        self.configured: Collection[str] = ()
        """Ids of the machines of the configuration, set before they are added or removed."""
        self._tasks = tasks
        self._journal = journal
        self._broker = broker
        self._retained = retained
        self._context = context
        self._publish_events = publish_events
        self._intervals = intervals
        self._limits = limits
        self._journals: dict[str, MachineJournal] = {}
        self._requests: dict[str, MachineRequests] = {}  # of machines without a session
        self._publishers: dict[str, MachinePublisher] = {}
        self._machines: dict[str, SupervisedSession] = {}
        self._removed_restarts = 0  # of the sessions of removed machines
        self._acknowledging = asyncio.Lock()  # held while alarms without a session are changed
        self._being_removed: set[str] = set()
        self._logged_journal_errors: dict[str, str | None] = {}  # by machine

    @property
    def machines(self) -> Mapping[str, SupervisedSession]:
        """The machines by id, in the order of the configuration."""
        return self._machines

    @property
    def counts(self) -> StreamCounts:
        """Counters over all machines since the start of the daemon, removed ones included."""
        return sum((each.counts for each in self._publishers.values()), StreamCounts())

    @property
    def late_scores(self) -> int:
        """Scores of sessions that had ended, which were not published."""
        return sum(each.late_scores for each in self._publishers.values())

    @property
    def restarts(self) -> int:
        """How often sessions were restarted since the start of the daemon."""
        return self._removed_restarts + sum(each.restarts for each in self._machines.values())

    @property
    def summary(self) -> str:
        """One line with the state of each machine."""
        parts = []
        for name, each in self._machines.items():
            status = each.status
            parts.append(f"{name} {status.state} ({status.microphone})")
        return ", ".join(parts)

    def active_sessions(self) -> list[MonitorSession]:
        """Return the sessions that are monitoring now."""
        return [found for each in self._machines.values() if (found := each.active_session)]

    async def unknown_machines(self) -> list[str]:
        """Return the ids of machines of earlier runs that are neither configured nor taken up."""
        journalled = await self._journal.machines()
        known = {*self.configured, *self._journals}
        return [machine for machine in journalled if machine not in known]

    async def check_requests(self) -> None:
        """Apply the requests in the journal: the session of each machine, if it has one."""
        for machine in tuple(self._journals):
            await self.check_requests_of(machine)

    async def check_requests_of(self, machine: str) -> None:
        """Apply the requests about one machine; those about one that is not taken up wait."""
        async with self._acknowledging:
            supervised = self._machines.get(machine)
            if machine not in self._journals or machine in self._being_removed:
                return  # its session may still write
            if supervised is None or supervised.task is None or supervised.task.done():
                await self._change_without_session(machine)
            elif supervised.session is not None:
                supervised.session.check_requests()

    def note_package(self, change: PackageChange) -> None:
        """Note that the evidence of an alarm was written or deleted, with the next requests."""
        journal = self._journals.get(change.machine)
        if journal is not None:
            journal.queue_package(change.alarm_id, change.path)
            self._journal.check_requests()

    def expired_shelves(self, now: datetime) -> list[AlarmRecord]:
        """Return the newest alarms whose shelving is over."""
        return [
            journal.newest
            for journal in self._journals.values()
            if journal.newest is not None and journal.why_shelf_over(now) is not None
        ]

    async def expire_shelf(self, machine: str, pace: ShelfPace) -> None:
        """End the shelving of a machine's alarm, where its time is over and the pace allows."""
        async with self._acknowledging:
            supervised = self._machines.get(machine)
            if machine in self._being_removed:
                return
            if supervised is None or supervised.task is None or supervised.task.done():
                newest = self._journals[machine].newest
                await pace.end(newest, partial(self._expire_without_session, machine))
            elif supervised.session is not None:
                supervised.session.expire_shelf(pace)

    async def _expire_without_session(self, machine: str) -> bool:
        events = await self._journal.expire_shelf(self._requests[machine], datetime.now(UTC))
        self._publish_without_session(machine, events)
        return bool(events)

    async def _change_without_session(self, machine: str) -> None:
        journal, events, reason, now = self._journals[machine], [], None, datetime.now(UTC)
        before = journal.newest, journal.out_of_service
        is_taken_up = not journal.is_known and await self._journal.take_up_late(journal)
        try:
            events = await self._journal.apply_requests(self._requests[machine], now)
        except JournalError as error:  # the next check tries again
            reason = str(error)
            self._journal.check_requests()
        if machine not in self.configured:
            events += await self._journal.end_acknowledged_alarm(journal, now)
        if reason not in (None, self._logged_journal_errors.get(machine)):
            log.error("requests about alarms cannot be read", machine=machine, reason=reason)
        self._logged_journal_errors[machine] = reason
        if events or is_taken_up or before != (journal.newest, journal.out_of_service):
            self._publish_without_session(machine, events)

    def _publish_without_session(self, machine: str, events: Sequence[Event]) -> None:
        for event in events:
            log.info(
                f"{event.kind}: {event.before} → {event.after}", machine=machine, who=event.who
            )
        if events:
            self._publish_events()
        if machine in self.configured:
            self._publish_alarm(machine)
        else:
            self._retained.request(machine, partial(self._publish_unmonitored, machine))

    async def take_up_unmonitored(self, machine: str) -> None:
        """Take up a machine of an earlier run that is not configured now, and requests about it.

        The broker may have an alarm and a state that this box has published before it was removed:
        they are replaced.  Nothing is published where they are of another box, or there are none.
        """
        async with self._acknowledging:
            if machine not in self.configured:
                await self._take_up(machine)
                await self._change_without_session(machine)
                self._retained.request(machine, partial(self._publish_unmonitored, machine))

    def _publish_unmonitored(self, machine: str, state: str) -> None:
        """Publish a machine that is not configured, of which the broker has this state."""
        if machine in self._machines or machine in self.configured:
            return
        publisher = self._publishers[machine]
        self._publish_alarm(machine)
        if state != MachineState.STOPPED:
            condition = replace(
                publisher.condition, state=MachineState.STOPPED, reason="not in the configuration"
            )
            publisher.publish_state(condition, datetime.now(UTC))

    def _publish_alarm(self, machine: str) -> None:
        """Publish the alarm condition, where it is known: the broker may have an earlier one."""
        journal = self._journals[machine]
        if journal.is_known:
            self._publishers[machine].publish_alarm(
                journal.newest,
                out_of_service=journal.out_of_service is not None,
                chattering=journal.is_chattering(datetime.now(UTC)),
            )

    async def _take_up(self, machine: str) -> tuple[MachinePublisher, MachineJournal]:
        """Return publisher and journal of a machine, the same ones for the whole run."""
        if machine not in self._journals:
            journal = await self._journal.machine_journal(machine)
            self._journals[machine] = journal
            self._requests[machine] = MachineRequests(journal)
            self._publishers[machine] = MachinePublisher(
                machine,
                self._broker.topics,
                self._broker,
                clock_synced=clock_synced,
                publish_events=self._publish_events,
            )
        return self._publishers[machine], self._journals[machine]

    async def add(self, machine: str, settings: Machine) -> None:
        """Begin to monitor a machine."""
        async with self._acknowledging:  # it may be taken up as one that was not configured
            publisher, journal = await self._take_up(machine)
        self._publish_alarm(machine)
        supervised = SupervisedSession(
            machine,
            settings,
            publisher,
            partial(MonitorSession, machine, settings, journal, publisher, self._context),
            backoff=Backoff(
                self._intervals.restart_delays_s, reset_after_s=self._intervals.restart_reset_s
            ),
        )
        async with self._acknowledging:  # its session must be the only one that does
            self._machines[machine] = supervised
            bounded = run_until_cancelled(
                supervised.run,
                name=f"supervise {machine}",
                limit_s=self._limits.removal_s,
                cancel_s=self._limits.cancel_s,
            )
            supervised.task = self._tasks.create_task(bounded, name=f"monitor {machine}")
        supervised.task.add_done_callback(lambda task: self._note_end(machine, task))
        loop = asyncio.get_running_loop()
        loop.call_later(self._intervals.starting_s, supervised.report_starting)

    async def remove(self, machine: str, reason: str) -> None:
        """End the monitoring of a machine, within its limit, and publish that it has stopped."""
        supervised = self._machines.pop(machine)
        self._removed_restarts += supervised.restarts
        task, session = supervised.task, supervised.session
        self._being_removed.add(machine)
        try:
            if task is not None:
                task.cancel()
                await asyncio.wait((task,))
        finally:
            self._being_removed.discard(machine)
            self._journal.check_requests()  # its session may not have come to one
            if session is not None:
                session.publish_stopped(reason)

    def removals(self, reason: str) -> list[Step]:
        """Return the steps that remove all machines."""
        limit_s = self._limits.removal_s + self._limits.margin_s
        return [
            Step(f"remove {machine}", limit_s, partial(self.remove, machine, reason))
            for machine in self._machines
        ]

    def _note_end(self, machine: str, task: asyncio.Task[None]) -> None:
        supervised = self._machines.get(machine)
        if task.cancelled() or supervised is None or supervised.task is not task:
            return
        self._journal.check_requests()  # its session may not have come to one
        if supervised.refusal is not None:
            self.failures.append(supervised.refusal)
        all_files = all(
            parse_device(each.settings.device_text).is_file for each in self._machines.values()
        )
        tasks = [each.task for each in self._machines.values()]
        if all_files and all(each is not None and each.done() for each in tasks):
            self.all_ended.set()
