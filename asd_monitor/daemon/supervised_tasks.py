"""The tasks of the daemon itself, under supervision."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from functools import partial

from asd_monitor.backoff import Backoff
from asd_monitor.daemon.box_conditions import Condition, ConditionKind
from asd_monitor.daemon.hang_detection import WorkProgress
from asd_monitor.daemon.runtime_options import Intervals
from asd_monitor.daemon.supervision import Supervision, without_end

FAILURES = 3
"""So many failures in a row are a condition of the box."""


class SupervisedTasks:
    """Creates supervisions and returns what goes on failing.

    Args:
        intervals: Delays before the restarts.

    """

    def __init__(self, intervals: Intervals) -> None:
        self._intervals = intervals
        self._supervisions: dict[str, Supervision] = {}

    def endless(self, name: str, work: Callable[[], Coroutine[None, None, None]]) -> Supervision:
        """Return the supervision of a task that must not end, whose `run` is to be awaited."""
        return self.supervision(name, partial(without_end, work))

    def supervision(
        self, name: str, work: Callable[[], Coroutine[None, None, None]]
    ) -> Supervision:
        """Return the supervision of a task, whose `run` is to be awaited."""
        intervals = self._intervals
        backoff = Backoff(intervals.restart_delays_s, reset_after_s=intervals.restart_reset_s)
        created = Supervision(name, work, backoff=backoff)
        self._supervisions[name] = created
        return created

    def restart_of(self, name: str) -> Callable[[str], None]:
        """Return what restarts a task, for a reason; it may be added later."""

        def restart(reason: str) -> None:
            self._supervisions[name].restart(reason)

        return restart

    def progress(
        self, name: str, count: int, limit_s: float, idle_reason: str | None = None
    ) -> WorkProgress:
        """Return the progress of a task.

        An attempt that has failed is progress, and while the next one is awaited the task is idle:
        it does not hang, and `failing` reports it.

        Args:
            name: The task; it may be added later.
            count: Grows with the work done.
            limit_s: Longest time without progress, in s.
            idle_reason: Why no progress is expected now for another reason; None: it is.

        """
        supervision = self._supervisions.get(name)
        if supervision is not None:
            count += supervision.ended_attempts
            if supervision.is_waiting:
                idle_reason = "restarting"
        return WorkProgress(count, idle_reason, limit_s)

    @property
    def restarts(self) -> Mapping[str, int]:
        """How often each task has failed and was restarted."""
        return {name: each.restarts for name, each in self._supervisions.items()}

    @property
    def failing(self) -> list[Condition]:
        """What has failed several times in a row, until it has worked for long."""
        return [
            Condition(
                ConditionKind.TASK_FAILING,
                f"{name} fails again and again: {failure.cause.text}",
                failure.cause.remedy,
                check=name,
            )
            for name, each in self._supervisions.items()
            if each.failures_in_a_row >= FAILURES
            and each.worked_s < self._intervals.restart_reset_s
            and (failure := each.newest_failure) is not None
        ]
