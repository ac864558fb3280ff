"""Since when machines are monitored, corrected where the clock is set after that.

The clock of a box may be wrong until it has reached a time server.  A time that was noted before is
corrected by the running time since then, in the run that has noted it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from asd_monitor.journal.machine_entries import MachineEntry, SinceEntry
from asd_monitor.journal.running_clock import RunningClock
from asd_monitor.journal.standing_alarms import StandingAlarms

CLOCK_STEP = timedelta(minutes=1)
"""A larger change of the clock at once corrects since when a new machine is monitored."""


class Registrations:
    """The machines that this run has monitored first; safe for several threads.

    Args:
        lock: Of what is in memory.
        standing: What is known of machines.
        clock: The running time.
        now: Reads the wall clock.

    """

    def __init__(
        self,
        lock: threading.RLock,
        standing: StandingAlarms,
        clock: RunningClock,
        now: Callable[[], datetime],
    ) -> None:
        self._lock = lock
        self._standing = standing
        self._clock = clock
        self._now = now
        self._registered: dict[str, tuple[datetime, float]] = {}  # by both clocks

    def note(self, machine: str) -> list[MachineEntry]:
        """Note that a machine is monitored; return what is to be written, where it is new."""
        since = self._now()
        with self._lock:
            if not self._standing.note_machine(machine, since):
                return []
            self._registered[machine] = since, self._clock.now_s()
        return [MachineEntry(machine, monitored_since=since)]

    def correct(self) -> list[SinceEntry]:
        """Correct the times since when the clock was set; return what is to be written."""
        now, now_s = self._now(), self._clock.now_s()
        changed = []
        with self._lock:
            for machine, (since, since_s) in self._registered.items():
                corrected = now - timedelta(seconds=now_s - since_s)
                is_of_run = self._standing.monitored_since.get(machine) == since
                if is_of_run and abs(corrected - since) > CLOCK_STEP:
                    self._registered[machine] = corrected, since_s
                    self._standing.monitored_since[machine] = corrected
                    changed.append(SinceEntry(machine, corrected))
        return changed
