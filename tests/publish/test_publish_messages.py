"""Payloads: keys, values and reading."""

from __future__ import annotations

import dataclasses
import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.publish import messages
from asd_monitor.publish.messages import (
    Alarm,
    AlarmStatus,
    BoxAlarm,
    BoxCondition,
    CheckResult,
    Event,
    LastEvaluated,
    MachineStatus,
    Message,
    OutboxStatus,
    Response,
    Score,
    ScoreLevel,
    Scoring,
    SelfTest,
    SelfTestResult,
    State,
    Status,
    no_alarm,
    read,
)
from asd_monitor.records import MachineState, MicrophoneState, Thresholds

KEYS = {
    Score: "schema machine time sample seq window_s score alarm_score views thresholds state "
    "microphone rms_dbfs lost_samples model",
    State: "schema machine time state microphone evaluated since last_evaluated score alarm_score "
    "model provisional box clock_synced reason alarm_active",
    Alarm: "schema machine id active acknowledged shelved_until suppressed out_of_service latched "
    "provisional severity raised cleared acknowledged_at peak_alarm_score time_scale_s reason "
    "views evidence model chattering",
    Event: "schema machine id seq time alarm_id from to who why alarm_score time_scale_s "
    "historical",
    Response: "schema machine verb time accepted outcome alarm request",
    Status: "schema box time version uptime_s machines load dropped restarted scoring outbox "
    "alarms counters reason",
    SelfTest: "schema box time mode broker machines",
    BoxAlarm: "schema box time active count conditions",
}
SCHEMAS = {
    Score: "asd.score/1",
    State: "asd.state/2",
    Alarm: "asd.alarm/2",
    Event: "asd.event/2",
    Response: "asd.response/1",
    Status: "asd.status/2",
    SelfTest: "asd.selftest/1",
    BoxAlarm: "asd.box-alarm/1",
}

zones = st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
times = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=zones).map(
    lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000)
)
# any text that UTF-8 can encode
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
# as published: three decimals
numbers = st.floats(-1e6, 1e6).map(lambda x: round(x, 3) + 0.0)
levels = st.floats(-200, 0).map(lambda x: round(x, 2) + 0.0)
counts = st.integers(0, 2**62)
states = st.sampled_from(MachineState)
microphones = st.sampled_from(MicrophoneState)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


