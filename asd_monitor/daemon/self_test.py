"""The self-test of the box: from captured sound to the broker, every day, without a person.

One task looks every few seconds whether a test is due, and makes one at a time: of a machine
(`asd_monitor.daemon.machine_self_test`) or of the broker (`asd_monitor.daemon.broker_check`).  The
results are published, kept over restarts, and a failed or overdue test is a condition of the box.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog

from asd_monitor.daemon.box_conditions import BoxConditions, Condition, ConditionKind
from asd_monitor.daemon.broker_check import BrokerCheck
from asd_monitor.daemon.broker_interface import Broker
from asd_monitor.daemon.machine_registry import MachineRegistry
from asd_monitor.daemon.machine_self_test import checks_of_machine, none_possible
from asd_monitor.daemon.scoring_thread import ScoringThread
from asd_monitor.daemon.self_test_intervals import SelfTestIntervals
from asd_monitor.daemon.self_test_state import (
    FirstLevels,
    SelfTestCounters,
    SelfTestFile,
    SelfTestRecord,
    SelfTestState,
)
from asd_monitor.daemon.topic_readers import TopicReaders
from asd_monitor.publish.messages import CheckResult, SelfTest, SelfTestResult
from asd_monitor.self_test.checks import Check, Result, overall
from asd_monitor.self_test.detected_levels import DetectedLevels
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

_SAVE_S = 300.0  # between two writes of the running time
_TEST_LIMIT_S = 1800.0  # of one test; with an encoder on a slow box it lasts some minutes
_MAX_PAYLOAD_BYTES = 900_000
_MAX_TEXT = 500  # characters of a reason
_BROKER = ""  # the box's own test among those of the machines


class DailySelfTest:
    """Makes the tests while `run` runs.

    Args:
        state: The state folder.
        broker: Publishes the results.
        conditions: Receives what has failed or is overdue.
        readers: The topics that are read.
        registry: The machines.
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
        scoring: ScoringThread,
        is_on: Callable[[], bool],
        intervals: SelfTestIntervals,
        monotonic_s: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._broker = broker
        self._registry = registry
        self._scoring = scoring
        self._is_on = is_on
        self._intervals = intervals
        self._monotonic_s = monotonic_s
        self._wall_s = wall_s
        self._broker_check = BrokerCheck(broker, readers.reader())
        self._conditions = conditions
        self._file = SelfTestFile(state)
        self._worker = WorkerThread("self-test")
        self._records: dict[str, SelfTestRecord] = {}  # by machine, and that of the broker
        self._attempted_s: dict[str, float] = {}  # monotonic time of the newest attempt
        self._progress: dict[str, ScoringProgress] = {}
        self._begun_s = self._counted_s = self._saved_s = monotonic_s()
        self._published_on: bool | None = None
        self._testing: str | None = None  # whose test is being made
        self.turns = 0
        """How often it was looked whether a test is due."""
        self._counters = SelfTestCounters()

    async def run(self) -> None:
        """Make the tests until cancelled; what is raised here is a defect.

        May be called again after that: the test that has raised it has failed.
        """
        saved = await self._worker.run(self._file.load)
        self._records = {**saved.machines, _BROKER: saved.broker}
        self._conditions.restore(saved.since)
        if self._testing is not None:
            self._note_defect(self._testing)
        try:
            while True:
                await self._check()
                self.turns += 1
                await asyncio.sleep(self._intervals.check_s)
        finally:
            self._worker.post(partial(self._file.save, self._state()))

    @property
    def counters(self) -> SelfTestCounters:
        """The counts so far."""
        return replace(self._counters, unsaved=self._file.failed_saves)

    @property
    def storing(self) -> WorkerThread:
        """The thread that writes the results."""
        return self._worker

    async def close(self, limit_s: float) -> None:
        """Wait until the results are on the disk, for so many s at most; after the end of `run`.

        May be called in any state and more than once.
        """
        await self._worker.finish(limit_s)

    async def _check(self) -> None:
        self._count_running_time()
        self._observe_scoring()
        if self._is_on() != self._published_on:
            self._published_on = self._is_on()
            self._publish()
        name = self._due()
        if name is not None:
            await self._test(name)
            self._publish()
        changed = self._update_conditions()
        if name is not None or changed or self._monotonic_s() - self._saved_s >= _SAVE_S:
            await self._save()

    def _count_running_time(self) -> None:
        now_s = self._monotonic_s()
        elapsed_s, self._counted_s = now_s - self._counted_s, now_s
        names = {*self._registry.machines, _BROKER}
        self._records = {name: self._records.get(name, SelfTestRecord()) for name in names}
        for name, record in self._records.items():
            # what is switched off is not overdue when it is switched on
            times = (
                record.times.ran(elapsed_s)
                if self._is_on()
                else replace(record.times, running_s=0.0)
            )
            self._records[name] = replace(record, times=times)

    def _observe_scoring(self) -> None:
        subjects = {
            name: session.self_test_subject
            for name, machine in self._registry.machines.items()
            if (session := machine.active_session) is not None
        }
        self._progress = {name: self._progress.get(name, ScoringProgress()) for name in subjects}
        for name, subject in subjects.items():
            self._progress[name].observe(
                subject.captured_s,
                subject.recent_scores.windows,
                expected=subject.obstacle is None,
            )

    def _due(self) -> str | None:
        """Return whose test is due: the one that was made longest ago."""
        now_s = self._monotonic_s()
        if not self._is_on() or now_s - self._begun_s < self._intervals.first_s:
            return None
        due = [
            name
            for name, record in self._records.items()
            if is_due(
                self._with_stall(name, record.times),
                self._day(name),
                now_s - self._attempted_s.get(name, -math.inf),
                self._intervals.retry_s,
            )
        ]
        return max(due, key=lambda name: self._records[name].times.running_s, default=None)

    def _with_stall(self, name: str, times: TimesOfTests) -> TimesOfTests:
        """Return the times; a machine whose scoring has stopped is tested at once."""
        progress = self._progress.get(name)
        return replace(times, failed=True) if progress and progress.has_stopped else times

    def _day(self, name: str) -> int:
        box = self._broker.topics.box
        return day_of_test(self._wall_s(), phase_s(box, name or box))

    async def _test(self, name: str) -> None:
        self._attempted_s[name] = self._monotonic_s()
        self._testing = name
        if name == _BROKER:
            self._note(name, await self._broker_check.run())
        else:
            try:
                async with asyncio.timeout(_TEST_LIMIT_S):
                    await self._test_machine(name)
            except TimeoutError:
                reason = f"it was not done after {length(_TEST_LIMIT_S)}"
                self._note(name, none_possible(reason).checks)
        self._testing = None

    def _note_defect(self, name: str) -> None:
        """Take note that a test has raised an exception, which the supervision has logged."""
        self._testing = None
        self._records.setdefault(name, SelfTestRecord())
        reason = "it was ended by a failure of asd-monitor"
        check = "round_trip" if name == _BROKER else "sensitivity"
        self._note(name, {check: Check(Result.FAILED, reason, "see the log for the failure")})
        self._publish()

    async def _test_machine(self, name: str) -> None:
        machine = self._registry.machines.get(name)
        session = None if machine is None else machine.active_session
        if session is None:
            self._note(name, none_possible("the machine is not monitored now").checks)
            return
        subject, record = session.self_test_subject, self._records[name]
        bundle, first = subject.bundle, record.first
        is_of_model = first and bundle and first.model == bundle.first.sha256
        known = DetectedLevels.from_json(first.levels_db) if first and is_of_model else None
        found = await checks_of_machine(
            subject, self._scoring, stalled_s=self._progress[name].stalled_s, first=known
        )
        if bundle is not None and found.levels is not None and not is_of_model:
            first = FirstLevels(bundle.first.sha256, found.levels.to_json())
            self._records[name] = replace(record, first=first)
        self._note(name, found.checks)

    def _note(self, name: str, checks: Mapping[str, Check]) -> None:
        """Take note of the results of a test."""
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
        self._records[name] = replace(record, newest=newest)
        if is_complete:
            times = record.times.completed(self._day(name), failed=result is Result.FAILED)
            self._records[name] = replace(self._records[name], complete=newest, times=times)
        self._counters = self._counters.after(result)
        log.info("self-test", machine=name or None, result=str(result))

    def _update_conditions(self) -> bool:
        """Report the conditions that follow from the tests; return whether any has changed."""
        conditions: list[Condition] = []
        for name, record in sorted(self._records.items()) if self._is_on() else ():
            machine = name or None
            if record.times.is_overdue:
                conditions.append(_overdue(machine, record))
            if record.complete is not None:
                conditions += _failed(machine, record.complete)
        changed = self._conditions.update("self-test", conditions)
        publishing = self._broker_check.publishing()
        refusing = []
        if publishing.result is Result.FAILED and publishing.reason is not None:
            kind = ConditionKind.BROKER_REFUSES
            refusing = [Condition(kind, publishing.reason, publishing.remedy)]
        return self._conditions.update("broker", refusing) or changed

    def _publish(self) -> None:
        newest = {name: each.newest for name, each in self._records.items() if each.newest}
        broker = newest.pop(_BROKER, None)
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

    async def _save(self) -> None:
        self._saved_s = self._monotonic_s()
        await self._worker.run(self._file.save, self._state())

    def _state(self) -> SelfTestState:
        machines = {name: each for name, each in self._records.items() if name != _BROKER}
        return SelfTestState(
            broker=self._records[_BROKER], machines=machines, since=self._conditions.since
        )

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._wall_s(), UTC)


def _message(check: Check) -> CheckResult:
    reason = check.reason and check.reason[:_MAX_TEXT]
    return CheckResult(str(check.result), reason, check.remedy, check.numbers)


def _failed(machine: str | None, complete: SelfTestResult) -> list[Condition]:
    return [
        Condition(
            ConditionKind.SELF_TEST_FAILED,
            f"self-test of {machine or 'the broker'} failed: {check.reason}",
            check.remedy,
            machine,
            name,
        )
        for name, check in complete.checks.items()
        if check.result == Result.FAILED
    ]


def _overdue(machine: str | None, record: SelfTestRecord) -> Condition:
    checks = record.newest.checks.values() if record.newest else ()
    reasons = sorted({check.reason for check in checks if check.reason})
    why = f" ({'; '.join(reasons)})" if reasons else ""
    return Condition(
        ConditionKind.SELF_TEST_OVERDUE,
        f"self-test of {machine or 'the broker'} overdue: not possible for more than 25 h{why}",
        "remove the cause: the test is tried again every half hour",
        machine,
    )
