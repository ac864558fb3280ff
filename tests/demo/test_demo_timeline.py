import dataclasses
from datetime import UTC, datetime, timedelta

from asd_monitor.demo.scenario import GROWS_FROM_S
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


def told(*messages: Score | Alarm | State) -> Timeline:
    timeline = Timeline(16000)
    for message in messages:
        timeline.take(message)
    return timeline


def test_an_alarm_after_the_fault_began_is_what_should_come() -> None:
    at_s = GROWS_FROM_S + 20
    timeline = told(score(at_s, 4.0, MachineState.ALARM), alarm(at_s - 0.5), score(at_s + 1, 4.5))
    assert timeline.verdict() is None
    assert timeline.alarm_at_s == at_s - 0.5
    assert timeline.peak == 4.5


def test_an_alarm_before_the_fault_is_a_false_one() -> None:
    timeline = told(score(20.0, 4.0, MachineState.ALARM), alarm(20.0))
    assert "false alarm, at 20 s" in str(timeline.verdict())


def test_no_alarm_is_told_with_what_was_reached() -> None:
    assert "reached 2.5, and 3.0 is needed" in str(told(score(170.0, 2.5)).verdict())


def test_no_score_is_told_with_what_the_daemon_says() -> None:
    no_model = State(
        machine="demo01",
        time=BEGAN,
        state=MachineState.NO_MODEL,
        microphone=MicrophoneState.OK,
        since=BEGAN,
        score=None,
        model=None,
        box="demo",
        clock_synced=None,
        reason="models/demo01 is missing",
    )
    assert "models/demo01 is missing" in str(told(no_model).verdict())
    assert "no score" in str(told().verdict())


def test_an_alarm_condition_that_is_not_active_is_none() -> None:
    timeline = told(score(60.0, 0.1), no_alarm("demo01", "v1"))
    assert timeline.alarm is None


def test_every_change_of_state_is_one_moment() -> None:
    normal, bad = MachineState.NORMAL, MachineState.ALARM
    states = [normal, normal, bad, bad, normal]
    timeline = told(*(score(at_s, 1.0, state) for at_s, state in enumerate(states)))
    assert [moment.state for moment in timeline.moments] == [normal, bad, normal]
    assert [moment.at_s for moment in timeline.moments] == [0.0, 2.0, 4.0]