scores = st.builds(
    Score,
    machine=names,
    time=times,
    sample=counts,
    seq=counts,
    window_s=numbers,
    score=maybe(numbers),
    alarm_score=maybe(numbers),
    views=st.dictionaries(names, maybe(numbers), max_size=4),
    thresholds=st.builds(Thresholds, warning=numbers, alarm=numbers),
    state=states,
    microphone=microphones,
    rms_dbfs=maybe(levels),
    lost_samples=counts,
    model=maybe(texts),
)
state_messages = st.builds(
    State,
    machine=names,
    time=times,
    state=states,
    microphone=microphones,
    evaluated=st.booleans(),
    since=times,
    last_evaluated=maybe(st.builds(LastEvaluated, state=states, time=times)),
    score=maybe(numbers),
    alarm_score=maybe(numbers),
    model=maybe(texts),
    provisional=st.booleans(),
    box=names,
    clock_synced=maybe(st.booleans()),
    reason=maybe(texts),
    alarm_active=st.booleans(),
)
alarms = st.builds(
    Alarm,
    machine=names,
    id=maybe(texts),
    active=st.booleans(),
    acknowledged=st.booleans(),
    shelved_until=maybe(times),
    suppressed=st.booleans(),
    out_of_service=st.booleans(),
    latched=st.booleans(),
    provisional=st.booleans(),
    severity=maybe(texts),
    raised=maybe(times),
    cleared=maybe(times),
    acknowledged_at=maybe(times),
    peak_alarm_score=maybe(numbers),
    time_scale_s=maybe(numbers),
    reason=maybe(texts),
    views=st.dictionaries(names, numbers, max_size=4),
    evidence=maybe(texts),
    model=maybe(texts),
)
events = st.builds(
    Event,
    machine=names,
    id=names,
    seq=maybe(counts),
    time=times,
    alarm_id=maybe(texts),
    from_=texts,
    to=texts,
    who=maybe(texts),
    why=maybe(texts),
    alarm_score=maybe(numbers),
    time_scale_s=maybe(numbers),
    historical=st.booleans(),
)
responses = st.builds(
    Response,
    machine=names,
    verb=names,
    time=times,
    accepted=maybe(st.booleans()),
    outcome=texts,
    alarm=maybe(texts),
    request=maybe(texts),
)
score_levels = st.builds(
    ScoreLevel, time_scale_s=numbers, mean=maybe(numbers), warning=numbers, alarm=numbers
)
statuses = st.builds(
    Status,
    box=names,
    time=times,
    version=texts,
    uptime_s=numbers,
    machines=st.dictionaries(
        names,
        st.builds(
            MachineStatus,
            state=states,
            microphone=microphones,
            model=maybe(texts),
            lost_samples=counts,
            gaps=counts,
            restarts=counts,
            drift_ppm=maybe(numbers),
            skipped_windows=counts,
            score_levels=st.lists(score_levels, max_size=4),
        ),
        max_size=3,
    ),
    load=st.lists(numbers, min_size=3, max_size=3),
    dropped=st.dictionaries(names, counts, max_size=3),
    restarted=st.dictionaries(names, counts, max_size=3),
    counters=st.dictionaries(names, st.dictionaries(names, counts, max_size=3), max_size=2),
    reason=maybe(texts),
    scoring=maybe(
        st.builds(Scoring, busy=numbers, backlog_s=numbers, stride=counts, capacity=maybe(counts))
    ),
    outbox=maybe(
        st.builds(
            OutboxStatus,
            waiting=counts,
            bytes=counts,
            oldest_s=maybe(numbers),
            dropped=st.dictionaries(names, counts, max_size=3),
            set_aside=counts,
            refused=counts,
            retried=counts,
        )
    ),
    alarms=maybe(
        st.builds(
            AlarmStatus,
            days=numbers,
            alarms=counts,
            per_day=maybe(numbers),
            per_hour=maybe(numbers),
            busiest_10_min=counts,
            share_of_10_min_over_10=maybe(numbers),
            floods=counts,
            flood_share=maybe(numbers),
            chattering=counts,
            fleeting=counts,
            standing_over_24_h=counts,
            longest_unacknowledged_s=numbers,
            top_machine=maybe(texts),
            top_share=numbers,
            shelved=counts,
            out_of_service=counts,
        )
    ),
)


self_test_results = st.builds(
    SelfTestResult,
    result=texts,
    time=times,
    completed=maybe(times),
    overdue=st.booleans(),
    checks=st.dictionaries(
        names,
        st.builds(
            CheckResult,
            result=texts,
            reason=maybe(texts),
            remedy=maybe(texts),
            numbers=st.dictionaries(names, maybe(numbers), max_size=3),
        ),
        max_size=3,
    ),
)
self_tests = st.builds(
    SelfTest,
    box=names,
    time=times,
    mode=texts,
    broker=maybe(self_test_results),
    machines=st.dictionaries(names, self_test_results, max_size=2),
)
box_alarms = st.builds(
    BoxAlarm,
    box=names,
    time=times,
    active=st.booleans(),
    count=counts,
    conditions=st.lists(
        st.builds(
            BoxCondition,
            kind=texts,
            machine=maybe(names),
            check=maybe(names),
            since=times,
            text=texts,
            remedy=maybe(texts),
        ),
        max_size=3,
    ),
)


@given(scores | state_messages | alarms | events | responses | statuses | self_tests | box_alarms)
def test_a_payload_has_the_required_keys_and_reads_back(message: Message) -> None:
    payload = message.payload()
    document = json.loads(payload.decode("utf-8"))
    assert set(KEYS[type(message)].split()) == set(document)
    assert document["schema"] == SCHEMAS[type(message)]
    assert read(payload) == message
    assert read(payload).payload() == payload


def test_every_kind_of_message_is_tested() -> None:
    assert set(KEYS) == set(messages._KINDS.values())


