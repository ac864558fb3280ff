"""From what is known of a machine to messages."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.doubles import daemon_fakes
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.daemon.machine_publisher import Condition, MachinePublisher, StreamCounts
from asd_monitor.publish.messages import Score
from asd_monitor.records import MachineState, MicrophoneState, Thresholds

T0 = datetime(2026, 1, 1, tzinfo=UTC)
NORMAL = Condition(MachineState.NORMAL, MicrophoneState.OK, None, "v1")
DEAF = Condition(MachineState.NORMAL, MicrophoneState.NO_DEVICE, "unplugged", "v1")
ALARM = Condition(MachineState.ALARM, MicrophoneState.OK, None, "v1")


def make() -> tuple[MachinePublisher, daemon_fakes.MemorySession]:
    session = daemon_fakes.MemorySession()
    return MachinePublisher("fan", session.topics, session, clock_synced=lambda: True), session


def test_a_state_is_told_when_it_changes_and_only_then():
    report, session = make()
    for minute, condition in enumerate((NORMAL, NORMAL, DEAF, DEAF, NORMAL, ALARM)):
        report.publish_state(condition, T0 + timedelta(minutes=minute))
    told = session.all("fan/state")
    assert [(m["state"], m["microphone"], m["evaluated"]) for m in told] == [
        ("normal", "ok", True),
        ("normal", "no_device", False),
        ("normal", "ok", True),
        ("alarm", "ok", True),
    ]
    assert [m["time"][14:16] for m in told] == ["00", "02", "04", "05"]
    assert [m["since"][14:16] for m in told] == ["00", "00", "00", "05"]
    assert told[1]["reason"] == "unplugged"


def test_the_first_state_is_told_even_if_it_is_the_expected_one():
    report, session = make()
    report.publish_state(report.condition, T0)
    assert len(session.all("fan/state")) == 1


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


def test_nobody_who_does_not_listen_has_a_score():
    report, session = make()
    report.publish_state(NORMAL, T0)
    report.publish_score(window(0, 3.0), every_samples=0)
    report.repeat_state(T0)
    report.publish_state(DEAF, T0)
    report.repeat_state(T0)
    report.publish_score(window(10, 4.0), every_samples=0)  # of sound from before
    report.publish_state(DEAF, T0)
    report.publish_state(NORMAL, T0)  # and what was before counts no more
    report.publish_score(window(20, 5.0), every_samples=0)
    report.repeat_state(T0)
    told = [message["score"] for message in session.all("fan/state")]
    assert told == [None, 3.0, None, None, None, 5.0]


@given(
    scores=st.lists(st.floats(0, 12), min_size=1, max_size=60),
    every=st.integers(0, 50),
)
def test_thinning_sends_the_greatest_and_loses_none(scores, every):
    report, session = make()
    for i, score in enumerate(scores):
        report.publish_score(window(i * 10, score), every_samples=every)
    report.flush_score()
    sent = session.all("fan/score")
    assert max(m["score"] for m in sent) == max(scores)
    assert max(m["alarm_score"] for m in sent) == max(scores) / 2
    if every <= 10:
        assert [m["score"] for m in sent] == scores
    else:
        assert len(sent) <= 2 + len(scores) * 10 / every
    samples = [m["sample"] for m in sent]
    assert samples == sorted(set(samples))


@pytest.mark.parametrize("first_sample", [10, 1_000_000, 1_000_050])
def test_the_first_window_of_a_new_stream_is_published_at_once(first_sample):
    report, session = make()
    report.begin_stream(StreamCounts)
    report.publish_score(window(1_000_000, 1.0), every_samples=100)
    report.begin_stream(StreamCounts)
    report.publish_score(window(first_sample, 2.0), every_samples=100)
    assert [m["sample"] for m in session.all("fan/score")] == [1_000_000, first_sample]


def test_a_score_held_back_is_published_when_its_stream_ends():
    report, session = make()
    report.begin_stream(StreamCounts)
    for sample, score in ((1000, 1.0), (1010, 7.0), (1020, 3.0)):
        report.publish_score(window(sample, score), every_samples=100)
    report.end_stream()
    assert [m["score"] for m in session.all("fan/score")] == [1.0, 7.0]
    report.begin_stream(StreamCounts)
    report.publish_score(window(10, 2.0), every_samples=100)
    assert [m["score"] for m in session.all("fan/score")] == [1.0, 7.0, 2.0]


def test_windows_are_numbered_through_all_streams():
    report, _ = make()
    numbers = []
    for _ in range(2):
        report.begin_stream(StreamCounts)
        numbers += [report.next_seq(), report.next_seq()]
    assert numbers == [1, 2, 3, 4]


def test_the_status_has_the_counts_of_all_streams():
    report, _ = make()
    counts = {"first": StreamCounts(100, 2, 1, 5), "second": StreamCounts()}

    def told() -> tuple[int, ...]:
        status = report.status()
        return status.lost_samples, status.gaps, status.restarts, status.passed_over

    assert told() == (0, 0, 0, 0)
    report.begin_stream(lambda: counts["first"])
    assert told() == (100, 2, 1, 5)
    report.end_stream()
    assert told() == (100, 2, 1, 5)
    report.begin_stream(lambda: counts["second"])
    assert told() == (100, 2, 1, 5)
    counts["second"] = StreamCounts(10, 1, 0, 1)
    assert told() == (110, 3, 1, 6)
    report.begin_stream(StreamCounts)
    assert told() == (110, 3, 1, 6)
