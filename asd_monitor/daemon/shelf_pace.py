"""Which alarms leave their shelves, and how fast: their ends must not be a flood.

An alarm whose sound is normal leaves the shelf at its time.  Of those in abnormal sound one a
minute does, on one box, in the order of their times; the others wait shelved.  ISA-18.2 calls more
than 10 alarms in 10 minutes a flood, and wants shelves designed so that their ends cause none.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime

from asd_monitor.alarm.state import AlarmCondition
from asd_monitor.journal.alarm_records import AlarmRecord

PACE_S = 60.0
"""Between the ends of two shelves of alarms in abnormal sound."""
PATIENCE_S = 10.0
"""After which another alarm has its turn, where one has not left: its session may not work."""
_EARLIEST = datetime(1, 1, 1, tzinfo=UTC)


class ShelfPace:
    """Chooses the alarms that leave their shelves; used in the event loop alone.

    Args:
        monotonic_s: Reads the monotonic clock, in s.

    """

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._newest_s = -math.inf  # when an alarm in abnormal sound left its shelf
        self._turns_s: dict[str, float] = {}  # of alarms in abnormal sound, which have not left

    def due(self, over: Iterable[AlarmRecord]) -> list[AlarmRecord]:
        """Return the alarms that have their turn to leave the shelf; the time of all is over."""
        now_s = self._monotonic_s()
        over = sorted(over, key=lambda record: (record.shelved_until or _EARLIEST, record.id))
        due = [each for each in over if each.condition is not AlarmCondition.SHELVED]
        abnormal = [each for each in over if each.condition is AlarmCondition.SHELVED]
        ids = {each.id for each in abnormal}
        self._turns_s = {id_: turn_s for id_, turn_s in self._turns_s.items() if id_ in ids}
        newest_turn_s = max(self._turns_s.values(), default=-math.inf)
        if abnormal and self._is_free(now_s) and now_s >= newest_turn_s + PATIENCE_S:
            chosen = min(abnormal, key=lambda each: self._turns_s.get(each.id, -math.inf))
            self._turns_s[chosen.id] = now_s
            due.append(chosen)
        return due

    async def end(self, record: AlarmRecord | None, end: Callable[[], Awaitable[bool]]) -> None:
        """End the shelving of an alarm by ``end``, which returns whether the alarm has left.

        An alarm in abnormal sound that comes to its turn late stays where another has left since.
        """
        if record is None or record.condition is not AlarmCondition.SHELVED:
            await end()
            return
        now_s = self._monotonic_s()
        if not self._is_free(now_s):
            return
        before_s, self._newest_s = self._newest_s, now_s
        if not await end() and self._newest_s == now_s:
            self._newest_s = before_s

    def _is_free(self, now_s: float) -> bool:
        return now_s >= self._newest_s + PACE_S
