"""The watchdog of systemd is fed while all work of the daemon advances.

systemd restarts a service that does not send ``WATCHDOG=1`` in time.  A daemon whose event loop
runs while other work hangs is restarted too.  A machine advances with each block whose readings are
published, or has declared why it does not (no device, a recording that has ended …).  One that
stands still is restarted first; the watchdog is not fed if it does not advance then.

A standstill of other work is a condition of the box.  Where monitoring depends on this work, the
watchdog is not fed; where it does not, such as the self-test, a restart would only harm.  Work that
fails does not hang: its next attempt is awaited, and the condition `task_failing` reports it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from asd_monitor.daemon.box_conditions import BoxConditions, Condition, ConditionKind
from asd_monitor.daemon.hang_detection import HangDetector
from asd_monitor.daemon.machine_registry import MachineRegistry
from asd_monitor.daemon.runtime_options import Intervals
from asd_monitor.daemon.supervised_tasks import SupervisedTasks
from asd_monitor.daemon.systemd import SystemdNotifier
from asd_monitor.daemon.watched_work import WatchedWork

log = structlog.get_logger()


class Watchdog:
    """Feeds the watchdog and publishes what stands still or goes on failing.

    Args:
        notifier: Sends the messages to systemd.
        registry: The machines.
        work: The other work that is observed.
        tasks: The supervised tasks.
        conditions: The conditions of the box.
        intervals: Intervals and limits.
        monotonic_s: Reads the monotonic clock, in s.

    """

    def __init__(
        self,
        notifier: SystemdNotifier,
        registry: MachineRegistry,
        work: Sequence[WatchedWork],
        *,
        tasks: SupervisedTasks,
        conditions: BoxConditions,
        intervals: Intervals,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.standstills = 0
        """How often work has begun to stand still."""
        self._notifier = notifier
        self._registry = registry
        self._work = {each.name: each for each in work}
        self._tasks = tasks
        self._conditions = conditions
        self._intervals = intervals
        self._monotonic_s = monotonic_s
        self._interval_s = min(
            intervals.watchdog_s, (notifier.watchdog_s or intervals.watchdog_s) / 3
        )
        self._machines = HangDetector(intervals.hang_s)
        self._others = HangDetector(intervals.hang_s)
        self._observed_s = monotonic_s()
        self._running_s = 0.0  # as far as this process was not stopped
        self._logged: tuple[str, ...] = ()

    async def run(self) -> None:
        """Feed the watchdog and update the status line of the service, until cancelled."""
        while True:
            self.check()
            await asyncio.sleep(self._interval_s)

    def check(self) -> bool:
        """Observe all work; feed the watchdog where nothing essential hangs, and return that."""
        hung = (*self._hung_machines(self._advance_clock()), *self._hung_work(self._running_s))
        if not hung:
            self._notifier.feed_watchdog()
        elif hung != self._logged:
            log.error("work hangs: systemd will restart the daemon", work=list(hung))
        self._logged = hung
        self._notifier.status(self._registry.summary)
        return not hung

    def _advance_clock(self) -> float:
        """Return the time, in s; a pause of the whole process is no standstill of its work."""
        now_s = self._monotonic_s()
        self._running_s += min(now_s - self._observed_s, 2 * self._interval_s)
        self._observed_s = now_s
        return self._running_s

    def _hung_machines(self, now_s: float) -> tuple[str, ...]:
        machines = self._registry.machines
        found = self._machines.observe(
            now_s, {name: each.progress for name, each in machines.items()}
        )
        for name in found.begun:
            self.standstills += 1
            machines[name].restart(
                f"{machines[name].stage} has not advanced for {self._intervals.hang_s:g} s"
            )
        return found.lasting

    def _hung_work(self, now_s: float) -> list[str]:
        progress = {name: each.progress() for name, each in self._work.items()}
        found = self._others.observe(now_s, progress)
        for name in found.begun:
            self.standstills += 1
            if (restart := self._work[name].restart) is not None:
                restart("it has not advanced for too long")
        standing = [self._work[name] for name in self._others.standing]
        self._conditions.update("work", [*map(_condition, standing), *self._tasks.failing])
        return [
            each.name
            for each in standing
            if each.is_essential
            and progress[each.name].idle_reason is None  # its attempt has ended
            and (each.restart is None or each.name in found.lasting)
        ]


def _condition(work: WatchedWork) -> Condition:
    remedy = "see the log for its cause: a slow disk, an overloaded computer, or a defect to report"
    if work.is_essential:
        remedy = f"the daemon is restarted by systemd if this lasts; {remedy}"
    else:
        remedy = f"restart the daemon if this lasts; {remedy}"
    text = f"{work.name} has not advanced for too long: {work.consequence}"
    return Condition(ConditionKind.STANDSTILL, text, remedy, check=work.name)
