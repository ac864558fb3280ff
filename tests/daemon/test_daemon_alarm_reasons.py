"""The reason of an alarm: what differs in its sound, before the rule; never at the alarm's cost."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import structlog

from asd_monitor.alarm.state import AlarmCondition, Transition, TransitionKind
from asd_monitor.daemon import alarm_reasons
from asd_monitor.daemon.alarm_reasons import AlarmReasons, raised_at
from asd_monitor.monitor import Reading
from asd_monitor.records import Block, MachineState, MicrophoneState, Stream, WindowScore

RATE_HZ = 16_000
NORMAL_LEVEL, ALARM_LEVEL = 0.05, 0.6
RULE = "alarm score at least 5.42 for 3 s"
RAISED = Transition(
    80_000, TransitionKind.ALARM, AlarmCondition.NORMAL, AlarmCondition.UNACKNOWLEDGED, RULE
)
CLEARED = Transition(
    96_000, TransitionKind.ALARM, AlarmCondition.UNACKNOWLEDGED, AlarmCondition.RETURNED, "normal"
)
WINDOW = WindowScore(48_256, 80_000, 6.0, 9.0, 9.0, {"tone": 9.0, "level": 0.2}, -30.0, idle=False)


def reading(*changes: Transition) -> Reading:
    return Reading(80_000, WINDOW, 6.0, 10.0, MachineState.ALARM, MicrophoneState.OK, None, changes)


@pytest.fixture
def sound() -> Block:
    noise = np.random.default_rng(7).standard_normal(10 * RATE_HZ).astype(np.float32)
    return Block(Stream(RATE_HZ), 0, 0.01 * noise)


def test_the_reason_stands_before_the_rule(sound):
    reasons = AlarmReasons("fan", threading.Lock())
    explained = reasons.explained(RAISED, reading(RAISED), sound, None)
    assert explained.why == (
        "New, missing or shifted tonal component; level above or below that of the training"
        f" recordings ({RULE})"
    )
    assert (explained.sample, explained.after, reasons.failures) == (80_000, RAISED.after, 0)


def test_an_alarm_that_is_raised_again_is_explained_anew(sound):
    again = replace(RAISED, before=AlarmCondition.ACKNOWLEDGED, why="alarm score at least 9.00")
    explained = AlarmReasons("fan", threading.Lock()).explained(again, reading(again), sound, None)
    assert explained.why.startswith("New, missing or shifted tonal component; level")
    assert explained.why.endswith("(alarm score at least 9.00)")
    assert raised_at([reading(again)]) == again.sample


def test_only_what_raises_an_alarm_is_explained(sound):
    reasons = AlarmReasons("fan", threading.Lock())
    assert reasons.explained(CLEARED, reading(CLEARED), sound, None) is CLEARED
    assert reasons.explained(RAISED, reading(RAISED), None, None) is RAISED
    assert raised_at([reading(CLEARED)]) is None
    assert raised_at([reading(CLEARED, RAISED)]) == RAISED.sample


def test_the_rule_of_a_quiet_machine_is_the_reason(sound):
    quiet = replace(reading(RAISED), window=replace(WINDOW, quiet=True))
    reasons = AlarmReasons("fan", threading.Lock())
    assert reasons.explained(RAISED, quiet, sound, None) is RAISED
    assert reasons.failures == 0


def test_an_alarm_does_not_wait_longer_for_its_turn(sound, monkeypatch):
    monkeypatch.setattr(alarm_reasons, "_TURN_S", 0.01)
    turn = threading.Lock()
    reasons = AlarmReasons("fan", turn)
    with turn:
        assert reasons.explained(RAISED, reading(RAISED), sound, None) is RAISED
    assert reasons.failures == 1
    assert RULE in reasons.explained(RAISED, reading(RAISED), sound, None).why


def test_a_defect_of_the_reason_is_reported_and_costs_no_alarm(sound, monkeypatch):
    def fail(*_arguments: object, **_options: object) -> None:
        raise ValueError("defect")

    monkeypatch.setattr(alarm_reasons, "explain", fail)
    turn = threading.Lock()
    reasons = AlarmReasons("fan", turn)
    with structlog.testing.capture_logs() as logs:
        assert reasons.explained(RAISED, reading(RAISED), sound, None) is RAISED
    assert [entry["event"] for entry in logs] == ["the reason of an alarm could not be determined"]
    assert reasons.failures == 1
    assert not turn.locked()


async def test_event_and_alarm_have_the_reason(make):
    machine = make()
    machine.start()
    machine.source.open().play(5, NORMAL_LEVEL)
    await machine.until_state("normal")
    machine.source.play(20, ALARM_LEVEL)
    await machine.until_state("alarm")
    reason = machine.broker.alarm("fan")["reason"]
    assert reason.startswith("Level above or below that of the training recordings (alarm score")
    raised = [m for m in machine.broker.messages("fan/event") if m["to"] == "unacknowledged"]
    assert [message["why"] for message in raised] == [reason]
