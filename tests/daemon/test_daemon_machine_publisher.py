"""Messages about one machine."""

import dataclasses
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.alarm.state import AlarmCondition
from asd_monitor.daemon.machine_publisher import MachineCondition, MachinePublisher, StreamCounts
from asd_monitor.journal.alarm_records import AlarmRecord
from asd_monitor.publish.messages import Score
from asd_monitor.records import MachineState, MicrophoneState, Thresholds
from tests.doubles.memory_broker import MemoryBroker

T0 = datetime(2026, 1, 1, tzinfo=UTC)
NORMAL = MachineCondition(MachineState.NORMAL, MicrophoneState.OK, None, "v1")
NO_SIGNAL = MachineCondition(MachineState.NORMAL, MicrophoneState.NO_DEVICE, "unplugged", "v1")
ALARM = MachineCondition(MachineState.ALARM, MicrophoneState.OK, None, "v1")


def make() -> tuple[MachinePublisher, MemoryBroker]:
    broker = MemoryBroker()
    publisher = MachinePublisher(
        "fan",
        broker.topics,
        broker,
        clock_synced=lambda: True,
        publish_events=lambda: None,
    )
    return publisher, broker


def test_state_is_published_exactly_when_it_changes():
    publisher, broker = make()
    for minute, condition in enumerate((NORMAL, NORMAL, NO_SIGNAL, NO_SIGNAL, NORMAL, ALARM)):
        publisher.publish_state(condition, T0 + timedelta(minutes=minute))
    states = broker.messages("fan/state")
    assert [(m["state"], m["microphone"], m["evaluated"]) for m in states] == [
        ("normal", "ok", True),
        ("unavailable", "no_device", False),
        ("normal", "ok", True),
        ("alarm", "ok", True),
    ]
    assert [m["time"][14:16] for m in states] == ["00", "02", "04", "05"]
    assert [m["since"][14:16] for m in states] == ["00", "02", "04", "05"]
    assert states[1]["reason"] == "unplugged"


def test_state_is_published_again_where_an_alarm_begins_or_ends_in_it():
    publisher, broker = make()
    publisher.publish_state(NO_SIGNAL, T0)
    alarm = AlarmRecord(
        "fan-20260101T000000Z",
        "fan",
        "alarm",
        AlarmCondition.UNACKNOWLEDGED,
        raised=T0,
        cleared=None,
        acknowledged_at=None,
        who=None,
        why=None,
        peak_score=6.0,
        model="v1",
    )
    for each in (alarm, alarm, replace(alarm, condition=AlarmCondition.NORMAL, cleared=T0)):
        publisher.publish_alarm(each)
        publisher.publish_state(NO_SIGNAL, T0)
    assert [m["alarm_active"] for m in broker.messages("fan/state")] == [False, True, False]


@pytest.mark.parametrize("microphone", [MicrophoneState.FAULT, MicrophoneState.NO_DEVICE])
@pytest.mark.parametrize("state", MachineState)
def test_state_is_unavailable_while_the_microphone_delivers_no_sound(state, microphone):
    publisher, broker = make()
    publisher.publish_state(MachineCondition(state, microphone), T0)
    (message,) = broker.messages("fan/state")
    assert message["state"] == ("stopped" if state == "stopped" else "unavailable")
    assert message["evaluated"] is False
    assert publisher.status().state == message["state"]


@pytest.mark.parametrize("microphone", [MicrophoneState.OK, MicrophoneState.DEGRADED])
@pytest.mark.parametrize("state", MachineState)
def test_state_is_published_as_it_is_while_the_microphone_delivers_sound(state, microphone):
    publisher, broker = make()
    publisher.publish_state(MachineCondition(state, microphone), T0)
    assert broker.messages("fan/state")[0]["state"] == state


def test_the_last_evaluated_state_is_kept_while_the_sound_is_not_evaluated():
    publisher, broker = make()
    publisher.publish_state(NORMAL, T0)
    later = T0 + timedelta(seconds=7)
    scored = dataclasses.replace(window(0, 3.0), state=MachineState.WARNING, time=later)
    publisher.publish_score(scored, interval_samples=0)
    publisher.publish_state(MachineCondition(MachineState.WARNING, MicrophoneState.OK), later)
    for minute in (1, 2):
        publisher.publish_state(NO_SIGNAL, T0 + timedelta(minutes=minute))
    publisher.repeat_state(T0 + timedelta(minutes=3))
    first, warning, *unavailable = broker.messages("fan/state")
    assert first["last_evaluated"] is None
    assert (warning["score"], warning["alarm_score"]) == (3.0, 1.5)
    assert len(unavailable) == 2
    for message in unavailable:
        assert message["last_evaluated"] == {
            "state": "warning",
            "time": "2026-01-01T00:00:07.000Z",
        }
        assert message["score"] is message["alarm_score"] is None


def test_first_state_is_published_even_if_it_is_the_initial_one():
    publisher, broker = make()
    publisher.publish_state(publisher.condition, T0)
    assert len(broker.messages("fan/state")) == 1


def window(sample: int, score: float) -> Score:
    return Score(
        machine="fan",
        time=T0,
        sample=sample,
        seq=0,
        window_s=2.0,
        score=score,
        alarm_score=score / 2,
        views={},
        thresholds=Thresholds(1, 2),
        state=MachineState.NORMAL,
        microphone=MicrophoneState.OK,
        rms_dbfs=-20,
        lost_samples=0,
        model="v1",
    )


