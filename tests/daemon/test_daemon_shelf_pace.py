"""The ends of shelves without a flood, and without one that holds up the others."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from asd_monitor.alarm.state import AlarmCondition
from asd_monitor.daemon.shelf_pace import PACE_S, PATIENCE_S, ShelfPace
from asd_monitor.journal.alarm_records import AlarmRecord

NOW = datetime(2026, 11, 23, 4, 45, tzinfo=UTC)


def shelved(number: int, *, minutes: float = 0.0, active: bool = True) -> AlarmRecord:
    condition = AlarmCondition.SHELVED if active else AlarmCondition.SHELVED_RETURNED
    return AlarmRecord(
        id=f"fan{number:02}-1",
        machine=f"fan{number:02}",
        severity="alarm",
        condition=condition,
        raised=NOW,
        cleared=None,
        acknowledged_at=None,
        who=None,
        why=None,
        peak_score=7.0,
        model=None,
        shelved_until=NOW + timedelta(minutes=minutes),
    )


class Box:
    """Shelved alarms of a box, looked at every second."""

    def __init__(self, *alarms: AlarmRecord) -> None:
        self.now_s = 0.0
        self.pace = ShelfPace(lambda: self.now_s)
        self.alarms = list(alarms)
        self.turns: list[tuple[str, float]] = []
        self.left: list[tuple[str, float]] = []

    async def run(self, seconds: int, *, stuck: Collection[str] = ()) -> None:
        for _ in range(seconds):
            over = [each for each in self.alarms if (each.shelved_until or NOW) <= NOW]
            for record in self.pace.due(over):
                self.turns.append((record.machine, self.now_s))
                if record.machine not in stuck:
                    await self.end(record)
            self.now_s += 1.0

    async def end(self, record: AlarmRecord, *, succeeds: bool = True) -> None:
        async def leave() -> bool:
            if succeeds:
                self.alarms.remove(record)
                self.left.append((record.machine, self.now_s))
            return succeeds

        await self.pace.end(record, leave)


async def test_one_alarm_in_abnormal_sound_leaves_its_shelf_each_minute_in_order() -> None:
    box = Box(shelved(2, minutes=-1), shelved(1, minutes=-2), shelved(3, minutes=5))
    await box.run(200)
    assert box.left == [("fan01", 0.0), ("fan02", PACE_S)]


async def test_alarms_in_normal_sound_leave_their_shelves_at_once() -> None:
    box = Box(shelved(0, minutes=-1))
    await box.run(1)
    quiet = [shelved(number, minutes=-1, active=False) for number in range(5)]
    box.alarms = [*quiet, shelved(9, minutes=-1)]
    await box.run(1)
    assert box.left[1:] == [(each.machine, 1.0) for each in quiet]


async def test_an_alarm_that_does_not_leave_is_passed_over_and_has_its_turn_again() -> None:
    box = Box(*(shelved(number, minutes=number - 9) for number in range(3)))
    await box.run(200, stuck=("fan00",))
    assert box.left == [("fan01", PATIENCE_S), ("fan02", PATIENCE_S + PACE_S)]
    assert len([machine for machine, _ in box.turns if machine == "fan00"]) > 3


async def test_alarms_that_come_late_to_their_turns_leave_one_a_minute_too() -> None:
    late = [shelved(number, minutes=-1) for number in range(5)]
    box = Box(*late)
    await box.run(60, stuck=[each.machine for each in late])
    for record in late:  # their disk answers again, for all at one time
        await box.end(record)
    assert box.left == [("fan00", 60.0)]


async def test_an_attempt_that_changes_nothing_does_not_take_the_minute() -> None:
    box = Box(shelved(1), shelved(2))
    await box.end(box.alarms[0], succeeds=False)
    await box.end(box.alarms[1])
    assert box.left == [("fan02", 0.0)]
