"""How many alarms people have got, beside the figures of ISA-18.2; pure.

The figures are those of the repository text "ISA-18.2 Compliance Metrics", which cites
ANSI/ISA-18.2-2016, 16.4 to 16.6, for one operator position and at least 30 days.  An annunciation
is a change to `unacknowledged`: an alarm that is raised, raised again, or shown again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from asd_monitor.alarm.chatter import CHATTER_S, chatter_begins, is_raise
from asd_monitor.alarm.state import UNACKNOWLEDGED, AlarmCondition

SLOT_S = 600.0
FLOOD_BEGINS = 10
"""More annunciations in ten minutes begin a flood."""
FLOOD_ENDS = 5
"""Fewer in ten minutes end it."""
FLEETING_S = 60.0
"""An alarm that returns to normal within this time, and is not raised again soon, is fleeting."""
STANDING_S = 86400.0
LEAST_S = 86400.0
"""Shortest period of which rates are stated."""


@dataclass(frozen=True, slots=True)
class AlarmChange:
    """A change of an alarm's condition."""

    time: datetime
    machine: str
    alarm_id: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class OpenAlarm:
    """An alarm that is active or hidden now."""

    machine: str
    raised: datetime
    shelved: bool = False
    out_of_service: bool = False


@dataclass(frozen=True, slots=True)
class AlarmFigures:
    """The figures of a period."""

    days: float
    alarms: int  # annunciations
    per_day: float | None  # None, as for all rates: too little data
    per_hour: float | None
    busiest_10_min: int  # annunciations in any ten minutes
    share_of_10_min_over_10: float | None  # of the period's slots of ten minutes
    floods: int
    flood_share: float | None  # of the time
    chattering: int  # times that a machine's alarms began to chatter
    fleeting: int
    standing_over_24_h: int  # now, those that are hidden left out
    longest_unacknowledged_s: float
    top_machine: str | None  # with the most annunciations
    top_share: float  # its share
    shelved: int  # alarms, now
    out_of_service: int  # machines, now


