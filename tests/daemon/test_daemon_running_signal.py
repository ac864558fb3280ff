"""The signal that says whether a machine runs: values, age, and any history of messages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.config.json_path import parse_json_path
from asd_monitor.daemon.running_signal import (
    MISSING_AFTER_S,
    RunningSignal,
    SignalMessage,
    SignalProblem,
    SignalReading,
    read_value,
)
from asd_monitor.publish.inbox import MAX_PAYLOAD_BYTES

STALE_S = 300.0
RUNS, OFF = SignalReading(running=True), SignalReading(running=False)


def taken_to_run(problem: SignalProblem) -> SignalReading:
    return SignalReading(running=True, problem=problem)


def signal() -> RunningSignal:
    return RunningSignal(None, STALE_S, begun_s=1000.0)


def message(payload: bytes, at_s: float, *, retained: bool = False) -> SignalMessage:
    return SignalMessage(payload, retained, at_s)


@pytest.mark.parametrize("text", ["true", "True", "TRUE", "1", "on", "ON\n", " on "])
def test_a_plain_message_is_true(text: str) -> None:
    assert read_value(text.encode(), None) is True


@pytest.mark.parametrize("text", ["false", "False", "0", "off", "Off\r\n"])
def test_a_plain_message_is_false(text: str) -> None:
    assert read_value(text.encode(), None) is False


@pytest.mark.parametrize(
    "payload",
    [
        *(b"", b"yes", b"2", b"1.0", b'"on"', b"null", b"truefalse", b"\xff\xfe", b'{"run": true}'),
        *(b"0" * (MAX_PAYLOAD_BYTES + 1), b"1" + b" " * MAX_PAYLOAD_BYTES),
    ],
)
def test_other_plain_messages_are_malformed(payload: bytes) -> None:
    assert read_value(payload, None) is None


@pytest.mark.parametrize(
    ("path", "document", "value"),
    [
        ("$.run", {"run": True}, True),
        ("$.run", {"run": 0}, False),
        ("$.run", {"run": 1.0}, True),
        ("$.run", {"run": "Off"}, False),
        ("$.a.b[0]", {"a": {"b": [False, True]}}, False),
        ("$[1][0].läuft", [0, [{"läuft": 1}]], True),
        ("$", False, False),
        ("$.run", {"run": None}, None),
        ("$.run", {"run": 2}, None),
        ("$.run", {"run": []}, None),
        ("$.run", {"run": {"run": True}}, None),
        ("$.run", {"other": True}, None),
        ("$.run", [True], None),
        ("$.run[3]", {"run": [True]}, None),
        ("$.run[0]", {"run": {"0": True}}, None),
        ("$[0]", "1", None),
    ],
)
def test_the_value_of_a_json_message_is_at_its_path(
    path: str, document: Any, value: bool | None
) -> None:
    assert read_value(json.dumps(document).encode(), parse_json_path(path)) is value


@pytest.mark.parametrize(
    "payload",
    [
        *(b"[" * 16_000, b'{"run":' * 2000, b'{"run": ' + b"9" * 9000 + b"}", b'{"run": NaN}'),
        *(b"run", b'{"run": true', b'{"run": true}}', b"\xff", b'{"run": 1e999}'),
    ],
)
def test_a_message_that_is_no_json_or_hostile_is_malformed(payload: bytes) -> None:
    assert read_value(payload, parse_json_path("$.run")) is None


@given(st.binary(max_size=200), st.sampled_from([None, "$.run", "$", "$[0].x"]))
def test_any_message_has_a_value_or_is_malformed(payload: bytes, path: str | None) -> None:
    parsed = None if path is None else parse_json_path(path)
    assert read_value(payload, parsed) in {True, False, None}


def test_a_missing_message_is_reported_after_some_time() -> None:
    subject = signal()
    assert subject.read(1000.0 + MISSING_AFTER_S - 1) == RUNS
    assert subject.read(1000.0 + MISSING_AFTER_S) == taken_to_run(SignalProblem.MISSING)
    assert subject.age_s(2000.0) is None
    subject.receive(message(b"0", 2000.0))
    assert subject.read(2000.0) == OFF


def test_a_message_counts_until_it_is_stale() -> None:
    subject = signal()
    subject.receive(message(b"off", 1001.0))
    assert subject.read(1001.0 + STALE_S) == OFF
    assert subject.read(1001.5 + STALE_S) == taken_to_run(SignalProblem.STALE)
    subject.receive(message(b"off", 2000.0))
    assert subject.read(2000.0) == OFF
    assert subject.age_s(2010.0) == 10.0


def test_a_malformed_message_replaces_a_valid_one() -> None:
    subject = signal()
    subject.receive(message(b"off", 1001.0))
    subject.receive(message(b"stopped", 1002.0))
    assert subject.read(1002.0) == taken_to_run(SignalProblem.MALFORMED)
    assert subject.malformed == 1
    assert subject.malformed_payload == "stopped"
    assert subject.read(1003.0 + STALE_S) == taken_to_run(SignalProblem.STALE)
    subject.receive(message(b"off", 2000.0))
    assert subject.read(2000.0) == OFF
    assert subject.malformed_payload is None


def test_a_retained_message_that_is_delivered_again_is_not_renewed() -> None:
    subject = signal()
    subject.receive(message(b"off", 1001.0, retained=True))
    assert subject.read(1001.0) == OFF  # its age is not known: it counts from its reception
    subject.receive(message(b"off", 1200.0, retained=True))  # after a reconnect
    assert subject.read(1002.0 + STALE_S) == taken_to_run(SignalProblem.STALE)
    subject.receive(message(b"off", 1400.0, retained=True))
    assert subject.read(1400.0) == taken_to_run(SignalProblem.STALE)
    subject.receive(message(b"on", 1500.0, retained=True))  # published while disconnected
    assert subject.read(1500.0) == RUNS
    subject.receive(message(b"on", 1700.0))
    assert subject.read(1700.0 + STALE_S) == RUNS


PAYLOADS = [b"true", b"0", b"off", b"1", b"maybe", b"\xff", b""]
HISTORIES = st.lists(
    st.tuples(st.sampled_from(PAYLOADS), st.booleans(), st.floats(0, 400)), max_size=30
)


@given(HISTORIES, st.floats(0, 1000))
def test_the_machine_is_off_only_by_a_fresh_valid_message(
    history: list[tuple[bytes, bool, float]], wait_s: float
) -> None:
    subject = signal()
    now, newest, malformed = 1000.0, None, 0
    for payload, retained, pause_s in history:
        now += pause_s
        subject.receive(message(payload, now, retained=retained))
        if newest is None or not retained or payload != newest[0]:
            newest = (payload, now)
            malformed += read_value(payload, None) is None
    now += wait_s
    reading = subject.read(now)
    assert subject.malformed == malformed
    assert subject.read(now) == reading  # reading changes nothing
    fresh = newest is not None and now - newest[1] <= STALE_S
    assert reading.running == (not (fresh and newest and read_value(newest[0], None) is False))
    if reading.problem is None:
        assert newest is None or (fresh and read_value(newest[0], None) is not None)
    else:
        assert reading.running
