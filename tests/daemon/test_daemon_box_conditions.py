"""The conditions of the box: disk and clock, when they begin, end and are published."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from asd_monitor.daemon import box_checks
from asd_monitor.daemon.box_checks import BoxChecks
from asd_monitor.daemon.box_conditions import BoxConditions, Condition, ConditionKind
from asd_monitor.daemon.clock_check import STEP_HOLDS_S, ClockCheck, newest_time_s
from asd_monitor.daemon.disk_check import DAMAGE_S, WRITABLE_S, DiskCheck, DiskReading, read_disk
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.store import Journal
from tests.doubles.in_process_daemon import INTERVALS, InProcessDaemon
from tests.doubles.level_detector import make_config
from tests.doubles.memory_broker import MemoryBroker
from tests.doubles.waiting import until

ALARM = "asd/box/testbox/alarm"
NOW = datetime(2027, 3, 28, 0, 30, tzinfo=UTC)
GB = 1_000_000_000
ROOMY = DiskReading(10 * GB, 16 * GB, None)
DISK = Condition(ConditionKind.DISK, "the disk is nearly full", "free space", check="space")


def checks_of(conditions: list[Condition]) -> list[str | None]:
    return [each.check for each in conditions]


# disk


def judged(check: DiskCheck, reading: DiskReading, now_s: float, fault: str | None = None):
    return checks_of(check.judge(reading, journal_fault=fault, now_s=now_s))


def test_a_disk_with_room_is_no_condition(tmp_path: Path) -> None:
    assert judged(DiskCheck(tmp_path), ROOMY, 0.0) == []


def test_a_nearly_full_disk_is_one_until_there_is_clearly_more_room(tmp_path: Path) -> None:
    check = DiskCheck(tmp_path)
    assert judged(check, replace(ROOMY, free_bytes=99_000_000), 0.0) == ["space"]
    assert judged(check, replace(ROOMY, free_bytes=120_000_000), 10.0) == ["space"]
    assert judged(check, replace(ROOMY, free_bytes=151_000_000), 20.0) == []
    assert judged(check, replace(ROOMY, free_bytes=120_000_000), 30.0) == []


def test_a_small_disk_is_judged_by_its_share(tmp_path: Path) -> None:
    check = DiskCheck(tmp_path)
    assert judged(check, DiskReading(20_000_000, 64_000_000, None), 0.0) == []
    assert judged(check, DiskReading(3_000_000, 64_000_000, None), 1.0) == ["space"]


def test_an_unwritable_folder_is_one_until_it_was_writable_for_a_minute(tmp_path: Path) -> None:
    check = DiskCheck(tmp_path)
    (found,) = check.judge(ROOMY, journal_fault="the disk is full", now_s=5.0)
    assert found.check == "writing"
    assert "memory only" in found.text
    assert "the disk is full" in found.text
    assert found.remedy
    assert judged(check, ROOMY, 5.0 + WRITABLE_S - 1) == ["writing"]
    assert judged(check, ROOMY, 5.0 + WRITABLE_S) == []


def test_a_damaged_journal_that_was_set_aside_is_one_until_it_is_moved_or_old(
    tmp_path: Path,
) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"no database at all, but long enough to be one" * 200)
    Journal(tmp_path).close()
    kept = tmp_path / f"{FILE_NAME}.damaged-1"
    assert kept.exists()
    now_s = kept.stat().st_ctime
    reading = read_disk(tmp_path, wall_s=now_s + 10)
    assert reading.set_aside == (kept.name,)
    assert reading.free_bytes > 0
    assert judged(DiskCheck(tmp_path), replace(ROOMY, set_aside=reading.set_aside), 0.0) == [
        "journal"
    ]
    assert read_disk(tmp_path, wall_s=now_s + DAMAGE_S + 1).set_aside == ()
    kept.unlink()
    assert read_disk(tmp_path, wall_s=now_s + 10).set_aside == ()


def test_a_journal_of_an_earlier_format_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / f"{FILE_NAME}.format-1-1").touch()
    assert read_disk(tmp_path, wall_s=0.0).set_aside == ()


def test_a_missing_folder_cannot_be_written(tmp_path: Path) -> None:
    reading = read_disk(tmp_path / "missing", wall_s=0.0)
    assert judged(DiskCheck(tmp_path), reading, 0.0) == ["writing"]


# clock


def clock_checks(check: ClockCheck, wall_s: float, steady_s: float, *, is_synced: bool = False):
    return checks_of(check.judge(wall_s=wall_s, steady_s=steady_s, is_synced=is_synced))


def test_a_clock_before_the_newest_file_is_not_set_until_it_is(tmp_path: Path) -> None:
    file = tmp_path / "alarms.db"
    file.touch()
    os.utime(file, (4e9, 4e9))
    check = ClockCheck(newest_time_s(tmp_path))
    assert clock_checks(check, 4e9 - 1000, 0.0) == ["set"]
    assert clock_checks(check, 4e9 + 100, 1000.0) == ["step"]


def test_a_synchronised_clock_is_set_whatever_the_files_say() -> None:
    assert clock_checks(ClockCheck(4e9), 1.8e9, 0.0, is_synced=True) == []


def test_the_clock_must_not_be_before_the_installation(tmp_path: Path) -> None:
    assert newest_time_s(tmp_path) > 1.7e9
    assert newest_time_s(tmp_path / "missing") > 1.7e9
    assert clock_checks(ClockCheck(newest_time_s(tmp_path)), 0.0, 0.0) == ["set"]


@pytest.mark.parametrize("step_s", [-3600.0, 11.0])
def test_a_step_of_the_clock_is_a_condition_for_an_hour(step_s: float) -> None:
    check = ClockCheck(0.0)
    assert clock_checks(check, 1.8e9, 100.0) == []
    assert clock_checks(check, 1.8e9 + 10 + step_s, 110.0) == ["step"]
    end_s = 110.0 + STEP_HOLDS_S
    assert clock_checks(check, 1.8e9 + step_s + end_s - 101, end_s - 1) == ["step"]
    assert clock_checks(check, 1.8e9 + step_s + end_s - 100, end_s) == []
    assert check.steps == 1


def test_small_corrections_of_the_clock_are_no_step() -> None:
    check = ClockCheck(0.0)
    assert not any(clock_checks(check, 1.8e9 + 12.0 * n, 10.0 * n) for n in range(100))


def test_summer_time_is_no_step() -> None:
    zone = ZoneInfo("Europe/Berlin")
    before = NOW.astimezone(zone)
    after = (NOW + timedelta(hours=1)).astimezone(zone)
    assert after.hour - before.hour == 2  # the displayed time is put forward
    check = ClockCheck(0.0)
    clock_checks(check, before.timestamp(), 0.0)
    assert clock_checks(check, after.timestamp(), 3600.0) == []


# their message


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


def box(broker: MemoryBroker, now: Callable[[], datetime] = lambda: NOW) -> BoxConditions:
    return BoxConditions(broker, now)


def test_conditions_of_an_earlier_run_do_not_end_before_they_are_observed(broker) -> None:
    conditions = box(broker)
    conditions.update("disk", [])
    assert ALARM not in broker.retained
    conditions.restore({})
    conditions.update("self-test", [])
    assert broker.retained[ALARM]["active"] is False


def test_a_condition_is_published_at_once_and_lasts_since_the_earlier_run(broker) -> None:
    conditions = box(broker)
    conditions.update("disk", [DISK])
    assert broker.retained[ALARM]["conditions"][0]["kind"] == "disk"
    conditions.restore({DISK.key: NOW - timedelta(days=1)})
    conditions.update("self-test", [])
    assert broker.retained[ALARM]["conditions"][0]["since"].startswith("2027-03-27T00:30")


def test_a_condition_that_comes_back_later_has_a_new_beginning(broker) -> None:
    now = NOW
    conditions = box(broker, lambda: now)
    conditions.restore({DISK.key: NOW - timedelta(days=1)})
    conditions.update("disk", [])
    now = NOW + timedelta(hours=1)
    conditions.update("disk", [DISK])
    assert broker.retained[ALARM]["conditions"][0]["since"].startswith("2027-03-28T01:30")


def test_what_began_in_an_earlier_run_is_saved_until_it_is_observed_again_or_over(broker) -> None:
    now, begun = NOW, NOW - timedelta(days=1)
    conditions = box(broker, lambda: now)
    conditions.restore({DISK.key: begun})
    conditions.update("self-test", [])
    assert conditions.lasting_since == {DISK.key: begun}  # the run may be killed at once
    conditions.update("disk", [DISK])
    assert conditions.lasting_since == {DISK.key: begun}
    conditions.update("disk", [])
    assert conditions.lasting_since == {}


async def test_a_journal_that_cannot_be_written_is_a_condition_right_after_the_start(
    daemon: InProcessDaemon,
) -> None:
    (daemon.folder / FILE_NAME).symlink_to(daemon.folder / "missing")
    daemon.start(
        make_config(fan={"device": "hw:1"}), intervals=replace(INTERVALS, box_checks_s=0.05)
    )
    await until(lambda: daemon.broker.retained.get(ALARM, {}).get("active"))
    (found,) = daemon.broker.retained[ALARM]["conditions"]
    assert (found["kind"], found["check"]) == ("disk", "writing")
    assert found["remedy"]


async def test_a_disk_that_does_not_answer_is_a_condition_and_the_clock_is_still_checked(
    broker: MemoryBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()

    def read_after_gate(folder: Path, *, wall_s: float) -> DiskReading:
        gate.wait()
        return read_disk(folder, wall_s=wall_s)

    monkeypatch.setattr(box_checks, "read_disk", read_after_gate)
    now_s, step_s = 0.0, 0.0
    checks = BoxChecks(
        tmp_path,
        BoxConditions(broker, lambda: NOW),
        past_s=0.0,
        journal_fault=lambda: None,
        interval_s=0.01,
        answer_s=0.05,
        wall_s=lambda: NOW.timestamp() + now_s + step_s,
        steady_s=lambda: now_s,
    )

    def found() -> list[tuple[str, str]]:
        return [(each["kind"], each["text"]) for each in broker.retained[ALARM]["conditions"]]

    await checks.check()
    ((kind, text),) = found()
    assert kind == "disk"
    assert "the disk has not answered" in text
    step_s = 3600.0
    await checks.check()
    assert [kind for kind, _ in found()] == ["clock", "disk"]
    assert checks.thread.pending == 1
    gate.set()
    await until(lambda: checks.thread.pending == 0)
    await checks.check()
    now_s += WRITABLE_S
    await checks.check()
    assert [kind for kind, _ in found()] == ["clock"]
    checks.close()
