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
    Event,
    MachineStatus,
    Message,
    Score,
    State,
    Status,
    no_alarm,
    read,
)
from asd_monitor.records import MachineState, MicrophoneState, Thresholds

KEYS = {
    Score: "schema machine time sample seq window_s score alarm_score views thresholds state "
    "microphone rms_dbfs lost_samples model",
    State: "schema machine time state microphone evaluated since score model box clock_synced "
    "reason",
    Alarm: "schema machine id active acknowledged shelved latched severity raised cleared "
    "acknowledged_at peak_score evidence model",
    Event: "schema machine id time alarm_id from to who why historical",
    Status: "schema box time version machines load dropped restarted",
}
SCHEMAS = {
    Score: "asd.score/1",
    State: "asd.state/1",
    Alarm: "asd.alarm/1",
    Event: "asd.event/1",
    Status: "asd.status/1",
}

zones = st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
times = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=zones).map(
    lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000)
)
# any text that UTF-8 can encode
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
numbers = st.floats(allow_nan=False, allow_infinity=False)
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
    rms_dbfs=maybe(numbers),
    lost_samples=counts,
    model=maybe(texts),
)
state_messages = st.builds(
    State,
    machine=names,
    time=times,
    state=states,
    microphone=microphones,
    since=times,
    score=maybe(numbers),
    model=maybe(texts),
    box=names,
    clock_synced=maybe(st.booleans()),
    reason=maybe(texts),
)
alarms = st.builds(
    Alarm,
    machine=names,
    id=maybe(texts),
    active=st.booleans(),
    acknowledged=st.booleans(),
    shelved=st.booleans(),
    latched=st.booleans(),
    severity=maybe(texts),
    raised=maybe(times),
    cleared=maybe(times),
    acknowledged_at=maybe(times),
    peak_score=maybe(numbers),
    evidence=maybe(texts),
    model=maybe(texts),
)
events = st.builds(
    Event,
    machine=names,
    id=names,
    time=times,
    alarm_id=maybe(texts),
    from_=texts,
    to=texts,
    who=maybe(texts),
    why=maybe(texts),
    historical=st.booleans(),
    score=maybe(numbers),
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
        ),
        max_size=3,
    ),
    load=st.lists(numbers, min_size=3, max_size=3),
    dropped=st.dictionaries(names, counts, max_size=3),
    restarted=st.dictionaries(names, counts, max_size=3),
)


@given(scores | state_messages | alarms | events | statuses)
def test_a_payload_has_the_required_keys_and_reads_back(message: Message) -> None:
    payload = message.payload()
    document = json.loads(payload.decode("utf-8"))
    assert set(KEYS[type(message)].split()) <= set(document)
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


@pytest.mark.parametrize("state", MachineState)
@pytest.mark.parametrize("microphone", MicrophoneState)
def test_evaluated_follows_from_state_and_microphone(state, microphone) -> None:
    time = datetime.now(UTC)
    message = State("fan01", time, state, microphone, time, None, None, "edge", None, None)
    expected = state in {"idle", "normal", "warning", "alarm"} and microphone in {"ok", "degraded"}
    assert json.loads(message.payload())["evaluated"] is expected


def test_unknown_keys_are_ignored() -> None:
    payload = a_score().payload()
    assert read(payload[:-1] + b',"new": [1, {"a": null}]}') == read(payload)


@pytest.mark.parametrize(
    "payload",
    [b"", b"online", b"[]", b"3", b"{}", b'{"schema":"asd.score/2"}', b'{"schema":["asd.score/1"]}',
     b'{"schema":"asd.score/1"}', b"\xff"],
)  # fmt: skip
def test_other_payloads_are_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read(payload)