def alarm_figures(
    changes: Iterable[AlarmChange],
    open_alarms: Iterable[OpenAlarm],
    *,
    out_of_service: int,
    begin: datetime,
    end: datetime,
) -> AlarmFigures:
    """Return the figures from ``begin`` to ``end``.

    Rates and shares of the time are not extrapolated from less than `LEAST_S`: one alarm in the
    first minute is not 1440 a day.

    Args:
        changes: Those of the period, and of before where they are known.
        open_alarms: The alarms that are active or hidden now.
        out_of_service: Number of the machines that are, now.
        begin: Begin of the period.
        end: The present time.

    """
    ordered = sorted(changes, key=lambda change: change.time)
    period_s = (end - begin).total_seconds()
    shown = [
        each
        for each in ordered
        if each.after == AlarmCondition.UNACKNOWLEDGED and begin <= each.time <= end
    ]
    times_s = [(each.time - begin).total_seconds() for each in shown]
    machines = Counter(each.machine for each in shown)
    top = machines.most_common(1)
    slots = Counter(int(time_s // SLOT_S) for time_s in times_s)
    floods, flood_s = _floods(times_s, period_s)
    now_open = list(open_alarms)

    def rate(amount: float, digits: int) -> float | None:
        return None if period_s < LEAST_S else round(amount / period_s, digits)

    return AlarmFigures(
        days=round(period_s / 86400.0, 3),
        alarms=len(shown),
        per_day=rate(len(shown) * 86400.0, 3),
        per_hour=rate(len(shown) * 3600.0, 3),
        busiest_10_min=_busiest(times_s),
        share_of_10_min_over_10=rate(
            sum(number > FLOOD_BEGINS for number in slots.values()) * SLOT_S, 6
        ),
        floods=floods,
        flood_share=rate(flood_s, 6),
        chattering=_chattering(ordered, begin, end),
        fleeting=_fleeting(ordered, shown),
        standing_over_24_h=sum(
            (end - each.raised).total_seconds() > STANDING_S
            for each in now_open
            if not (each.shelved or each.out_of_service)
        ),
        longest_unacknowledged_s=_longest_unacknowledged_s(ordered, begin, end),
        top_machine=top[0][0] if top else None,
        top_share=round(top[0][1] / len(shown), 4) if top else 0.0,
        shelved=sum(each.shelved for each in now_open),
        out_of_service=out_of_service,
    )


def _busiest(times_s: Sequence[float]) -> int:
    """Return the largest number of times within any ten minutes."""
    first = largest = 0
    for last, time_s in enumerate(times_s):
        while time_s - times_s[first] >= SLOT_S:
            first += 1
        largest = max(largest, last - first + 1)
    return largest


def _floods(times_s: Sequence[float], period_s: float) -> tuple[int, float]:
    """Return the number of floods and their length together, in s.

    A flood begins with the annunciation that makes more than `FLOOD_BEGINS` in ten minutes, and
    ends when fewer than `FLOOD_ENDS` are left of the last ten minutes.
    """
    floods, length_s = 0, 0.0
    ends_s = 0.0
    for last, time_s in enumerate(times_s):
        in_slot = last + 1 - bisect_right(times_s, time_s - SLOT_S)
        is_in_flood = time_s < ends_s
        if not is_in_flood and in_slot <= FLOOD_BEGINS:
            continue
        floods += not is_in_flood
        # until fewer are left: the last but FLOOD_ENDS - 1 has to leave the ten minutes
        left = times_s[max(0, last + 1 - FLOOD_ENDS)] + SLOT_S
        until_s = min(period_s, max(left, ends_s) if is_in_flood else left)
        length_s += until_s - (ends_s if is_in_flood else time_s)
        ends_s = until_s
    return floods, length_s


def _chattering(ordered: Sequence[AlarmChange], begin: datetime, end: datetime) -> int:
    """Return how often a machine's alarms began to chatter in the period."""
    raised: dict[str, list[datetime]] = defaultdict(list)
    for each in ordered:
        if begin <= each.time <= end and is_raise(each.before, each.after):
            raised[each.machine].append(each.time)
    return sum(map(chatter_begins, raised.values()))


def _fleeting(ordered: Sequence[AlarmChange], shown: Sequence[AlarmChange]) -> int:
    """Return how many alarms returned to normal at once and were not raised again soon."""
    raised: dict[str, list[datetime]] = defaultdict(list)
    for each in shown:
        raised[each.machine].append(each.time)
    begun: dict[str, AlarmChange] = {}
    fleeting = 0
    wanted = {id(each) for each in shown}
    quiet = {AlarmCondition.RETURNED, AlarmCondition.LATCHED}
    for each in ordered:
        if id(each) in wanted:
            begun[each.alarm_id] = each
        elif each.after in quiet and (first := begun.pop(each.alarm_id, None)) is not None:
            times = raised[each.machine]
            following = times[bisect_right(times, first.time) :]
            is_short = (each.time - first.time).total_seconds() <= FLEETING_S
            is_alone = not following or (following[0] - first.time).total_seconds() > CHATTER_S
            fleeting += is_short and is_alone
    return fleeting


def _longest_unacknowledged_s(
    ordered: Sequence[AlarmChange], begin: datetime, end: datetime
) -> float:
    """Return for how long an alarm of the period was not acknowledged, at most, in s."""
    since: dict[str, datetime] = {}
    longest_s = 0.0
    for each in ordered:
        if each.after in UNACKNOWLEDGED:
            since.setdefault(each.alarm_id, each.time)
        elif (begun := since.pop(each.alarm_id, None)) is not None and each.time >= begin:
            longest_s = max(longest_s, (each.time - begun).total_seconds())
    still_s = [(end - begun).total_seconds() for begun in since.values()]
    return max([longest_s, *still_s])


RECOMMENDED = {
    "alarms": ("alarms", None),
    "per_day": ("alarms a day", "about 144 (IEC 62682:2014)"),
    "per_hour": ("alarms an hour", "about 6, at most 12"),
    "busiest_10_min": ("busiest ten minutes", "at most 10"),
    "share_of_10_min_over_10": ("ten minutes with more than 10", "less than 1 %"),
    "floods": ("floods", None),
    "flood_share": ("time in floods", "less than 1 %"),
    "chattering": ("chattering began", "0"),
    "fleeting": ("fleeting alarms", "0"),
    "standing_over_24_h": ("standing for over 24 h", "fewer than 5"),
    "longest_unacknowledged_s": ("longest unacknowledged", None),
    "top_share": ("share of the machine with the most", "1 to 5 % (ten most frequent alarms)"),
    "shelved": ("shelved now", None),
    "out_of_service": ("machines out of service now", None),
}
"""Figures by name: in words, and what ISA-18.2 recommends for one operator position."""