def test_state_has_no_score_while_the_sound_is_not_evaluated():
    publisher, broker = make()
    publisher.publish_state(NORMAL, T0)
    publisher.publish_score(window(0, 3.0), interval_samples=0)
    publisher.repeat_state(T0)
    publisher.publish_state(NO_SIGNAL, T0)
    publisher.repeat_state(T0)
    publisher.publish_score(window(10, 4.0), interval_samples=0)  # of sound before the outage
    publisher.publish_state(NO_SIGNAL, T0)
    publisher.publish_state(NORMAL, T0)  # the earlier score is not used again
    publisher.publish_score(window(20, 5.0), interval_samples=0)
    publisher.repeat_state(T0)
    scores = [message["score"] for message in broker.messages("fan/state")]
    assert scores == [None, 3.0, None, None, None, 5.0]


@given(
    scores=st.lists(st.integers(0, 6000).map(lambda x: x / 500), min_size=1, max_size=60),
    interval=st.integers(0, 50),
)
def test_score_interval_keeps_the_largest_score(scores, interval):
    publisher, broker = make()
    for i, score in enumerate(scores):
        publisher.publish_score(window(i * 10, score), interval_samples=interval)
    publisher.flush_score()
    sent = broker.messages("fan/score")
    assert max(m["score"] for m in sent) == max(scores)
    assert max(m["alarm_score"] for m in sent) == max(scores) / 2
    if interval <= 10:
        assert [m["score"] for m in sent] == scores
    else:
        assert len(sent) <= 2 + len(scores) * 10 / interval
    samples = [m["sample"] for m in sent]
    assert samples == sorted(set(samples))


@pytest.mark.parametrize("first_sample", [10, 1_000_000, 1_000_050])
def test_first_window_of_a_stream_is_published_at_once(first_sample):
    publisher, broker = make()
    first = publisher.begin_stream(StreamCounts)
    publisher.publish_score(window(1_000_000, 1.0), interval_samples=100, stream=first)
    second = publisher.begin_stream(StreamCounts)
    publisher.publish_score(window(first_sample, 2.0), interval_samples=100, stream=second)
    assert [m["sample"] for m in broker.messages("fan/score")] == [1_000_000, first_sample]


def test_pending_score_is_published_at_the_end_of_its_stream():
    publisher, broker = make()
    first = publisher.begin_stream(StreamCounts)
    for sample, score in ((1000, 1.0), (1010, 7.0), (1020, 3.0)):
        publisher.publish_score(window(sample, score), interval_samples=100, stream=first)
    publisher.end_stream(first)
    assert [m["score"] for m in broker.messages("fan/score")] == [1.0, 7.0]
    second = publisher.begin_stream(StreamCounts)
    publisher.publish_score(window(10, 2.0), interval_samples=100, stream=second)
    assert [m["score"] for m in broker.messages("fan/score")] == [1.0, 7.0, 2.0]


def test_windows_are_numbered_across_streams():
    publisher, _ = make()
    numbers = []
    for _ in range(2):
        publisher.begin_stream(StreamCounts)
        numbers += [publisher.next_seq(), publisher.next_seq()]
    assert numbers == [1, 2, 3, 4]


def test_status_has_the_sum_of_the_counters_of_all_streams():
    publisher, _ = make()
    counts = {"first": StreamCounts(100, 2, 1, 5), "second": StreamCounts()}

    def published() -> tuple[int, ...]:
        status = publisher.status()
        return status.lost_samples, status.gaps, status.restarts, status.skipped_windows

    assert published() == (0, 0, 0, 0)
    first = publisher.begin_stream(lambda: counts["first"])
    assert published() == (100, 2, 1, 5)
    publisher.end_stream(first)
    assert published() == (100, 2, 1, 5)
    publisher.begin_stream(lambda: counts["second"])
    assert published() == (100, 2, 1, 5)
    counts["second"] = StreamCounts(10, 1, 0, 1)
    assert published() == (110, 3, 1, 6)
    publisher.begin_stream(StreamCounts)
    assert published() == (110, 3, 1, 6)


def test_an_abandoned_stream_neither_freezes_nor_doubles_the_counters_of_the_next():
    publisher, broker = make()
    counts = {"abandoned": StreamCounts(100, 2, 1, 5), "next": StreamCounts(1, 0, 0, 0)}
    abandoned = publisher.begin_stream(lambda: counts["abandoned"])
    following = publisher.begin_stream(lambda: counts["next"])
    publisher.publish_score(window(10, 2.0), interval_samples=100, stream=following)
    publisher.publish_score(window(999_999, 9.0), interval_samples=0, stream=abandoned)
    assert [m["sample"] for m in broker.messages("fan/score")] == [10]
    counts["abandoned"] = StreamCounts(110, 2, 1, 5)
    assert publisher.counts == StreamCounts(111, 2, 1, 5)
    for _ in range(2):
        publisher.end_stream(abandoned)
        assert publisher.counts == StreamCounts(111, 2, 1, 5)
    publisher.publish_score(window(200, 3.0), interval_samples=100, stream=following)
    assert [m["sample"] for m in broker.messages("fan/score")] == [10, 200]
    counts["next"] = StreamCounts(5, 1, 0, 0)
    assert publisher.counts == StreamCounts(115, 3, 1, 5)
