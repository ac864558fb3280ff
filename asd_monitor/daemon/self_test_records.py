"""What is known of the self-tests of all machines and of the broker, over all runs.

A record is kept as long as the configuration has its machine.  The records are saved with every
result, soon after the start, and then every few minutes: a run that is killed has saved at least
half of the time that it has lasted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

from asd_monitor.daemon.self_test_state import (
    FirstLevels,
    SelfTestFile,
    SelfTestRecord,
    SelfTestState,
)
from asd_monitor.publish.messages import CheckResult, SelfTestResult
from asd_monitor.self_test.checks import Result
from asd_monitor.worker_thread import WorkerThread

BROKER = ""
"""The name of the broker's record among those of the machines."""
_SAVE_S = 300.0  # between two writes of the running time, at most


class SelfTestRecords:
    """The records by machine, and that of the broker.

    Args:
        state: The state folder.
        since: Returns when each condition of the box began, which is saved as well.
        monotonic_s: Reads the clock, in s.

    """

    def __init__(
        self,
        state: Path,
        *,
        since: Callable[[], Mapping[str, datetime]],
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file = SelfTestFile(state)
        self._worker = WorkerThread("self-test")
        self._since = since
        self._monotonic_s = monotonic_s
        self._by_name: dict[str, SelfTestRecord] = {}
        self._begun_s = self._counted_s = self._saved_s = monotonic_s()
        self._has_changed = False  # since it was saved, beside the running time
        self._saving: asyncio.Future[None] | None = None

    async def load(self) -> Mapping[str, datetime]:
        """Take up the records of an earlier run; return when its conditions of the box began."""
        saved = await self._worker.run(self._file.load)
        self._by_name = {**saved.machines, BROKER: saved.broker}
        return saved.since

    def __getitem__(self, name: str) -> SelfTestRecord:
        """Return a record; that of a machine without one is empty."""
        return self._by_name.get(name, SelfTestRecord())

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, sorted."""
        return iter(sorted(self._by_name))

    def keep(self, machines: Collection[str]) -> bool:
        """Keep the records of these machines and the broker; return whether results are dropped."""
        names = {*machines, BROKER}
        dropped = [each for name, each in self._by_name.items() if name not in names]
        self._by_name = {name: self[name] for name in names}
        return any(each.newest is not None for each in dropped)

    def count_running_time(self, exempt: Collection[str]) -> None:
        """Count the time since the last call, but for those of which no test is expected."""
        now_s = self._monotonic_s()
        elapsed_s, self._counted_s = now_s - self._counted_s, now_s
        for name, record in self._by_name.items():
            if name not in exempt:
                self._by_name[name] = replace(record, times=record.times.ran(elapsed_s))

    def reset_running_time(self) -> None:
        """Begin anew while the tests are switched off: none is overdue when they are on again."""
        self._counted_s = self._monotonic_s()
        for name, record in self._by_name.items():
            self._by_name[name] = replace(record, times=replace(record.times, running_s=0.0))

    def set_first(self, name: str, first: FirstLevels) -> None:
        """Take note of the levels at the first test of a model."""
        self._replace(name, replace(self[name], first=first))

    def note(self, name: str, newest: SelfTestResult, *, day: int) -> None:
        """Take note of the result of a test that was made on this day."""
        record = replace(self[name], newest=newest)
        complete = record.complete
        if newest.result != Result.NOT_POSSIBLE:
            failed = newest.result == Result.FAILED
            times = record.times.completed(day, failed=failed)
            complete = replace(newest, checks=_known_checks(complete, newest))
            record = replace(record, complete=complete, times=times)
        elif complete is not None:
            checks = _known_checks(complete, newest)
            record = replace(record, complete=replace(complete, checks=checks))
        self._replace(name, record)

    def _replace(self, name: str, record: SelfTestRecord) -> None:
        if name in self._by_name:  # its machine may be removed from the configuration meanwhile
            self._by_name[name] = record
            self._has_changed = True

    def save_if_due(self, *, has_changed: bool) -> None:
        """Begin to save, where something has changed or was not saved for long.

        Does not wait.  Raises what the previous write has raised: a defect.
        """
        self._has_changed |= has_changed
        if self._saving is not None:
            if not self._saving.done():
                return
            saved, self._saving = self._saving, None
            saved.result()
        now_s = self._monotonic_s()
        interval_s = min(_SAVE_S, self._saved_s - self._begun_s)
        if self._has_changed or now_s - self._saved_s >= interval_s:
            self._has_changed, self._saved_s = False, now_s
            self._saving = self._worker.submit(partial(self._file.save, self._state()))

    def save_at_end(self) -> None:
        """Save after everything else; `close` waits for it."""
        self._worker.post(partial(self._file.save, self._state()))

    @property
    def failed_saves(self) -> int:
        """How often the records could not be written."""
        return self._file.failed_saves

    @property
    def storing(self) -> WorkerThread:
        """The thread that writes them."""
        return self._worker

    async def close(self, limit_s: float) -> None:
        """Wait until they are on the disk, for so many s at most.

        May be called in any state and more than once.
        """
        await self._worker.finish(limit_s)

    def _state(self) -> SelfTestState:
        machines = {name: each for name, each in self._by_name.items() if name != BROKER}
        return SelfTestState(broker=self[BROKER], machines=machines, since=self._since())


def _known_checks(
    before: SelfTestResult | None, newest: SelfTestResult
) -> Mapping[str, CheckResult]:
    """Return the newest result of each check in which it was possible.

    Where all have passed, these are all that there are.
    """
    if before is None or newest.result == Result.PASSED:
        return newest.checks
    possible = {
        name: check for name, check in newest.checks.items() if check.result != Result.NOT_POSSIBLE
    }
    return {**before.checks, **possible}
