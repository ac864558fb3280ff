"""Outages, a dead channel and recordings in one monitor session with a scripted source."""

import asyncio
from datetime import datetime
from functools import partial

import pytest
import structlog

from asd_monitor.errors import UsageError
from asd_monitor.records import MicrophoneState
from tests.doubles.monitored_machine import MonitoredMachine
from tests.doubles.waiting import TIMEOUT_S, until

ALARM_LEVEL = 0.6
NORMAL_LEVEL = 0.05


async def test_outage_is_published_and_alarms_neither_rise_nor_clear(make):
    machine = make(alarm={"off_delay_s": 2})
    machine.start()
    machine.source.interrupt("hw:1: no such card")
    state = await machine.until_state("unavailable", "no_device")
    assert not state["evaluated"]
    assert state["reason"] == "hw:1: no such card"
    machine.source.open().play(25, ALARM_LEVEL)
    await machine.until_state("alarm")
    machine.source.interrupt("unplugged")
    state = await machine.until_state("unavailable", "no_device")
    assert not state["evaluated"]
    assert state["last_evaluated"]["state"] == "alarm"
    assert machine.broker.alarm("fan")["active"] is True
    assert machine.session.progress.idle_reason == "unplugged"
    machine.source.open().play(3, ALARM_LEVEL, gap=160_000)
    await machine.until_state("alarm")
    assert machine.broker.alarm("fan")["latched"] is False
    expected = [
        *[("no_device", "ok"), ("unavailable", "normal")],
        *[("ok", "no_device"), ("alarm", "unavailable")],
        *[("no_device", "ok"), ("unavailable", "alarm")],
    ]
    await until(
        lambda: (
            [
                change
                for change in machine.broker.transitions("fan")
                if {"no_device", "unavailable"} & set(change)
            ]
            == expected
        )
    )


def has_reason(machine: MonitoredMachine, reason: str) -> bool:
    return bool(machine.state["reason"] == reason)


async def test_each_outage_is_logged_once(make):
    machine = make()
    with structlog.testing.capture_logs() as logs:
        machine.start()
        machine.source.open().play(3)
        await machine.until_state("normal")
        for reason in ("unplugged", "held by arecord"):
            machine.source.interrupt(reason)
            await until(partial(has_reason, machine, reason))
            machine.source.open().play(3)
            await machine.until_state("normal")
        await until(lambda: len(machine.broker.transitions("fan")) == 8)
    for reason in ("unplugged", "held by arecord"):
        assert len([entry for entry in logs if reason in entry.values()]) == 1


async def test_sound_before_an_outage_does_not_count_after_it(make):
    machine = make()
    machine.start()
    for _ in range(3):
        machine.source.open().play(7, ALARM_LEVEL)  # twice as long raises an alarm
        await machine.until_evaluated()
        machine.source.interrupt("a file that cannot be read")
        await machine.until_state("unavailable", "no_device")
    assert machine.broker.alarm("fan")["active"] is False
    machine.source.open().play(14, ALARM_LEVEL)
    await machine.until_state("alarm")


async def test_dead_channel_is_a_fault_until_the_signal_returns(make):
    machine = make()
    machine.start()
    machine.source.open().play(5, NORMAL_LEVEL)
    machine.source.play_constant(4)
    state = await machine.until_state("unavailable", "fault")
    assert "muted or broken" in state["reason"]
    assert not state["evaluated"]
    machine.source.play(5, NORMAL_LEVEL)
    await machine.until_state("normal", "ok")
    await until(lambda: len(machine.broker.transitions("fan")) == 4)
    assert sorted(machine.broker.transitions("fan")) == [
        ("fault", "ok"),
        ("normal", "unavailable"),
        ("ok", "fault"),
        ("unavailable", "normal"),
    ]


@pytest.mark.parametrize(("lost_s", "state"), [(2.0, "degraded"), (0.01, "ok")])
async def test_lost_sound_is_degraded_before_the_next_check(make, lost_s, state):
    machine = make()
    machine.start()
    machine.source.open().play(5)
    await machine.until_evaluated()
    machine.source.stream.lost_samples += round(lost_s * 16_000)
    machine.source.play(5, gap=round(lost_s * 16_000))
    await machine.until_evaluated()
    published = await machine.until_state("normal", state)
    assert (published["reason"] is not None) is (state == "degraded")
    before = len(machine.broker.messages("fan/state"))
    machine.session.repeat_state()
    (repeated,) = machine.broker.messages("fan/state")[before:]
    assert (repeated["state"], repeated["microphone"]) == ("normal", "ok")
    assert repeated["reason"] is None


async def test_slow_evaluation_loses_the_oldest_samples_and_is_degraded(make):
    machine = make()
    gate = await machine.start_held()
    machine.source.is_microphone = True
    machine.source.play(90)
    await until(lambda: machine.source.delivered)
    gate.set()
    await machine.until_evaluated()
    status = machine.session.status
    assert 25 * 16_000 < status.lost_samples <= 35 * 16_000
    machine.session.repeat_state()
    state = await machine.until_state("normal", "degraded")
    assert state["evaluated"]
    assert "lost" in state["reason"]
    machine.source.play(5)
    await machine.until_evaluated()
    machine.session.repeat_state()
    await machine.until_state("normal", "ok")


async def test_recording_longer_than_the_ring_buffer_is_evaluated_without_loss(make):
    machine = make(device="file:/x.wav")
    machine.start()
    machine.source.open().play(90)
    machine.source.finish()
    await asyncio.wait_for(machine.task, TIMEOUT_S)
    assert machine.session.status.lost_samples == 0
    assert len(machine.broker.messages("fan/score")) == 172
    assert machine.state["state"] == "stopped"
    assert machine.state["reason"] == "the recording has ended"
    assert machine.source.closed


async def test_times_of_a_recording_follow_its_samples(make):
    machine = make(device="file:/x.wav")
    machine.start()
    machine.source.open().play(20)
    machine.source.finish()
    await asyncio.wait_for(machine.task, TIMEOUT_S)
    times = [datetime.fromisoformat(m["time"]) for m in machine.broker.messages("fan/score")]
    assert len(times) == 36
    assert (times[-1] - times[0]).total_seconds() == pytest.approx(35 * 0.512, abs=0.01)


async def test_unreadable_recording_stops_with_its_reason(make):
    machine = make(device="file:/x.wav")
    machine.start()
    machine.source.fail(UsageError("/x.wav: not a recording"))
    await asyncio.wait_for(machine.task, TIMEOUT_S)
    assert machine.state["state"] == "stopped"
    assert machine.state["reason"] == "/x.wav: not a recording"
    assert str(machine.session.refusal) == "/x.wav: not a recording"


async def test_microphone_state_is_that_of_the_source(make):
    machine = make()
    machine.start()
    machine.source.interrupt("held by arecord", MicrophoneState.FAULT)
    await machine.until_state("unavailable", "fault")
