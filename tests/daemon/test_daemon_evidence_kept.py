"""The evidence of alarms after it is written: deleted, noted after a restart, acknowledged."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from asd_monitor.evidence.package_files import stored_packages
from asd_monitor.evidence.retention import Bounds
from asd_monitor.journal.requests import Request, Verb
from tests.doubles.journalled_machine import acknowledgement
from tests.doubles.scripted_source import ScriptedSource
from tests.doubles.session_evidence import (
    ALARM_LEVEL,
    NORMAL_LEVEL,
    raise_alarm,
    until_evidence,
)
from tests.doubles.waiting import until


async def test_retention_deletes_the_oldest_and_the_journal_knows(make, tmp_path):
    machine = make(alarm={"off_delay_s": 2, "latch": False})
    machine.bounds = Bounds(1, 1e9)  # each is too large
    first = await raise_alarm(machine)
    await machine.play(10, ALARM_LEVEL)
    await until_evidence(machine)  # an active alarm keeps its own
    await machine.play(20, NORMAL_LEVEL)
    await machine.until_state("normal")
    await machine.play(20, ALARM_LEVEL)
    await until(lambda: machine.broker.alarm("fan")["id"] != first)
    await machine.play(15, ALARM_LEVEL)
    path = await until_evidence(machine)
    assert [each.alarm_id for each in stored_packages(tmp_path)] == [Path(path).name]
    assert machine.evidence.counters.deleted == 1
    await until(lambda: machine.journal.find(first).evidence is None)


async def test_a_restart_notes_what_a_killed_daemon_has_written(make, monkeypatch, tmp_path):
    machine = make()
    monkeypatch.setattr(machine.evidence, "_on_change", lambda _: None)  # it is killed before
    alarm_id = await raise_alarm(machine)
    await machine.play(15, NORMAL_LEVEL)
    await until(lambda: machine.evidence.counters.written == 1)
    await machine.stop()
    unfinished = tmp_path / "evidence/fan/.fan-2.partial"
    unfinished.mkdir()
    monkeypatch.undo()

    machine.start(ScriptedSource().open())
    checks = asyncio.create_task(machine.evidence.run())
    machine.source.play(5, NORMAL_LEVEL)
    assert await until_evidence(machine) == f"evidence/fan/{alarm_id}"
    assert not unfinished.exists()
    assert machine.evidence.counters.unfinished == 1
    checks.cancel()


async def test_the_acknowledgement_keeps_the_evidence(make):
    machine = make(alarm={"off_delay_s": 2})
    alarm_id = await raise_alarm(machine)
    await machine.play(25, NORMAL_LEVEL)
    path = await until_evidence(machine)
    time = machine.journal.alarms("fan")[0].raised
    machine.journal.requests.add(acknowledgement(alarm_id, "ann", "bearing", time))
    machine.session.check_requests()
    await until(lambda: machine.broker.alarm("fan")["acknowledged"])
    assert machine.broker.alarm("fan")["evidence"] == path


async def test_labelled_evidence_is_deleted_last(make, tmp_path):
    machine = make(alarm={"off_delay_s": 2, "latch": False})
    first = await raise_alarm(machine)
    await machine.play(25, NORMAL_LEVEL)
    await until_evidence(machine)
    (record,) = machine.journal.alarms("fan")
    label = Request(Verb.LABEL, "fan", "ann", record.raised, alarm_id=first)
    machine.journal.requests.add(replace(label, arguments={"label": "valid"}))
    machine.session.check_requests()
    await until(lambda: machine.journal.find(first).label == "valid")
    for _ in range(2):
        raised = len(machine.journal.alarms("fan"))
        await machine.play(20, ALARM_LEVEL)
        await machine.until_state("alarm")
        assert len(machine.journal.alarms("fan")) == raised + 1
        await machine.play(25, NORMAL_LEVEL)
        newest = Path(await until_evidence(machine)).name
        await machine.until_state("normal")
        size = max(each.bytes for each in stored_packages(tmp_path))
        machine.bounds = Bounds(2 * size + 4096, 1e9)  # two of them
    names = {each.alarm_id for each in stored_packages(tmp_path)}
    assert names == {first, newest}


async def test_after_a_repair_the_new_sound_is_a_new_alarm_with_a_package(make, tmp_path):
    """The order of docs/after-a-repair.md: acknowledged, off, out of service, in service."""
    machine = make(alarm={"off_delay_s": 2})
    first = await raise_alarm(machine)
    machine.journal.requests.add(acknowledgement(first))
    machine.session.check_requests()
    await until(lambda: machine.broker.alarm("fan")["acknowledged"])
    await machine.play(25, NORMAL_LEVEL)  # switched off
    await until_evidence(machine)
    await until(lambda: not machine.broker.alarm("fan")["active"])
    await machine.change_service(Verb.OUT_OF_SERVICE)
    await machine.play(30, ALARM_LEVEL)  # the work
    await machine.change_service(Verb.IN_SERVICE)
    await machine.play(60, ALARM_LEVEL)
    await until(lambda: len(stored_packages(tmp_path)) == 2)
    assert {each.id for each in machine.journal.alarms("fan")} == {
        each.alarm_id for each in stored_packages(tmp_path)
    }
    assert machine.broker.alarm("fan")["id"] != first
