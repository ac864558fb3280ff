"""One monitor session with a scripted source: messages and journal."""

import asyncio
import itertools
import threading
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog

from asd_monitor.alarm.budget import alarm_rule
from asd_monitor.errors import UsageError
from asd_monitor.evaluation.replay import backtest
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.records import MicrophoneState
from tests.doubles.level_detector import LevelDetector, StubBundle
from tests.doubles.monitored_machine import MonitoredMachine
from tests.doubles.scripted_source import RATE_HZ, ScriptedSource
from tests.doubles.waiting import TIMEOUT_S, until

ALARM_LEVEL = 0.6
NORMAL_LEVEL = 0.05


async def test_normal_sound_is_scored_without_an_alarm(make):
    machine = make()
    machine.start()
    machine.source.open().play(20, NORMAL_LEVEL)
    state = await machine.until_state("normal")
    assert state["evaluated"]
    assert state["model"] == "v1"
    await machine.until_evaluated()
    scores = machine.broker.messages("fan/score")
    assert [m["seq"] for m in scores] == list(range(1, len(scores) + 1))
    assert len(scores) == 36  # windows of 1.984 s every 0.512 s
    assert scores[0]["thresholds"] == {"warning": 3.937, "alarm": 5.42}
    assert scores[0]["window_s"] == pytest.approx(1.984)
    assert machine.broker.alarm("fan")["active"] is False
    assert machine.broker.transitions("fan") == []


async def test_provisional_model_has_relaxed_thresholds_and_says_so(make):
    machine = make()
    machine.models.bundles["fan"] = StubBundle(detector=LevelDetector(hours=1))
    with structlog.testing.capture_logs() as logs:
        machine.start()
        machine.source.open().play(5, NORMAL_LEVEL)
        state = await machine.until_state("normal")
    assert state["provisional"] is True
    assert state["reason"] == "provisional budget of 1 per day"
    [loaded] = [entry for entry in logs if entry["event"] == "model loaded"]
    assert loaded["provisional"] is True
    assert "full budget of 1 per month is expected to hold after 7 days" in loaded["budget"]
    machine.source.play(20, ALARM_LEVEL)
    await machine.until_state("alarm")
    assert machine.state["reason"] == "provisional budget of 1 per day"
    alarm = machine.broker.alarm("fan")
    assert alarm["provisional"] is True
    assert alarm["reason"] == "alarm score at least 3.94 for 3 s"
    assert machine.broker.messages("fan/score")[0]["thresholds"] == {
        "warning": 2.453,
        "alarm": 3.937,
    }
    # an alarm keeps what the model that raised it was
    machine.models.bundles["fan"] = StubBundle("v2")
    machine.session.reload_model()
    await until(lambda: machine.state["model"] == "v2")
    assert machine.state["provisional"] is False
    assert machine.state["reason"] is None
    assert machine.broker.alarm("fan")["provisional"] is True


async def test_alarm_stays_latched_until_it_is_acknowledged(make):
    machine = make(alarm={"off_delay_s": 2})
    machine.start()
    machine.source.open().play(5, NORMAL_LEVEL)
    machine.source.play(20, ALARM_LEVEL)
    await machine.until_state("alarm")
    alarm = machine.broker.alarm("fan")
    assert (alarm["active"], alarm["acknowledged"], alarm["latched"]) == (True, False, False)
    assert alarm["reason"].startswith("alarm score at least 5.42 for")
    assert (alarm["time_scale_s"], alarm["severity"]) == (10.0, "alarm")
    assert alarm["peak_alarm_score"] >= 5.0
    assert alarm["views"]
    assert min(alarm["views"].values()) > 1
    assert (alarm["shelved_until"], alarm["suppressed"], alarm["out_of_service"]) == (
        None,
        False,
        False,
    )
    machine.source.play(25, NORMAL_LEVEL)
    await until(lambda: machine.broker.alarm("fan")["latched"])
    assert machine.state["state"] == "alarm"

    machine.journal.acknowledge(alarm["id"], "ann", "bearing", datetime.now(UTC))
    machine.session.check_acknowledgements()
    await until(lambda: not machine.broker.alarm("fan")["active"])
    await machine.until_state("normal")
    assert machine.broker.alarm("fan")["acknowledged_at"] is not None
    events = machine.broker.messages("fan/event")
    assert [(m["from"], m["to"]) for m in events if m["alarm_id"]] == [
        ("normal", "unacknowledged"),
        ("unacknowledged", "latched"),
        ("latched", "acknowledged"),
        ("acknowledged", "normal"),
    ]
    assert ("alarm", "normal") in machine.broker.transitions("fan")
    scores = {(m["from"], m["to"]): m["alarm_score"] for m in events}
    assert scores["normal", "unacknowledged"] >= 5.0  # the threshold
    assert scores["normal", "alarm"] >= 5.0
    assert scores["unacknowledged", "latched"] < 5.0
    assert scores["latched", "acknowledged"] is None  # not caused by a score
    event = next(m for m in events if m["to"] == "acknowledged")
    assert (event["who"], event["why"], event["alarm_id"]) == ("ann", "bearing", alarm["id"])


