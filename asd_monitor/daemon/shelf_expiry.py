"""The ends of shelves: alarms whose time is over are shown again, without a flood.

An alarm whose sound is normal leaves the shelf at its time.  Of those in abnormal sound one a
minute does, on one box, in the order of their times; the others wait shelved.  ISA-18.2 calls more
than 10 alarms in 10 minutes a flood, and wants shelves designed so that their ends cause none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime

from asd_monitor.alarm.state import AlarmCondition
from asd_monitor.daemon.machine_registry import MachineRegistry
from asd_monitor.journal.alarm_records import AlarmRecord
from asd_monitor.journal.machine_requests import is_shelf_over

PACE_S = 60.0
"""Between the ends of two shelves of alarms in abnormal sound."""
_EARLIEST = datetime(1, 1, 1, tzinfo=UTC)


class ShelfPace:
    """Chooses the alarms that leave their shelves."""

    def __init__(self) -> None:
        self._newest_s: float | None = None  # when an alarm in abnormal sound left its shelf

    def due(self, shelved: Iterable[AlarmRecord], now: datetime, now_s: float) -> list[AlarmRecord]:
        """Return the alarms that leave the shelf now, in the order of their times.

        ``now_s`` is that of the monotonic clock, in s.
        """
        over = [record for record in shelved if is_shelf_over(record, now)]
        over.sort(key=lambda record: (record.shelved_until or _EARLIEST, record.id))
        due = [each for each in over if each.condition is not AlarmCondition.SHELVED]
        abnormal = [each for each in over if each.condition is AlarmCondition.SHELVED]
        if abnormal and (self._newest_s is None or now_s >= self._newest_s + PACE_S):
            self._newest_s = now_s
            due.append(abnormal[0])
        return due


class ShelfExpiry:
    """Ends shelves while `run` runs.

    Args:
        registry: The machines.
        interval_s: Between two checks, in s.

    """

    def __init__(self, registry: MachineRegistry, *, interval_s: float) -> None:
        self.turns = 0
        """How often the shelves were checked."""
        self._registry = registry
        self._interval_s = interval_s
        self._pace = ShelfPace()

    async def run(self) -> None:
        """Check the shelves until cancelled, at once for the first time."""
        while True:
            now_s = asyncio.get_running_loop().time()
            shelved = self._registry.shelved_alarms()
            for record in self._pace.due(shelved, datetime.now(UTC), now_s):
                await self._registry.expire_shelf(record.machine)
            self.turns += 1
            await asyncio.sleep(self._interval_s)
