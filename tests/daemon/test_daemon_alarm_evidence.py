"""The evidence of alarms, from the sound of a session to the package on disk."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime

import numpy as np
import pytest

from asd_monitor.daemon.stream_clock import Clocks
from asd_monitor.evidence.package_files import read_package, stored_packages
from tests.doubles.session_evidence import (
    ALARM_LEVEL,
    NORMAL_LEVEL,
    RATE_HZ,
    raise_alarm,
    until_evidence,
)
from tests.doubles.waiting import TIMEOUT_S, until


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
