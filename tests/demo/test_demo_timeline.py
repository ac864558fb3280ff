import dataclasses
from datetime import UTC, datetime, timedelta

from asd_monitor.demo.scenario import FAULT_START_S
from asd_monitor.demo.timeline import Timeline
from asd_monitor.publish.messages import Alarm, Score, State, no_alarm
from asd_monitor.records import MachineState, MicrophoneState, Thresholds

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def score(at_s: float, alarm_score: float, state: MachineState = MachineState.NORMAL) -> Score:
    return Score(
        machine="demo01",
        time=BEGAN + timedelta(seconds=at_s),
        sample=round(at_s * 16000),
        seq=round(at_s),
        window_s=1.984,
        score=alarm_score,
        alarm_score=alarm_score,
        views={"tone": 0.5, "rhythm": 2.0},
        thresholds=Thresholds(warning=2.0, alarm=3.0),
        state=state,
        microphone=MicrophoneState.OK,
        rms_dbfs=-30.0,
        lost_samples=0,
        model="v1",
    )


def alarm(at_s: float) -> Alarm:
    return dataclasses.replace(
        no_alarm("demo01", "v1"),
        id="demo01-1",
        active=True,
        raised=BEGAN + timedelta(seconds=at_s),
    )


def timeline_of(*messages: Score | Alarm | State) -> Timeline:
    timeline = Timeline(16000)
    for message in messages:
        timeline.add(message)
    return timeline


def test_an_alarm_after_the_start_of_the_fault_is_a_success() -> None:
    at_s = FAULT_START_S + 20
    timeline = timeline_of(
        score(at_s, 4.0, MachineState.ALARM), alarm(at_s - 0.5), score(at_s + 1, 4.5)
    )
    assert timeline.failure() is None
    assert timeline.alarm_at_s == at_s - 0.5
    assert timeline.max_alarm_score == 4.5


def test_an_alarm_before_the_fault_is_a_failure() -> None:
    timeline = timeline_of(score(20.0, 4.0, MachineState.ALARM), alarm(20.0))
    assert "false alarm at 20 s" in str(timeline.failure())


def test_without_an_alarm_the_failure_names_the_maximum_and_the_threshold() -> None:
    assert "reached 2.5, and the threshold is 3.0" in str(timeline_of(score(170.0, 2.5)).failure())


def test_without_a_score_the_failure_names_the_daemon_s_reason() -> None:
    no_model = State(
        machine="demo01",
        time=BEGAN,
        state=MachineState.NO_MODEL,
        microphone=MicrophoneState.OK,
        evaluated=False,
        since=BEGAN,
        last_evaluated=None,
        score=None,
        alarm_score=None,
        model=None,
        provisional=False,
        box="demo",
        clock_synced=None,
        reason="models/demo01 is missing",
    )
    assert "models/demo01 is missing" in str(timeline_of(no_model).failure())
    assert "no score" in str(timeline_of().failure())


def test_an_inactive_alarm_condition_is_no_alarm() -> None:
    timeline = timeline_of(score(60.0, 0.1), no_alarm("demo01", "v1"))
    assert timeline.alarm is None


def test_each_change_of_state_is_recorded_once() -> None:
    normal, bad = MachineState.NORMAL, MachineState.ALARM
    states = [normal, normal, bad, bad, normal]
    timeline = timeline_of(*(score(at_s, 1.0, state) for at_s, state in enumerate(states)))
    assert [change.state for change in timeline.changes] == [normal, bad, normal]
    assert [change.at_s for change in timeline.changes] == [0.0, 2.0, 4.0]
