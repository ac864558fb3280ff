"""Whether the alarms of a machine chatter: are raised again and again within minutes.

ISA-18.2 calls an alarm chattering that repeatedly comes and goes in a short time; how often is a
choice of the site.  It is a property of the sound: an alarm that a person or the end of a shelf
shows again has not been raised by that.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from asd_monitor.alarm.state import NEW_ALARM, AlarmCondition

CHATTER_RAISES = 3
"""Alarms of one machine within `CHATTER_S` are chattering."""
CHATTER_S = 600.0
CHATTER_REMEDY = (
    "raise its off-delay (`off_delay_s`), set `latch: true`, or shelve it while the cause is sought"
)
_BEFORE = NEW_ALARM | {AlarmCondition.LATCHED}


def is_raise(before: str, after: str) -> bool:
    """Return whether a change of condition is an alarm that comes, or comes again, by its sound."""
    return after == AlarmCondition.UNACKNOWLEDGED and before in _BEFORE


def is_chattering(raised: Sequence[datetime], now: datetime) -> bool:
    """Return whether a machine's alarms chatter now.

    Args:
        raised: When its alarms were raised (`is_raise`), at least the newest `CHATTER_RAISES`.
        now: The present time.

    """
    recent = [time for time in raised if abs((now - time).total_seconds()) <= CHATTER_S]
    return len(recent) >= CHATTER_RAISES


def chatter_begins(raised: Sequence[datetime]) -> int:
    """Return how often a machine's alarms began to chatter, by when they were raised, in order."""
    chatters = [
        is_chattering(raised[max(0, number + 1 - CHATTER_RAISES) : number + 1], time)
        for number, time in enumerate(raised)
    ]
    return sum(
        now and not before for before, now in zip([False, *chatters], chatters, strict=False)
    )
