"""The self-test of the box: from captured sound to the broker, every day, without a person.

One task makes the tests that are due, one at a time: of a machine
(`asd_monitor.daemon.machine_self_test`) or of the broker (`asd_monitor.daemon.broker_check`).
Another one observes all the time, also while a test is made or has raised an exception: whether
scoring goes on, what is overdue, and the conditions of the box that follow.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import structlog

from asd_monitor.daemon.box_conditions import BoxConditions
from asd_monitor.daemon.broker_check import BrokerCheck
from asd_monitor.daemon.broker_interface import Broker
from asd_monitor.daemon.machine_registry import MachineRegistry
from asd_monitor.daemon.machine_self_test import checks_of_machine, none_possible
from asd_monitor.daemon.scoring_thread import ScoringThread
from asd_monitor.daemon.self_test_conditions import conditions_of, refusing
from asd_monitor.daemon.self_test_intervals import SelfTestIntervals
from asd_monitor.daemon.self_test_records import BROKER, SelfTestRecords
from asd_monitor.daemon.self_test_state import FirstLevels, SelfTestCounters
from asd_monitor.daemon.self_test_subject import SelfTestSubject
from asd_monitor.daemon.topic_readers import TopicReaders
from asd_monitor.publish.messages import CheckResult, SelfTest, SelfTestResult
from asd_monitor.self_test.checks import Check, Result, overall
from asd_monitor.self_test.detected_levels import DetectedLevels
from asd_monitor.self_test.obstacle import Obstacle
from asd_monitor.self_test.schedule import (
    TimesOfTests,
    day_of_test,
    is_due,
    phase_s,
)
from asd_monitor.self_test.scoring_progress import ScoringProgress
from asd_monitor.wording import length
from asd_monitor.worker_thread import WorkerThread

log = structlog.get_logger()

_TEST_LIMIT_S = 1800.0  # of one test; with an encoder on a slow box it lasts some minutes
_MAX_PAYLOAD_BYTES = 900_000
_MAX_TEXT = 500  # characters of a reason
_NOT_MONITORED = Obstacle(
    "the machine is not monitored now", "see the state of the machine and the log for the reason"
)
_NOT_DONE = Obstacle(
    f"it was not done after {length(_TEST_LIMIT_S)}",
    "monitor fewer machines on this box, or use a faster one",
)


class DailySelfTest:
    """Makes the tests while `run` runs, and observes while `observe` runs.

    Args:
        state: The state folder.
        broker: Publishes the results.
        conditions: Receives what has failed or is overdue.
        readers: The topics that are read.
        registry: The machines that are monitored.
        machines: Returns the ids of those in the configuration.
        scoring: The thread that scores them.
        is_on: Returns whether the configuration wants the tests.
        intervals: Intervals of the tests.
        monotonic_s, wall_s: Read the clocks, in s.

    """

    def __init__(
        self,
        state: Path,
        *,
        broker: Broker,
        conditions: BoxConditions,
        readers: TopicReaders,
        registry: MachineRegistry,
        machines: Callable[[], Collection[str]],
        scoring: ScoringThread,
        is_on: Callable[[], bool],
        intervals: SelfTestIntervals,
        monotonic_s: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._broker = broker
        self._registry = registry
        self._machines = machines
        self._scoring = scoring
        self._is_on = is_on
        self._intervals = intervals
        self._monotonic_s = monotonic_s
        self._wall_s = wall_s
        self._broker_check = BrokerCheck(broker, readers.reader())
        self._conditions = conditions
        self._records = SelfTestRecords(
            state, since=lambda: conditions.lasting_since, monotonic_s=monotonic_s
        )
        self._loaded = asyncio.Event()
        self._attempted_s: dict[str, float] = {}  # monotonic time of the newest attempt
        self._progress: dict[str, ScoringProgress] = {}
        self._begun_s = monotonic_s()
        self._published_on: bool | None = None
        self._testing: str | None = None  # whose test is being made
        self.turns = 0
        """How often it was looked whether a test is due."""
        self.observations = 0
        """How often scoring and what is overdue were looked at."""
        self._counters = SelfTestCounters()

    async def run(self) -> None:
        """Make the tests until cancelled; what is raised here is a defect.

        May be called again after that: the test that has raised it has failed.
        """
        await self._loaded.wait()
        if self._testing is not None:
            self._note_defect(self._testing)
        while True:
            name = self._due()
            if name is not None:
                await self._test(name)
            self.turns += 1
            await asyncio.sleep(self._intervals.check_s)

    async def observe(self) -> None:
        """Observe until cancelled, and save what is known; what is raised here is a defect.

        May be called again after that.
        """
        if not self._loaded.is_set():
            self._conditions.restore(await self._records.load())
            self._records.keep(self._machines())
            self._loaded.set()
        try:
            while True:
                self._observe()
                self.observations += 1
                await asyncio.sleep(self._intervals.check_s)
        finally:
            self._records.save_at_end()

    @property
    def counters(self) -> SelfTestCounters:
        """The counts so far."""
        return replace(self._counters, unsaved=self._records.failed_saves)

    @property
    def storing(self) -> WorkerThread:
        """The thread that writes the results."""
        return self._records.storing

    async def close(self, limit_s: float) -> None:
        """Wait until the results are on the disk, for so many s at most; after `observe`.

        May be called in any state and more than once.
        """
        await self._records.close(limit_s)

    def _observe(self) -> None:
        is_on, subjects = self._is_on(), self._subjects()
        has_dropped = self._records.keep(self._machines())
        if is_on:
            self._records.count_running_time(
                [name for name, subject in subjects.items() if subject.is_exempt]
            )
        else:
            self._records.reset_running_time()
        self._observe_scoring(subjects)
        if has_dropped or is_on != self._published_on:
            self._published_on = is_on
            self._publish()
        self._records.save_if_due(has_changed=self._update_conditions())

    def _subjects(self) -> dict[str, SelfTestSubject]:
        return {
            name: session.self_test_subject
            for name, machine in self._registry.machines.items()
            if (session := machine.active_session) is not None
        }

    def _observe_scoring(self, subjects: Mapping[str, SelfTestSubject]) -> None:
        self._progress = {name: self._progress.get(name, ScoringProgress()) for name in subjects}
        for name, subject in subjects.items():
            self._progress[name].observe(
                subject.captured_s,
                subject.scored_windows,
                openings=subject.capture.restarts,
                expected=subject.is_scored,
            )

    def _due(self) -> str | None:
        """Return whose test is due: the one that was made longest ago."""
        now_s = self._monotonic_s()
        if not self._is_on() or now_s - self._begun_s < self._intervals.first_s:
            return None
        due = [
            name
            for name in self._records
            if is_due(
                self._with_stall(name, self._records[name].times),
                self._day(name),
                now_s - self._attempted_s.get(name, -math.inf),
                self._intervals.retry_s,
            )
        ]
        return max(due, key=lambda name: self._records[name].times.running_s, default=None)

    def _with_stall(self, name: str, times: TimesOfTests) -> TimesOfTests:
        """Return the times; a machine whose scoring has stopped is tested at once."""
        return replace(times, failed=True) if self._has_stopped(name) else times

    def _has_stopped(self, name: str) -> bool:
        progress = self._progress.get(name)
        return progress is not None and progress.has_stopped

    def _day(self, name: str) -> int:
        box = self._broker.topics.box
        return day_of_test(self._wall_s(), phase_s(box, name or box))

    async def _test(self, name: str) -> None:
        self._attempted_s[name] = self._monotonic_s()
        self._testing = name
        if name == BROKER:
            self._note(name, await self._broker_check.run())
        else:
            try:
                async with asyncio.timeout(_TEST_LIMIT_S):
                    await self._test_machine(name)
            except TimeoutError:
                self._note(name, none_possible(_NOT_DONE).checks)
        self._testing = None

    def _note_defect(self, name: str) -> None:
        """Take note that a test has raised an exception, which the supervision has logged."""
        self._testing = None
        reason = "it was ended by a failure of asd-monitor"
        check = "round_trip" if name == BROKER else "sensitivity"
        self._note(name, {check: Check(Result.FAILED, reason, "see the log for the failure")})

    async def _test_machine(self, name: str) -> None:
        subject, progress = self._subjects().get(name), self._progress.get(name)
        if subject is None:
            self._note(name, none_possible(_NOT_MONITORED).checks)
            return
        bundle, first = subject.bundle, self._records[name].first
        is_of_model = first and bundle and first.model == bundle.first.sha256
        known = DetectedLevels.from_json(first.levels_db) if first and is_of_model else None
        stalled_s = 0.0 if progress is None else progress.stalled_s
        found = await checks_of_machine(subject, self._scoring, stalled_s=stalled_s, first=known)
        if bundle is not None and found.levels is not None and not is_of_model:
            self._records.set_first(name, FirstLevels(bundle.first.sha256, found.levels.to_json()))
        self._note(name, found.checks)

    def _note(self, name: str, checks: Mapping[str, Check]) -> None:
        """Take note of the results of a test, and publish them."""
        record, result, now = self._records[name], overall(checks), self._now()
        is_complete = result is not Result.NOT_POSSIBLE
        before = record.complete
        completed = now if is_complete else before.completed if before else None
        newest = SelfTestResult(
            result=result,
            time=now,
            completed=completed,
            overdue=record.times.is_overdue and not is_complete,
            checks={name: _message(check) for name, check in checks.items()},
        )
        self._records.note(name, newest, day=self._day(name))
        self._counters = self._counters.after(result)
        log.info("self-test", machine=name or None, result=str(result))
        self._publish()
        self._update_conditions()

    def _update_conditions(self) -> bool:
        """Report the conditions that follow from the tests; return whether any has changed."""
        found = [
            condition
            for name in (self._records if self._is_on() else ())
            for condition in conditions_of(
                name or None, self._records[name], has_stopped=self._has_stopped(name)
            )
        ]
        changed = self._conditions.update("self-test", found)
        publishing = self._broker_check.publishing()
        return self._conditions.update("broker", refusing(publishing)) or changed

    def _publish(self) -> None:
        newest = {
            name: record.newest
            for name in self._records
            if (record := self._records[name]).newest is not None
        }
        broker = newest.pop(BROKER, None)
        topics = self._broker.topics
        message = SelfTest(
            box=topics.box,
            time=self._now(),
            mode="daily" if self._is_on() else "off",
            broker=broker,
            machines=newest,
        )
        payload = message.payload()
        if len(payload) > _MAX_PAYLOAD_BYTES:  # the alarm of the box has what has failed
            results = {name: replace(each, checks={}) for name, each in newest.items()}
            payload = replace(message, machines=results).payload()
        self._broker.publish(topics.self_test, payload, qos=1, retain=True)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._wall_s(), UTC)


def _message(check: Check) -> CheckResult:
    reason = check.reason and check.reason[:_MAX_TEXT]
    return CheckResult(str(check.result), reason, check.remedy, check.numbers)