@pytest.mark.parametrize("with_the_newest", [False, True])
async def test_older_alarm_is_acknowledged_beside_the_newest(make, with_the_newest):
    machine = make(alarm={"latch": False, "on_delay_s": 1, "off_delay_s": 2})
    machine.start()
    machine.source.open()
    ids = []
    for _ in range(2):
        await machine.play(15, ALARM_LEVEL)
        await machine.until_state("alarm")
        ids.append(machine.broker.alarm("fan")["id"])
        if len(ids) == 1:
            await machine.play(15, NORMAL_LEVEL)
            await machine.until_state("normal")
    older, newest = ids
    assert older != newest
    before = machine.broker.messages("fan/alarm")

    acknowledged = [older, newest] if with_the_newest else [older]
    for alarm in acknowledged:
        machine.journal.acknowledge(alarm, "ann", "bearing", datetime.now(UTC))
    machine.session.check_acknowledgements()
    await until(lambda: len(acknowledgements(machine)) == len(acknowledged))
    assert [m["alarm_id"] for m in acknowledgements(machine)] == acknowledged
    published = machine.broker.messages("fan/alarm")[len(before) :]
    assert [m["id"] for m in published] == acknowledged[1:]
    alarm = machine.broker.alarm("fan")
    assert (alarm["id"], alarm["active"], alarm["acknowledged"]) == (newest, True, with_the_newest)
    assert machine.state["state"] == "alarm"

    await machine.play(15, NORMAL_LEVEL)  # the newest one returns to normal
    await machine.until_state("normal")
    alarm = machine.broker.alarm("fan")
    assert (alarm["id"], alarm["active"]) == (newest, False)


def acknowledgements(machine: MonitoredMachine) -> list[dict[str, Any]]:
    return [m for m in machine.broker.messages("fan/event") if m["who"] == "ann"]


async def test_restart_takes_up_the_active_alarm(make):
    machine = make()
    machine.start()
    machine.source.open().play(25, ALARM_LEVEL)
    await machine.until_state("alarm")
    first = machine.broker.alarm("fan")
    await machine.stop()

    machine.broker.retained.clear()
    machine.start(ScriptedSource().open())
    machine.source.play(30, NORMAL_LEVEL)
    state = await machine.until_state("alarm")
    assert state["evaluated"]
    await until(lambda: machine.broker.alarm("fan").get("latched"))
    for key in ("id", "raised", "reason"):
        assert machine.broker.alarm("fan")[key] == first[key]
    assert machine.broker.alarm("fan")["reason"].startswith("alarm score at least 5.42 for")


async def test_acknowledgement_between_two_runs_is_applied(make):
    machine = make()
    machine.start()
    machine.source.open().play(25, ALARM_LEVEL)
    await machine.until_state("alarm")
    await machine.stop()
    (record,) = machine.journal.alarms("fan")
    machine.journal.acknowledge(record.id, "bob", None, datetime.now(UTC))

    machine.start(ScriptedSource().open())
    await until(lambda: ("unacknowledged", "acknowledged") in machine.broker.transitions("fan"))
    assert machine.broker.alarm("fan")["acknowledged"]


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


