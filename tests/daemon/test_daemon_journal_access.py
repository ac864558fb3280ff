"""The daemon and its journal on a disk that does not answer."""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from asd_monitor.daemon import journal_access
from asd_monitor.daemon.journal_access import JournalAccess
from asd_monitor.daemon.shutdown import Step, run_step
from asd_monitor.journal.commands import read_journal
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.limited_disk import DiskLimits
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.store import Journal
from asd_monitor.journal.stored_journal import StoredJournal
from asd_monitor.journal.write_queue import PORTION
from tests.doubles.hanging_disk import SHORT, HangingDisk
from tests.doubles.in_process_daemon import InProcessDaemon
from tests.doubles.journal_outbox import raise_alarm
from tests.doubles.journalled_machine import NOW, RAISED
from tests.doubles.level_detector import make_config
from tests.doubles.waiting import until

ALARM_LEVEL = 0.6


async def test_the_alarm_of_an_earlier_run_is_taken_up_where_the_journal_opens_late(
    daemon: InProcessDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Journal(daemon.folder) as earlier:
        raise_alarm(earlier, "fan")
    disk = HangingDisk()
    disk.hang("PRAGMA")
    limits = DiskLimits(answer_s=1.0, opening_s=0.2)
    open_it = partial(Journal, connect=disk.connect, limits=limits)
    monkeypatch.setattr(journal_access, "Journal", open_it)
    daemon.start(make_config(fan={"device": "hw:1"}, pump={"device": "hw:2"}))
    await daemon.until_state("fan", "normal")
    await daemon.until_state("pump", "normal")
    topics = {f"asd/{machine}/alarm" for machine in ("fan", "pump")}
    assert not topics & daemon.broker.retained.keys()  # those of the earlier run stay
    disk.answer()
    await until(lambda: topics <= daemon.broker.retained.keys())
    assert daemon.broker.alarm("fan")["active"]
    assert not daemon.broker.alarm("pump")["active"]
    daemon.source("hw:1").play(5)
    await daemon.until_state("fan", "alarm")
    assert daemon.service.parts.registry.restarts == 0  # a new session would take it up as well


async def test_an_alarm_raised_before_the_journal_opens_continues_that_of_an_earlier_run(
    daemon: InProcessDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Journal(daemon.folder) as earlier:
        raise_alarm(earlier, "fan")
        (before,) = earlier.alarms("fan")
    disk = HangingDisk()
    disk.hang("PRAGMA")
    limits = DiskLimits(answer_s=1.0, opening_s=0.2)
    monkeypatch.setattr(
        journal_access, "Journal", partial(Journal, connect=disk.connect, limits=limits)
    )
    daemon.start(make_config(fan={"device": "hw:1"}))
    await daemon.until_state("fan", "normal")
    daemon.source("hw:1").play(15, ALARM_LEVEL)
    await daemon.until_state("fan", "alarm")
    newest = daemon.broker.alarm("fan")["id"]
    disk.answer()
    await until(lambda: daemon.broker.messages("fan/event"))

    def of_earlier() -> list[dict[str, Any]]:
        events = daemon.broker.messages("fan/event")
        return [each for each in events if each["alarm_id"] == before.id]

    await until(lambda: any(each["to"] == "returned" for each in of_earlier()))
    assert of_earlier()[-1]["why"].startswith(f"continued by alarm {newest}")
    assert daemon.broker.alarm("fan")["id"] == newest
    content = read_journal(daemon.folder)
    assert content is not None
    assert [each.id for each in content.alarms if each.active] == [newest]


async def test_what_a_disk_that_does_not_answer_has_not_written_is_logged(tmp_path: Path) -> None:
    disk = HangingDisk()
    journal = Journal(tmp_path, connect=disk.connect, limits=SHORT)
    access = JournalAccess(journal, poll_s=1.0)
    fan = MachineJournal(journal, "fan01")
    disk.hang("COMMIT")
    event = fan.record(RAISED, NOW, "v1")
    with capture_logs() as logs:
        await run_step(Step("close the journal", 5.0, access.close), cancel_s=1.0)
    disk.answer()
    (entry,) = logs
    assert "is incomplete" in entry["event"]
    assert entry["alarm_ids"] == [event.alarm_id]
    assert "does not answer" in entry["reason"]


async def test_what_is_not_written_is_logged_where_closing_is_cancelled(tmp_path: Path) -> None:
    disk = HangingDisk()
    journal = Journal(tmp_path, connect=disk.connect, limits=DiskLimits(answer_s=1.0))
    access = JournalAccess(journal, poll_s=1.0)
    fan = MachineJournal(journal, "fan01")
    other = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    fan.record(RAISED, NOW, "v1")
    disk.hang("BEGIN IMMEDIATE")
    with capture_logs() as logs:
        await run_step(Step("close the journal", 0.2, access.close), cancel_s=1.0)
    other.close()
    disk.answer()
    assert [entry["event"].split(":")[0] for entry in logs] == [
        "shutdown step exceeded its limit",
        "the journal of alarms is incomplete",
    ]


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_a_check_that_has_not_come_to_its_end_is_repeated(
    tmp_path: Path, is_cancelled: bool
) -> None:
    access = JournalAccess(Journal(tmp_path), poll_s=0.01)
    begun, repeated = asyncio.Event(), asyncio.Event()

    async def fail() -> None:
        begun.set()
        if is_cancelled:
            await asyncio.Event().wait()
        raise ValueError("a defect")

    async def note() -> None:
        repeated.set()

    failing = asyncio.create_task(access.poll(fail))
    await begun.wait()
    failing.cancel()
    with pytest.raises(asyncio.CancelledError if is_cancelled else ValueError):
        await failing
    polling = asyncio.create_task(access.poll(note))
    await asyncio.wait_for(repeated.wait(), 10)
    polling.cancel()
    await access.close()


async def test_each_portion_of_a_backlog_is_a_turn_of_the_poll(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = JournalAccess(Journal(tmp_path), poll_s=0.01)
    other = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    fan = MachineJournal(access.journal, "fan01")
    for _ in range(2 * PORTION):
        fan.record(RAISED, NOW, "v1")
    other.close()
    turns, write = [], StoredJournal.write_portion

    def note_turns(stored: StoredJournal) -> bool:
        turns.append(access.turns)
        return write(stored)

    monkeypatch.setattr(StoredJournal, "write_portion", note_turns)
    done = asyncio.Event()

    async def note() -> None:
        done.set()

    polling = asyncio.create_task(access.poll(note))
    await asyncio.wait_for(done.wait(), 10)
    polling.cancel()
    assert turns[:3] == [0, 1, 2]
    await access.close()


async def test_a_hanging_disk_does_not_silence_the_daemon(
    daemon: InProcessDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = HangingDisk()
    open_it = partial(Journal, connect=disk.connect, limits=SHORT)
    monkeypatch.setattr(journal_access, "Journal", open_it)
    daemon.start(make_config(fan={"device": "hw:1", "alarm": {"on_delay_s": 1}}))
    await daemon.until_state("fan", "normal")
    disk.hang("COMMIT")
    with capture_logs() as logs:
        daemon.source("hw:1").play(20, ALARM_LEVEL)
        await daemon.until_state("fan", "alarm")
        await until(lambda: daemon.broker.alarm("fan")["active"])
        await until(lambda: daemon.broker.messages("fan/event")[-1:] != [])
        await until(lambda: any("cannot be written" in entry["event"] for entry in logs))
        assert daemon.broker.messages("fan/event")[-1]["seq"] is None
        disk.answer()
        await until(lambda: any("written again" in entry["event"] for entry in logs))
