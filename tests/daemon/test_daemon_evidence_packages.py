"""The packages of the box without a session: what is kept, counted and deleted."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from jinja2 import TemplateError

from asd_monitor.alarm.state import AlarmCondition
from asd_monitor.daemon import evidence_packages
from asd_monitor.daemon.evidence_packages import EvidencePackages
from asd_monitor.daemon.evidence_storage import EvidenceLimits, PackageChange
from asd_monitor.evidence.building import content_of
from asd_monitor.evidence.package_files import read_package, stored_packages, write_package
from asd_monitor.evidence.package_names import PAGE, SIDECAR
from asd_monitor.evidence.retention import DAY_S, OLD_FOR_S, Bounds
from asd_monitor.journal.alarm_entries import AlarmEntry
from asd_monitor.journal.alarm_records import AlarmRecord
from asd_monitor.journal.store import Journal
from asd_monitor.reports import evidence_page
from tests.doubles.captured_alarm import RAISED, captured_alarm
from tests.doubles.waiting import TIMEOUT_S, until

LIMITS = EvidenceLimits(least_free_bytes=0, least_free_share=0.0, check_s=0.01)
BOUNDS = Bounds(2_000_000_000, 30 * DAY_S)


class Clocks:
    """A wall clock that tests set, and a steady one."""

    def __init__(self) -> None:
        self.begin_s = 1_800_000_000.0
        self.running_s = 0.0
        self.error_s = 0.0

    def wall_s(self) -> float:
        return self.begin_s + self.running_s + self.error_s

    def steady_s(self) -> float:
        return self.running_s


class Box:
    """The packages of a box, and what was noted of them."""

    def __init__(
        self,
        state: Path,
        journal: Journal,
        *,
        bounds: Bounds = BOUNDS,
        limits: EvidenceLimits = LIMITS,
    ) -> None:
        self.state = state
        self.journal = journal
        self.changes: list[PackageChange] = []
        self.clocks = Clocks()
        self.packages = EvidencePackages(
            "testbox",
            state,
            state / "models",
            journal=journal,
            on_change=self.changes.append,
            wall_s=self.clocks.wall_s,
            steady_s=self.clocks.steady_s,
            bounds=lambda _: bounds,
            limits=limits,
        )

    @property
    def names(self) -> list[str]:
        return sorted(each.alarm_id for each in stored_packages(self.state))

    def store(self, alarm_id: str, *, age_days: float = 0.0, label: str | None = None) -> None:
        """Store a package of an alarm that has returned to normal."""
        self.store_unknown(alarm_id, age_days=age_days)
        self.note(alarm_id, label=label)

    def note(self, alarm_id: str, *, label: str | None = None) -> None:
        """Write an alarm that has returned to normal to the journal."""
        record = AlarmRecord(
            id=alarm_id,
            machine="fan",
            severity="alarm",
            condition=AlarmCondition.NORMAL,
            raised=RAISED,
            cleared=RAISED,
            acknowledged_at=None,
            who=None,
            why=None,
            peak_score=7.0,
            model="v1",
            label=label,
        )
        assert self.journal.write([AlarmEntry(record)])

    def store_unknown(self, alarm_id: str, *, age_days: float = 0.0) -> None:
        """Store a package of an alarm that the journal does not know."""
        write_package(self.state, content_of(captured_alarm(alarm_id=alarm_id), None), "<p>")
        written_s = self.clocks.begin_s - age_days * DAY_S
        os.utime(self.state / "evidence/fan" / alarm_id / SIDECAR, (written_s, written_s))

    async def check(self) -> None:
        """Wait until a check that begins from now on has ended."""
        turns = self.packages.turns
        await until(lambda: self.packages.turns >= turns + 2)


@asynccontextmanager
async def running(box: Box) -> AsyncIterator[Box]:
    task = asyncio.create_task(box.packages.run())
    try:
        await box.check()
        yield box
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await box.packages.close(5.0)


@pytest.fixture
def make_box(tmp_path: Path) -> Iterator[Callable[..., Box]]:
    journals: list[Journal] = []

    def make(**keys: Any) -> Box:
        journals.append(Journal(tmp_path))
        return Box(tmp_path, journals[-1], **keys)

    yield make
    for journal in journals:
        journal.close()


async def test_a_clock_that_is_wrong_for_a_while_deletes_nothing(make_box):
    box = make_box()
    for number in range(3):
        box.store(f"fan-{number}")
    async with running(box):
        box.clocks.error_s = 40 * DAY_S
        await box.check()
        box.clocks.running_s += OLD_FOR_S / 2
        await box.check()
        box.clocks.error_s = 0.0
        await box.check()
        box.clocks.running_s += OLD_FOR_S
        await box.check()
    assert box.names == ["fan-0", "fan-1", "fan-2"]


async def test_old_packages_are_deleted_after_an_hour_of_running(make_box):
    box = make_box()
    box.store("fan-old", age_days=31)
    box.store("fan-valid", age_days=31, label="valid")
    box.store("fan-new")
    async with running(box):
        assert box.names == ["fan-new", "fan-old", "fan-valid"]
        box.clocks.running_s += OLD_FOR_S
        await box.check()
    assert box.names == ["fan-new", "fan-valid"]
    assert box.packages.counters.deleted == 1


async def test_what_is_written_before_the_clock_is_set_is_not_old_when_it_is(make_box):
    box = make_box()
    box.note("fan-early")
    box.clocks.error_s = -50 * 365 * DAY_S
    async with running(box):
        box.packages.submit(captured_alarm(alarm_id="fan-early"), None)
        await until(lambda: box.packages.counters.written == 1)
        box.clocks.running_s += 1200.0
        box.clocks.error_s = 0.0
        await box.check()
        (stored,) = stored_packages(box.state)
        assert stored.written_s == pytest.approx(box.clocks.begin_s, abs=1.0)
        box.clocks.running_s += 2 * OLD_FOR_S
        await box.check()
    assert box.names == ["fan-early"]
    box = make_box()  # the next run
    async with running(box):
        box.clocks.running_s += 2 * OLD_FOR_S
        await box.check()
    assert box.names == ["fan-early"]


async def test_a_disk_that_other_files_fill_costs_no_package_and_is_logged_once(make_box):
    box = make_box(limits=replace(LIMITS, least_free_share=1.0, most_free_bytes=2**62))
    box.store("fan-0")
    with structlog.testing.capture_logs() as logs:
        async with running(box):
            box.packages.submit(captured_alarm(alarm_id="fan-1"), None)
            await until(lambda: box.packages.counters.written == 1)
            await box.check()
    assert box.names == ["fan-0", "fan-1"]
    assert sum("the disk is nearly full" in each["event"] for each in logs) == 1


async def test_a_package_that_a_new_journal_does_not_know_is_kept_like_a_labelled_one(make_box):
    box = make_box()
    box.store_unknown("fan-unknown", age_days=40)
    box.store("fan-old", age_days=31)
    async with running(box):
        box.clocks.running_s += OLD_FOR_S
        await box.check()
    assert box.names == ["fan-unknown"]


async def test_packages_beyond_the_size_are_deleted_where_the_journal_does_not_know_them(make_box):
    box = make_box(bounds=Bounds(1, 30 * DAY_S))
    box.store_unknown("fan-unknown")
    async with running(box):
        pass
    assert box.names == []


async def test_nothing_is_written_or_removed_behind_a_link_of_one_machine(make_box, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / ".copy.partial").mkdir(parents=True)
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence/fan").symlink_to(elsewhere)
    box = make_box()
    with structlog.testing.capture_logs() as logs:
        async with running(box):
            box.packages.submit(captured_alarm(alarm_id="fan-1"), None)
            await until(lambda: box.packages.counters.unwritten == 1)
    assert [each.name for each in elsewhere.iterdir()] == [".copy.partial"]
    (error,) = [each for each in logs if each["event"].endswith("cannot be written")]
    assert "evidence/fan is a link: remove it" in error["reason"]


async def test_the_free_space_is_that_of_the_disk_of_the_packages(make_box, monkeypatch, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "evidence").symlink_to(elsewhere)
    of_disk = os.statvfs

    def statvfs(folder: Path) -> os.statvfs_result:
        found = list(of_disk(folder))
        if Path(folder).resolve() == elsewhere:
            found[4] = 0  # f_bavail
        return os.statvfs_result(found)

    monkeypatch.setattr(os, "statvfs", statvfs)
    box = make_box(limits=replace(LIMITS, least_free_bytes=1))
    async with running(box):
        box.packages.submit(captured_alarm(alarm_id="fan-1"), None)
        await until(lambda: box.packages.counters.unwritten == 1)
    assert box.names == []


@pytest.mark.parametrize("error", [RuntimeError("defect"), TemplateError("defect"), KeyError("x")])
async def test_a_defect_of_the_page_is_counted_and_costs_one_package(make_box, monkeypatch, error):
    def fail(*_: object) -> str:
        raise error

    box = make_box()
    async with running(box):
        with monkeypatch.context() as patched:
            patched.setattr(evidence_page, "evidence_page", fail)
            with structlog.testing.capture_logs() as logs:
                box.packages.submit(captured_alarm(alarm_id="fan-1"), None)
                await until(lambda: box.packages.counters.defects == 1)
        box.packages.submit(captured_alarm(alarm_id="fan-2"), None)
        await until(lambda: box.packages.counters.written == 1)
    (lost,) = [each for each in logs if "is lost by a defect" in each["event"]]
    assert (lost["machine"], lost["alarm"]) == ("fan", "fan-1")
    assert box.names == ["fan-2"]


async def test_each_package_that_cannot_be_written_is_logged_with_its_alarm(make_box):
    box = make_box(limits=replace(LIMITS, least_free_bytes=2**62))
    with structlog.testing.capture_logs() as logs:
        async with running(box):
            for number in range(3):
                box.packages.submit(captured_alarm(alarm_id=f"fan-{number}"), None)
            await until(lambda: box.packages.counters.unwritten == 3)
    errors = [each["alarm"] for each in logs if each["event"].endswith("cannot be written")]
    assert errors == ["fan-0", "fan-1", "fan-2"]


async def test_a_stop_writes_all_with_sound_and_the_pictures_for_which_there_is_time(
    make_box, monkeypatch
):
    monkeypatch.setattr(evidence_packages, "_WRITING_S", 5.0)
    box = make_box()
    for number in range(8):
        box.packages.submit(captured_alarm(alarm_id=f"fan-{number}"), None)
    await box.packages.close(30.0)  # by the clock of the test, which stands still, enough for six
    folders = [box.state / "evidence/fan" / f"fan-{number}" for number in range(8)]
    assert all(read_package(folder).read_sound() is not None for folder in folders)
    stopped = ["the daemon was stopped" in (each / PAGE).read_text() for each in folders]
    assert any(stopped)
    assert not stopped[-1]
    assert box.packages.counters.without_pictures == sum(stopped)
    assert box.packages.counters.late == 0


async def test_what_a_stop_does_not_complete_is_counted_and_logged(make_box, monkeypatch):
    gate, entered = threading.Event(), threading.Event()

    def write_late(*arguments: Any) -> int:
        entered.set()
        assert gate.wait(TIMEOUT_S)
        return write_package(*arguments)

    monkeypatch.setattr(evidence_packages, "write_package", write_late)
    box = make_box()
    with structlog.testing.capture_logs() as logs:
        for number in range(3):
            box.packages.submit(captured_alarm(alarm_id=f"fan-{number}"), None)
        await until(entered.is_set)
        await box.packages.close(0.1)
        await box.packages.close(0.1)
    counters = box.packages.counters
    gate.set()
    await until(lambda: box.packages.thread.pending == 0)
    late = [each["alarm"] for each in logs if each["event"].endswith("not complete at the stop")]
    assert late == ["fan-0", "fan-1", "fan-2"]
    assert counters.late == 3