async def test_level_of_the_idle_machine_is_idle(make):
    machine = make()
    machine.start()
    machine.source.open().play(10, 1e-4)
    state = await machine.until_state("idle")
    assert state["evaluated"]


async def test_missing_model_is_published_and_loaded_by_a_reload(make):
    machine = make()
    bundle = machine.models.bundles.pop("fan")
    machine.start()
    machine.source.open().play(3)
    state = await machine.until_state("no_model")
    assert "train one" in state["reason"]
    assert (state["evaluated"], state["model"]) == (False, None)
    assert machine.broker.alarm("fan")["id"] is None
    machine.models.bundles["fan"] = bundle
    machine.session.reload_model()
    await machine.until_state("normal")
    machine.source.play(5)
    await until(lambda: machine.broker.messages("fan/score"))
    assert ("no_model", "normal") in machine.broker.transitions("fan")


async def test_broken_new_model_leaves_the_old_one_in_use(make):
    machine = make()
    machine.start()
    machine.source.open().play(3)
    await machine.until_state("normal")
    machine.models.broken["fan"] = "views.npz: its hash differs"
    machine.session.reload_model()
    await until(lambda: "its hash differs" in (machine.state["reason"] or ""))
    assert (machine.state["state"], machine.state["model"]) == ("normal", "v1")
    machine.models.broken.clear()
    machine.models.bundles["fan"] = StubBundle("v2")
    machine.session.reload_model()
    await until(lambda: machine.state["model"] == "v2")
    assert machine.state["reason"] is None


async def test_alarm_survives_a_new_model(make):
    machine = make()
    machine.start()
    machine.source.open().play(25, ALARM_LEVEL)
    await machine.until_state("alarm")
    machine.models.bundles["fan"] = StubBundle("v2")
    machine.session.reload_model()
    await until(lambda: machine.state["model"] == "v2")
    assert machine.state["state"] == "alarm"


async def test_rate_below_that_of_the_model_is_no_model(make):
    machine = make()
    machine.start(ScriptedSource(rate_hz=8000).open())
    machine.source.play(3)
    state = await machine.until_state("no_model")
    assert "16000 Hz" in state["reason"]


async def test_event_loop_runs_while_a_window_is_scored(make):
    gate = threading.Event()
    machine = make()
    detector = LevelDetector(gate=gate)
    machine.models.bundles["fan"] = StubBundle(detector=detector)
    machine.start()
    machine.source.open().play(5)
    await until(detector.entered.is_set)
    machine.source.play(5)
    await until(lambda: machine.source.delivered)
    machine.source.interrupt("unplugged")
    await machine.until_state("unavailable", "no_device")
    before = len(machine.broker.messages("fan/state"))
    machine.session.repeat_state()
    assert len(machine.broker.messages("fan/state")) == before + 1
    assert not machine.broker.messages("fan/score")
    gate.set()
    await until(lambda: machine.broker.messages("fan/score"))


async def test_slow_evaluation_loses_the_oldest_samples_and_is_degraded(make):
    gate = threading.Event()
    machine = make()
    detector = LevelDetector(gate=gate)
    machine.models.bundles["fan"] = StubBundle(detector=detector)
    machine.start()
    machine.source.open().play(5)
    await until(detector.entered.is_set)
    machine.source.play(60)
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
    machine.source.open().play(45)
    machine.source.finish()
    await asyncio.wait_for(machine.task, TIMEOUT_S)
    assert machine.session.status.lost_samples == 0
    assert len(machine.broker.messages("fan/score")) == 85
    assert machine.state["state"] == "stopped"
    assert machine.state["reason"] == "the recording has ended"
    assert machine.source.closed


