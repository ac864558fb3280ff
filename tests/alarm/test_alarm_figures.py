"""The figures of alarms beside those of ISA-18.2."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.alarm.figures import AlarmChange, AlarmFigures, OpenAlarm, alarm_figures

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def change(after_s: float, after: str, *, machine: str = "fan01", alarm: int = 1) -> AlarmChange:
    time = BEGIN + timedelta(seconds=after_s)
    return AlarmChange(time, machine, f"{machine}-{alarm}", "normal", after)


def raised(*times_s: float, machine: str = "fan01") -> list[AlarmChange]:
    return [
        change(time_s, "unacknowledged", machine=machine, alarm=number)
        for number, time_s in enumerate(times_s)
    ]


def figures(changes: list[AlarmChange], *, days: float = 1.0) -> AlarmFigures:
    end = BEGIN + days * DAY
    return alarm_figures(changes, [], out_of_service=0, begin=BEGIN, end=end)


def test_rates_are_of_the_period_and_the_top_machine_has_its_share() -> None:
    changes = [*raised(0, 7200, 20000), *raised(40000, machine="pump02")]
    found = figures(changes, days=2)
    assert (found.alarms, found.per_day, found.per_hour) == (4, 2.0, 0.083)
    assert (found.top_machine, found.top_share) == ("fan01", 0.75)
    assert figures(raised(-5.0, 86500.0)).alarms == 0


def test_the_busiest_ten_minutes_lie_anywhere() -> None:
    assert figures(raised(500, 599, 700, 1098)).busiest_10_min == 4
    assert figures(raised(0, 600, 1200)).busiest_10_min == 1


def test_slots_with_more_than_ten_are_counted() -> None:
    eleven = [each for n in range(11) for each in raised(100 + n, machine=f"fan{n:02}")]
    assert figures(eleven).share_of_10_min_over_10 == round(1 / 144, 6)
    assert figures(eleven[1:]).share_of_10_min_over_10 == 0.0


def test_a_flood_begins_above_ten_and_ends_below_five_in_ten_minutes() -> None:
    times = [10.0 * n for n in range(11)]  # the eleventh at 100 s begins it
    changes = [each for n, at in enumerate(times) for each in raised(at, machine=f"fan{n:02}")]
    found = figures(changes)
    assert found.floods == 1
    # the fifth newest is that of 60 s: it leaves the ten minutes at 660 s
    assert found.flood_share == pytest.approx((660 - 100) / 86400, abs=1e-6)
    assert figures(changes[:10]).floods == 0
    again = [each for n in range(11) for each in raised(3000.0 + n, machine=f"fan{n:02}")]
    assert figures([*changes, *again]).floods == 2


def test_three_alarms_of_one_machine_in_ten_minutes_chatter() -> None:
    assert figures(raised(0, 300, 600)).chattering == 1
    assert figures(raised(0, 300, 601)).chattering == 0
    assert figures(raised(0, 100, 200, 300, 400)).chattering == 1
    assert figures(raised(0, 100, 200, 5000, 5100, 5200)).chattering == 2
    assert figures([*raised(0, 1), *raised(2, machine="pump02")]).chattering == 0


def test_an_alarm_that_returns_at_once_and_stays_away_is_fleeting() -> None:
    returned = change(30, "latched", alarm=0)
    assert figures([*raised(0), returned]).fleeting == 1
    assert figures([*raised(0), change(61, "latched", alarm=0)]).fleeting == 0
    assert figures([*raised(0, 300), returned]).fleeting == 0


def test_the_longest_unacknowledged_alarm_may_last_still() -> None:
    changes = [*raised(0, 1000), change(5000, "acknowledged", alarm=0)]
    assert figures(changes).longest_unacknowledged_s == 86400 - 1000
    changes.append(change(2000, "normal", alarm=1))
    assert figures(changes).longest_unacknowledged_s == 5000


def test_what_stands_now_is_counted() -> None:
    end = BEGIN + 3 * DAY
    now_open = [
        OpenAlarm("fan01", BEGIN),
        OpenAlarm("fan02", end - DAY),
        OpenAlarm("fan03", BEGIN, shelved=True),
        OpenAlarm("fan04", BEGIN, out_of_service=True),
    ]
    found = alarm_figures([], now_open, out_of_service=2, begin=BEGIN, end=end)
    assert (found.standing_over_24_h, found.shelved, found.out_of_service) == (1, 1, 2)


@given(times=st.lists(st.floats(0, 86399), max_size=60))
def test_floods_and_the_busiest_ten_minutes_agree(times: list[float]) -> None:
    found = figures(raised(*sorted(times)))
    assert (found.floods > 0) == (found.busiest_10_min > 10)
    assert found.flood_share is not None
    assert 0.0 <= found.flood_share <= 1.0
