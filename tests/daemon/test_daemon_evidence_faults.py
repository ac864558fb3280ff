"""Faults while evidence is captured and written: they cost the package at most."""

from __future__ import annotations

import shutil
import threading
from typing import Any

import pytest
import structlog

from asd_monitor.daemon import alarm_evidence, evidence_packages
from asd_monitor.evidence.package_files import read_package, stored_packages, write_package
from tests.doubles.session_evidence import (
    ALARM_LEVEL,
    NORMAL_LEVEL,
    raise_alarm,
    until_evidence,
)
from tests.doubles.waiting import TIMEOUT_S, until


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
