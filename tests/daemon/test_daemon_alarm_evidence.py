"""The evidence of alarms, from the sound of a session to the package on disk."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog

from asd_monitor.daemon import alarm_evidence, evidence_packages
from asd_monitor.daemon.stream_clock import Clocks
from asd_monitor.evidence.package_files import read_package, stored_packages, write_package
from asd_monitor.evidence.retention import Bounds
from asd_monitor.journal.requests import Request, Verb
from tests.doubles.journalled_machine import acknowledgement
from tests.doubles.monitored_machine import MonitoredMachine
from tests.doubles.scripted_source import ScriptedSource
from tests.doubles.waiting import TIMEOUT_S, until

ALARM_LEVEL = 0.6
NORMAL_LEVEL = 0.05
RATE_HZ = 16_000


async def raise_alarm(machine: MonitoredMachine, normal_s: int = 20) -> str:
    """Play normal sound and that of an alarm; return the id of the alarm."""
    machine.start()
    machine.source.open()
    await machine.play(normal_s, NORMAL_LEVEL)
    await machine.play(15, ALARM_LEVEL)
    await machine.until_state("alarm")
    alarm_id: str = machine.broker.alarm("fan")["id"]
    return alarm_id


async def until_evidence(machine: MonitoredMachine) -> str:
    """Wait until the alarm has evidence; return its path."""
    await until(lambda: machine.broker.alarm("fan")["evidence"])
    path: str = machine.broker.alarm("fan")["evidence"]
    return path


async def test_an_alarm_gets_a_package_with_its_sound_when_that_is_complete(make, tmp_path):
    machine = make(evidence={"keep_before_s": 8, "keep_after_s": 5})
    alarm_id = await raise_alarm(machine)
    assert machine.broker.alarm("fan")["evidence"] is None
    await machine.play(10, NORMAL_LEVEL)
    path = await until_evidence(machine)
    assert path == f"evidence/fan/{alarm_id}"
    package = read_package(tmp_path / path)
    alarm, sound = package.alarm, package.document["sound"]
    assert (alarm["id"], alarm["machine"], alarm["model"]) == (alarm_id, "fan", "v1")
    assert alarm["raised_sample"] - alarm["onset_sample"] >= 3 * RATE_HZ  # the on-delay
    assert sound["first_sample"] == alarm["onset_sample"] - 8 * RATE_HZ
    past = sound["first_sample"] + sound["samples"]
    assert past == alarm["raised_sample"] + 5 * RATE_HZ
    found = package.read_sound()
    assert found is not None
    samples, rate_hz = found
    assert (len(samples), rate_hz) == (sound["samples"], RATE_HZ)
    begin = 20 * RATE_HZ - sound["first_sample"]  # of the fault
    assert np.std(samples[: begin - 100]) < 0.1 < np.std(samples[begin + 100 : begin + RATE_HZ])
    assert package.document["scores"]["sample"][-1] >= past - RATE_HZ
    (record,) = machine.journal.alarms("fan")
    assert record.evidence == path


async def test_an_alarm_that_goes_on_and_is_raised_again_gets_no_second_package(make, tmp_path):
    machine = make(alarm={"off_delay_s": 2})
    await raise_alarm(machine)
    await machine.play(25, NORMAL_LEVEL)
    await until(lambda: machine.broker.alarm("fan")["latched"])
    await until_evidence(machine)
    await machine.play(20, ALARM_LEVEL)
    await until(lambda: not machine.broker.alarm("fan")["latched"])
    await machine.play(25, NORMAL_LEVEL)
    await machine.stop()
    await machine.evidence.close(TIMEOUT_S)
    counters = machine.evidence.counters
    assert (counters.written, counters.unwritten, counters.dropped) == (1, 0, 0)
    assert len(stored_packages(tmp_path)) == 1


async def test_the_next_alarm_gets_its_own_package(make, tmp_path):
    machine = make(alarm={"off_delay_s": 2, "latch": False})
    first = await raise_alarm(machine)
    await machine.play(25, NORMAL_LEVEL)
    await until_evidence(machine)
    await machine.play(20, ALARM_LEVEL)
    await until(lambda: machine.broker.alarm("fan")["id"] != first)
    assert machine.broker.alarm("fan")["evidence"] is None
    await machine.play(15, NORMAL_LEVEL)
    await until_evidence(machine)
    assert machine.evidence.counters.written == len(stored_packages(tmp_path)) == 2


async def test_an_interrupted_capture_ends_the_sound(make, tmp_path):
    machine = make()
    alarm_id = await raise_alarm(machine)
    machine.source.interrupt("unplugged")
    path = await until_evidence(machine)
    sound = read_package(tmp_path / path).document["sound"]
    assert sound["first_sample"] + sound["samples"] == 35 * RATE_HZ
    assert machine.broker.alarm("fan")["id"] == alarm_id


async def test_the_times_of_a_package_are_by_the_clock_of_the_raise(make, tmp_path):
    machine = make()
    machine.start()
    ahead_s = 0.0
    machine.session._capture_loop._clocks = Clocks(wall_s=lambda: time.time() + ahead_s)
    machine.source.open()
    await machine.play(20, NORMAL_LEVEL)
    await machine.play(15, ALARM_LEVEL)
    await machine.until_state("alarm")
    ahead_s = 21 * 86_400.0  # set while the sound after the alarm is captured
    await machine.play(10, NORMAL_LEVEL)
    document = read_package(tmp_path / await until_evidence(machine)).document
    alarm, sound = document["alarm"], document["sound"]
    (record,) = machine.journal.alarms("fan")
    raised, onset, begin = (
        datetime.fromisoformat(each) for each in (alarm["raised"], alarm["onset"], sound["begin"])
    )
    assert abs((raised - record.raised).total_seconds()) < 0.001
    delay_s = (alarm["raised_sample"] - alarm["onset_sample"]) / RATE_HZ
    assert (raised - onset).total_seconds() == pytest.approx(delay_s, abs=0.002)
    before_s = (alarm["raised_sample"] - sound["first_sample"]) / RATE_HZ
    assert (raised - begin).total_seconds() == pytest.approx(before_s, abs=0.002)


async def test_the_end_of_a_recording_ends_the_sound(make, tmp_path):
    machine = make(device="file:/a.wav")
    alarm_id = await raise_alarm(machine)
    machine.source.finish()
    await asyncio.wait_for(machine.task, TIMEOUT_S)
    await until(lambda: machine.evidence.counters.written == 1)
    sound = read_package(tmp_path / "evidence/fan" / alarm_id).document["sound"]
    assert sound["first_sample"] + sound["samples"] == 35 * RATE_HZ


async def test_a_recording_at_full_speed_keeps_the_sound_before_its_alarm(make, tmp_path):
    machine = make(device="file:/a.wav")
    machine.start()
    machine.source.open().play(120, NORMAL_LEVEL)
    machine.source.play(60, ALARM_LEVEL)
    machine.source.finish()
    await asyncio.wait_for(machine.task, TIMEOUT_S)
    await until(lambda: machine.evidence.counters.written == 1)
    (record,) = machine.journal.alarms("fan")
    package = read_package(tmp_path / "evidence/fan" / record.id)
    alarm, sound = package.alarm, package.document["sound"]
    assert sound["first_sample"] == alarm["onset_sample"] - 10 * RATE_HZ
    assert sound["samples"] == 20 * RATE_HZ + alarm["raised_sample"] - alarm["onset_sample"]
    assert sound["gaps"] == []


async def test_lost_samples_are_gaps_of_the_sound(make, tmp_path):
    machine = make()
    machine.start()
    machine.source.open()
    await machine.play(20, NORMAL_LEVEL)
    await machine.play(5, ALARM_LEVEL)
    machine.source.play(15, ALARM_LEVEL, gap=RATE_HZ // 4)
    await machine.until_evaluated()
    await machine.until_state("alarm")
    await machine.play(10, NORMAL_LEVEL)
    path = await until_evidence(machine)
    package = read_package(tmp_path / path)
    (gap,) = package.document["sound"]["gaps"]
    assert gap["seconds"] == 0.25
    found = package.read_sound()
    assert found is not None
    first = round(gap["from_s"] * RATE_HZ)
    assert not found[0][first : first + RATE_HZ // 4].any()


async def test_none_stores_pictures_and_numbers_only(make, tmp_path):
    machine = make(evidence={"sound": "none"})
    await raise_alarm(machine)
    await machine.play(15, NORMAL_LEVEL)
    path = await until_evidence(machine)
    names = {each.name for each in (tmp_path / path).iterdir()}
    assert names == {"alarm.json", "index.html", "spectrogram.png"}
    assert read_package(tmp_path / path).document["sound"] is None
    assert "data:image/png" in (tmp_path / path / "index.html").read_text()
    assert not list(tmp_path.rglob("*.flac"))


async def test_while_no_alarm_comes_nothing_is_written(make, tmp_path):
    machine = make()
    machine.start()
    machine.source.open()
    await machine.play(60, NORMAL_LEVEL)
    assert not (tmp_path / "evidence").exists()
    assert machine.evidence.thread.done == 0


async def test_a_slow_disk_does_not_delay_scores(make, monkeypatch, tmp_path):
    gate, entered = threading.Event(), threading.Event()
    write = write_package

    def write_late(*arguments: Any) -> int:
        entered.set()
        assert gate.wait(TIMEOUT_S)
        return write(*arguments)

    monkeypatch.setattr(evidence_packages, "write_package", write_late)
    machine = make()
    await raise_alarm(machine)
    await machine.play(15, NORMAL_LEVEL)
    await until(entered.is_set)
    before = len(machine.broker.messages("fan/score"))
    await machine.play(10, NORMAL_LEVEL)
    assert len(machine.broker.messages("fan/score")) > before + 15
    assert machine.broker.alarm("fan")["evidence"] is None
    gate.set()
    await until_evidence(machine)


@pytest.mark.parametrize("fault", ["full", "file"])
async def test_a_disk_that_refuses_costs_the_package_and_nothing_else(
    make, monkeypatch, tmp_path, fault
):
    machine = make(alarm={"off_delay_s": 2, "latch": False})
    if fault == "file":
        (tmp_path / "evidence").write_text("a file where the folder is to be")
    else:
        object.__setattr__(machine.evidence._limits, "least_free_bytes", 2**62)
    first = await raise_alarm(machine)
    with structlog.testing.capture_logs() as logs:
        await machine.play(25, NORMAL_LEVEL)
        await until(lambda: machine.evidence.counters.unwritten == 1)
    (error,) = [each for each in logs if each["event"].endswith("cannot be written")]
    assert (error["machine"], error["alarm"]) == ("fan", first)
    assert machine.broker.alarm("fan")["evidence"] is None
    await machine.until_state("normal")

    if fault == "file":
        (tmp_path / "evidence").unlink()
    else:
        object.__setattr__(machine.evidence._limits, "least_free_bytes", 0)
    await machine.play(20, ALARM_LEVEL)
    await until(lambda: machine.broker.alarm("fan")["id"] != first)
    await machine.play(15, NORMAL_LEVEL)
    await until_evidence(machine)
    assert machine.evidence.counters.written == 1


async def test_a_folder_that_is_deleted_is_created_again(make, tmp_path):
    machine = make(alarm={"off_delay_s": 2, "latch": False})
    first = await raise_alarm(machine)
    await machine.play(25, NORMAL_LEVEL)
    await until_evidence(machine)
    shutil.rmtree(tmp_path / "evidence")
    await machine.play(20, ALARM_LEVEL)
    await until(lambda: machine.broker.alarm("fan")["id"] != first)
    await machine.play(15, NORMAL_LEVEL)
    path = await until_evidence(machine)
    assert read_package(tmp_path / path).alarm["id"] != first


async def test_a_defect_of_the_pictures_costs_the_pictures_only(make, monkeypatch, tmp_path):
    def fail(*_arguments: object) -> None:
        raise ValueError("defect")

    monkeypatch.setattr(evidence_packages, "alarm_picture", fail)
    machine = make()
    await raise_alarm(machine)
    with structlog.testing.capture_logs() as logs:
        await machine.play(15, NORMAL_LEVEL)
        path = await until_evidence(machine)
    assert any("pictures" in each["event"] for each in logs)
    assert machine.evidence.counters.without_pictures == 1
    assert read_package(tmp_path / path).read_sound() is not None
    assert "could not be made" in (tmp_path / path / "index.html").read_text()


async def test_where_too_much_sound_waits_the_first_alarms_keep_theirs(make, tmp_path):
    machine = make()
    object.__setattr__(machine.evidence._limits, "waiting_bytes", 1000)
    await raise_alarm(machine)
    await machine.play(15, NORMAL_LEVEL)
    path = await until_evidence(machine)
    package = read_package(tmp_path / path)
    assert package.document["sound"] is None
    assert "no memory for the sound" in package.document["notes"][0]
    assert machine.evidence.counters.without_sound == 1


@pytest.mark.parametrize("error", [MemoryError, ValueError])
async def test_a_fault_of_the_capture_costs_no_reading(make, monkeypatch, tmp_path, error):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(alarm_evidence, "joined", fail)
    machine = make()
    alarm_id = await raise_alarm(machine)
    await machine.play(20, ALARM_LEVEL)
    counters = machine.evidence.counters
    if error is MemoryError:
        package = read_package(tmp_path / await until_evidence(machine))
        assert package.document["sound"] is None
        assert "no memory for the sound" in package.document["notes"][0]
        assert (counters.without_sound, counters.defects) == (1, 0)
    else:
        assert (counters.without_sound, counters.defects) == (0, 1)
        assert machine.broker.alarm("fan")["id"] == alarm_id
    assert not machine.task.done()
    windows = [each["seq"] for each in machine.broker.messages("fan/score")]
    assert windows == list(range(windows[0], windows[0] + len(windows)))
    ends_s = 55  # of the sound that was played
    assert len(windows) >= 2 * ends_s - 10


async def test_where_too_many_wait_a_package_is_dropped_and_counted(make, tmp_path):
    machine = make()
    object.__setattr__(machine.evidence._limits, "waiting_packages", 0)
    await raise_alarm(machine)
    await machine.play(15, NORMAL_LEVEL)
    await until(lambda: machine.evidence.counters.dropped == 1)
    assert stored_packages(tmp_path) == []


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
