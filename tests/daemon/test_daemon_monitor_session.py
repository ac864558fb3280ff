"""One monitor session with a scripted source: messages and journal."""

import asyncio
import itertools
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import structlog

from asd_monitor.alarm.budget import alarm_rule
from asd_monitor.evaluation.replay import backtest
from tests.doubles.level_detector import LevelDetector, StubBundle
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
    assert state["reason"] == "provisional model: false alarms at most 1 per day for now"
    [loaded] = [entry for entry in logs if entry["event"] == "model loaded"]
    assert loaded["provisional"] is True
    assert (
        "full budget of 1 per month needs sound of the running machine from 147" in loaded["budget"]
    )
    machine.source.play(20, ALARM_LEVEL)
    await machine.until_state("alarm")
    assert machine.state["reason"] == "provisional model: false alarms at most 1 per day for now"
    alarm = machine.broker.alarm("fan")
    assert alarm["provisional"] is True
    assert alarm["reason"].endswith("(alarm score at least 3.94 for 3 s)")
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


async def test_rate_below_that_of_the_model_is_no_model(make):
    machine = make()
    machine.start(ScriptedSource(rate_hz=8000).open())
    machine.source.play(3)
    state = await machine.until_state("no_model")
    assert "16000 Hz" in state["reason"]


async def test_event_loop_runs_while_a_window_is_scored(make):
    machine = make()
    gate = await machine.start_held()
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