def play_random(source: ScriptedSource, seed: int) -> ScriptedSource:
    """Play random sequences of levels, gaps, outages and constant values."""
    rng = np.random.default_rng(seed)
    source.open()
    for _ in range(8):
        source.play(float(rng.uniform(1, 14)), ALARM_LEVEL if rng.random() < 0.6 else NORMAL_LEVEL)
        match rng.integers(4):
            case 0:
                source.end += int(rng.integers(1, 20_000))
            case 1:
                source.interrupt("a file that cannot be read")
                source.end += int(rng.integers(1, 20_000))
                source.open()
            case 2:
                source.play_constant(float(rng.uniform(1, 4)))
    source.finish()
    return source


EVALUATED = {"normal", "warning", "alarm", "idle"}


@pytest.mark.parametrize("seed", range(4))
async def test_daemon_and_backtest_give_the_same_alarms_and_states(make, seed):
    machine = make(device="file:/x.wav", alarm={"off_delay_s": 2, "latch": False})
    machine.start(play_random(ScriptedSource(), seed))
    await asyncio.wait_for(machine.task, TIMEOUT_S)
    detector = LevelDetector()
    rule = alarm_rule(machine.settings.alarm.criteria, detector)
    expected = await backtest(play_random(ScriptedSource(), seed), detector, rule, Path("x"))

    first = machine.broker.messages("fan/score")[0]
    began = datetime.fromisoformat(first["time"]).timestamp() - first["sample"] / RATE_HZ
    raised, states = [], []
    for event in machine.broker.messages("fan/event"):
        at_s = datetime.fromisoformat(event["time"]).timestamp() - began
        if event["to"] == "unacknowledged":
            raised.append(at_s)
        elif not event["alarm_id"] and {event["from"], event["to"]} <= EVALUATED:
            states.append((event["to"], at_s))
    assert len(expected.alarms) > 0
    assert raised == pytest.approx([alarm.raised_s for alarm in expected.alarms], abs=0.002)
    # a recording that is interrupted is unavailable in the daemon only
    expected_states = [
        (span.state, pytest.approx(span.from_s, abs=0.002))
        for before, span in itertools.pairwise(expected.states)
        if {before.state, span.state} <= EVALUATED
    ]
    assert states == expected_states


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


async def test_scores_are_published_at_the_configured_interval(make):
    machine = make(score_every_s=5)
    machine.start()
    machine.source.open().play(30)
    await machine.until_evaluated()
    assert 5 <= len(machine.broker.messages("fan/score")) <= 7


async def test_stopped_is_published_after_a_clean_stop(make):
    machine = make()
    session = machine.start()
    machine.source.open().play(3)
    await machine.until_state("normal")
    await machine.stop()
    session.publish_stopped("the daemon was stopped")
    assert (machine.state["state"], machine.state["evaluated"]) == ("stopped", False)
    assert machine.source.closed


async def test_microphone_state_is_that_of_the_source(make):
    machine = make()
    machine.start()
    machine.source.interrupt("held by arecord", MicrophoneState.FAULT)
    await machine.until_state("unavailable", "fault")


async def test_recording_without_a_model_ends_with_that_reason(make):
    machine = make(device="file:/x.wav")
    machine.models.bundles.pop("fan")
    machine.start()
    machine.source.open().play(5)
    machine.source.finish()
    await asyncio.wait_for(machine.task, TIMEOUT_S)
    assert machine.state["reason"] == (
        "the recording has ended without a model: no model of fan: train one"
    )


async def test_acknowledgement_is_applied_after_the_journal_was_locked_once(make, monkeypatch):
    machine = make()
    machine.start()
    machine.source.open().play(25, ALARM_LEVEL)
    await machine.until_state("alarm")
    apply, failures = MachineJournal.apply_acknowledgements, [JournalError("locked")]

    def fail_once(*arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return apply(*arguments)

    monkeypatch.setattr(MachineJournal, "apply_acknowledgements", fail_once)
    alarm = machine.broker.alarm("fan")["id"]
    machine.journal.acknowledge(alarm, "ann", "bearing", datetime.now(UTC))
    machine.session.check_acknowledgements()
    await until(lambda: not failures)
    await until(lambda: machine.broker.alarm("fan")["acknowledged"])  # without another request