@pytest.mark.parametrize(
    "bad", [math.nan, math.inf, -math.inf, np.float32("nan"), np.float64(-np.inf)]
)
def test_numbers_that_json_lacks_are_null(bad: float) -> None:
    score = dataclasses.replace(
        a_score(), score=bad, rms_dbfs=bad, views={"level": bad}, thresholds=Thresholds(bad, 5.0)
    )

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    document = json.loads(score.payload(), parse_constant=refuse)
    assert document["score"] is document["rms_dbfs"] is document["views"]["level"] is None
    assert document["thresholds"] == {"warning": None, "alarm": 5.0}


def test_numpy_numbers_are_numbers() -> None:
    numbers: dict[str, Any] = {
        "score": np.float32(0.5),
        "sample": np.int64(7),
        "views": {"level": np.float64(1.5)},
    }
    score = dataclasses.replace(a_score(), **numbers)
    document = json.loads(score.payload())
    assert (document["score"], document["sample"], document["views"]) == (0.5, 7, {"level": 1.5})


def a_score() -> Score:
    return Score(
        machine="fan01",
        time=datetime(2026, 1, 2, 3, 4, 5, 678_999, UTC),
        sample=32_000,
        seq=1,
        window_s=1.984,
        score=0.4,
        alarm_score=0.3,
        views={"level": 0.1, "tone": 0.7},
        thresholds=Thresholds(warning=3.0, alarm=5.0),
        state=MachineState.NORMAL,
        microphone=MicrophoneState.OK,
        rms_dbfs=-31.5,
        lost_samples=0,
        model="20260102-030405",
    )


def test_the_payload_of_a_score() -> None:
    assert json.loads(a_score().payload()) == {
        "schema": "asd.score/1",
        "machine": "fan01",
        "time": "2026-01-02T03:04:05.678Z",
        "sample": 32000,
        "seq": 1,
        "window_s": 1.984,
        "score": 0.4,
        "alarm_score": 0.3,
        "views": {"level": 0.1, "tone": 0.7},
        "thresholds": {"warning": 3.0, "alarm": 5.0},
        "state": "normal",
        "microphone": "ok",
        "rms_dbfs": -31.5,
        "lost_samples": 0,
        "model": "20260102-030405",
    }


def test_the_alarm_condition_before_the_first_alarm() -> None:
    document = json.loads(no_alarm("fan01", "v1").payload())
    assert document["id"] is None
    assert (document["active"], document["acknowledged"], document["latched"]) == (False,) * 3


def test_numbers_have_three_decimals_and_levels_two() -> None:
    third = 1 / 3
    score = dataclasses.replace(
        a_score(),
        score=third,
        alarm_score=2 * third,
        rms_dbfs=-100 * third,
        window_s=1.984 + 1e-9,
        views={"level": third},
        thresholds=Thresholds(3.9452341234123414, 5.418912341234123),
    )
    document = json.loads(score.payload())
    assert (document["score"], document["alarm_score"]) == (0.333, 0.667)
    assert (document["rms_dbfs"], document["window_s"]) == (-33.33, 1.984)
    assert document["views"] == {"level": 0.333}
    assert document["thresholds"] == {"warning": 3.945, "alarm": 5.419}
    scoring = Scoring(busy=third, backlog_s=third, stride=1, capacity=None)
    status = Status("edge", datetime.now(UTC), "1", third, {}, [third], {}, {}, scoring)
    document = json.loads(status.payload())
    assert (document["uptime_s"], document["load"]) == (0.333, [0.333])
    assert document["scoring"]["busy"] == 0.333


def test_a_score_of_nine_views_has_less_than_480_bytes() -> None:
    """The shipped model has so many; each window of each machine is one message."""
    views = {f"view{number:06d}": 12 / 7 for number in range(9)}
    score = dataclasses.replace(a_score(), views=views, score=12 / 7, alarm_score=12 / 7)
    assert len(score.payload()) < 480


def test_unknown_keys_are_ignored() -> None:
    payload = a_score().payload()
    assert read(payload[:-1] + b',"new": [1, {"a": null}]}') == read(payload)


@pytest.mark.parametrize(
    "payload",
    [b"", b"online", b"[]", b"3", b"{}", b'{"schema":"asd.state/1"}', b'{"schema":["asd.score/1"]}',
     b'{"schema":"asd.score/1"}', b"\xff"],
)  # fmt: skip
def test_other_payloads_are_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read(payload)
