"""Payloads, response topics and the rate of commands: whatever arrives is a command or refused."""

from __future__ import annotations

import json
import random
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.daemon.command_address import (
    MAX_CORRELATION_BYTES,
    MAX_RESPONSE_TOPIC_BYTES,
    Address,
    default_address,
    requested_address,
)
from asd_monitor.daemon.command_parsing import (
    MAX_WHO_CHARS,
    MAX_WHY_CHARS,
    VERBS,
    Command,
    CommandRefusedError,
    ReloadCommand,
    parse_command,
)
from asd_monitor.daemon.token_bucket import TokenBucket
from asd_monitor.journal.request_decisions import decide_on_machine
from asd_monitor.journal.requests import NO_REASON, Request, Verb
from asd_monitor.publish.received_commands import MAX_COMMAND_BYTES, ReceivedCommand

NOW = datetime(2026, 11, 23, 4, 45, tzinfo=UTC)
ALARM = "fan01-20261123T044500Z"
TOPIC = "asd/fan01/cmd/ack/response"
OF_ALARM = ("ack", "shelve", "unshelve", "label", "mark-normal")


def parse(verb: str, payload: object = b"") -> Command:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return parse_command("fan01", verb, data, NOW)


def refusal(verb: str, payload: object = b"") -> str:
    with pytest.raises(CommandRefusedError) as refused:
        parse(verb, payload)
    return str(refused.value)


@pytest.mark.parametrize("payload", [ALARM.encode(), f" {ALARM}\n".encode(), {"id": ALARM}])
@pytest.mark.parametrize("verb", ["ack", "unshelve"])
def test_the_id_of_an_alarm_is_enough(verb: str, payload: object) -> None:
    request = parse(verb, payload)
    assert isinstance(request, Request)
    assert (request.verb, request.machine, request.alarm_id) == (Verb(verb), "fan01", ALARM)
    assert (request.who, request.why, request.time) == ("mqtt", None, NOW)


def test_all_keys_of_an_alarm_are_taken() -> None:
    request = parse("label", {"id": ALARM, "label": "invalid", "why": "a door", "who": "ann"})
    assert isinstance(request, Request)
    assert (request.who, request.why, request.arguments) == ("ann", "a door", {"label": "invalid"})


@pytest.mark.parametrize(
    ("keys", "until"),
    [
        ({"for": "2h"}, "2026-11-23T06:45:00.000Z"),
        ({"for": "30 m"}, "2026-11-23T05:15:00.000Z"),
        ({"until": "2026-11-23T06:00:00Z"}, "2026-11-23T06:00:00.000Z"),
        ({"until": "2026-11-23T07:00:00.5+01:00"}, "2026-11-23T06:00:00.500Z"),
        ({"until": "2026-11-23T06:00z"}, "2026-11-23T06:00:00.000Z"),
    ],
)
def test_an_alarm_is_shelved_until_a_time_or_for_a_period(keys: dict[str, str], until: str) -> None:
    request = parse("shelve", {"id": ALARM, **keys})
    assert isinstance(request, Request)
    assert request.arguments == {"until": until}


@pytest.mark.parametrize(
    ("payload", "why", "arguments"),
    [
        (ALARM.encode(), NO_REASON, {}),
        ({"id": ALARM}, NO_REASON, {}),
        ({"id": ALARM, "why": "new filter"}, "new filter", {}),
        (
            {"id": ALARM, "why": "it was a fault", "withdraw": True},
            "it was a fault",
            {"withdraw": "true"},
        ),
    ],
)
def test_the_sound_of_an_alarm_is_marked_as_normal(
    payload: object, why: str, arguments: dict[str, str]
) -> None:
    request = parse("mark-normal", payload)
    assert isinstance(request, Request)
    assert (request.verb, request.alarm_id) == (Verb.MARK_NORMAL, ALARM)
    assert (request.why, request.arguments) == (why, arguments)


def test_the_sound_of_a_span_is_marked_as_normal() -> None:
    span = {"from": "2026-11-23T04:00:00Z", "to": "2026-11-23T05:30:00+01:00"}
    request = parse("mark-normal", {**span, "why": "other load", "who": "ann"})
    assert isinstance(request, Request)
    assert (request.alarm_id, request.why, request.who) == (None, "other load", "ann")
    assert request.arguments == {
        "from": "2026-11-23T04:00:00.000Z",
        "to": "2026-11-23T04:30:00.000Z",
    }


def test_a_command_of_the_machine_needs_no_payload_but_its_reason() -> None:
    request = parse("in-service")
    assert isinstance(request, Request)
    assert (request.verb, request.alarm_id, request.who) == (Verb.IN_SERVICE, None, "mqtt")
    taken = parse("out-of-service", {"why": "belt", "who": "ann"})
    assert isinstance(taken, Request)
    assert decide_on_machine(taken, None, None).accepted
    assert parse("reload") == ReloadCommand("mqtt", None)
    assert parse("reload", {"who": "ann", "why": "new model"}) == ReloadCommand("ann", "new model")


@pytest.mark.parametrize(
    ("verb", "payload", "expected"),
    [
        ("ack", b"", "the key 'id' is missing: add it; such as `{"),
        ("ack", b"the pump", "id: 'the pump' is not the id of an alarm: write `id` of the message"),
        ("ack", b"\xff\xfe", "the payload is not text: write it in UTF-8"),
        ("ack", b"{", "the payload is not valid JSON (EOF"),
        ("ack", b"[1]", "id: '[1]' is not the id of an alarm"),
        ("ack", b"x" * (MAX_COMMAND_BYTES + 1), "the payload is too long: write at most 4096"),
        ("ack", {"idd": ALARM}, "unknown key 'idd': did you mean 'id'?"),
        ("ack", {"id": ALARM, "x y": 1}, "unknown key 'x y': the keys here are who, why, id"),
        ("ack", {"id": ALARM, "label": "valid"}, "unknown key 'label': the keys here are"),
        ("ack", {"id": 7}, "id is not text: put it in quotes"),
        ("ack", {"id": ALARM, "who": "a" * (MAX_WHO_CHARS + 1)}, "who is too long: write at most"),
        ("ack", {"id": ALARM, "why": "a" * (MAX_WHY_CHARS + 1)}, "why is too long: write at most"),
        ("ack", {"id": ALARM, "who": "a\nb"}, "who: control characters are not allowed: write it"),
        ("ack", {"id": ALARM, "why": "\x1b[2J"}, "why: control characters are not allowed"),
        ("ack", {"id": f"{ALARM}\n"}, "id: 'fan01-20261123T044500Z\\n' is not the id of an alarm"),
        ("shelve", ALARM.encode(), 'say until when: either "until"'),
        ("shelve", {"id": ALARM, "for": "2h", "until": "x"}, "say until when: either"),
        ("shelve", {"id": ALARM, "forr": "2h"}, "unknown key 'forr': did you mean 'for'?"),
        ("shelve", {"id": ALARM, "for": "long"}, "for: 'long' is not a duration: write a number"),
        ("shelve", {"id": ALARM, "for": f"{'9' * 15}d"}, "for: '999999999999999d' is too long"),
        (
            "shelve",
            {"id": ALARM, "until": "2026-11-23T06:00:00"},
            "until: '2026-11-23T06:00:00' is",
        ),
        ("shelve", {"id": ALARM, "until": "0001-01-01T00:00:00+23:00"}, "until: '0001-01-01T00"),
        ("label", ALARM.encode(), "the key 'label' is missing"),
        ("label", {"id": ALARM, "label": "ok"}, "label is not a label: write valid or invalid"),
        ("out-of-service", b"", "the key 'why' is missing"),
        ("out-of-service", {"why": " "}, "why: it is empty: say why"),
        ("mark-normal", b"", "say which sound: either"),
        ("mark-normal", {"from": "2026-11-23T04:00:00Z", "why": "x"}, "say which sound: either"),
        (
            "mark-normal",
            {"id": ALARM, "from": "2026-11-23T04:00:00Z", "to": "2026-11-23T04:10:00Z"},
            "say which sound: either",
        ),
        (
            "mark-normal",
            {"from": "2026-11-23T04:00:00Z", "to": "2026-11-23T04:10:00Z"},
            "say why this sound is normal",
        ),
        ("mark-normal", {"from": "04:00", "to": "05:00", "why": "x"}, "from: '04:00' is not a"),
        ("mark-normal", {"id": ALARM, "why": " "}, "why: it is empty: say why"),
        ("mark-normal", {"id": ALARM, "withdraw": "yes"}, "withdraw is neither true nor false"),
        ("mark-normal", {"id": ALARM, "form": "x"}, "unknown key 'form': did you mean 'from'?"),
        ("in-service", b"now", "'now' is not JSON: write `{"),
        ("reload", {"id": ALARM}, "unknown key 'id'"),
        (
            "acknowledge",
            ALARM.encode(),
            "there is no command 'acknowledge': the commands are ack, ",
        ),
        (
            "out_of_service",
            b"",
            "there is no command 'out_of_service': did you mean out-of-service?",
        ),
    ],
)
def test_a_refusal_says_what_is_wrong_and_the_remedy(
    verb: str, payload: object, expected: str
) -> None:
    assert refusal(verb, payload).startswith(expected)


def test_the_answer_to_a_command_is_no_command() -> None:
    answer = {"schema": "asd.response/1", "machine": "fan01", "verb": "ack", "accepted": True}
    for verb in VERBS:
        assert "unknown key" in refusal(verb, answer)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
keys = st.sampled_from(
    ["id", "why", "who", "until", "for", "label", "from", "to", "withdraw", "idd", "schema"]
)
texts = st.sampled_from([ALARM, "valid", "2h", "2026-11-23T06:00:00Z", "\ud800", "a\x00b", "é"])
near_valid = st.dictionaries(keys, texts | json_values, max_size=6)


def check_command(verb: str, payload: bytes) -> None:
    """Parse a payload; check that what follows is within the bounds."""
    try:
        command = parse(verb, payload)
    except CommandRefusedError as refused:
        text = str(refused)
        assert 10 < len(text) < 1500
        assert all(unicodedata.category(each) != "Cc" for each in text)
        text.encode()
        return
    assert len(payload) <= MAX_COMMAND_BYTES
    assert 1 <= len(command.who) <= MAX_WHO_CHARS
    assert len(command.why or "") <= MAX_WHY_CHARS
    for text in (command.who, command.why or ""):
        text.encode()
        assert all(unicodedata.category(each) not in {"Cc", "Cs"} for each in text)
    if isinstance(command, Request):
        assert str(command.verb) == verb
        is_of_span = "from" in command.arguments
        assert (command.alarm_id is not None) == (verb in OF_ALARM and not is_of_span)


@given(st.sampled_from(VERBS) | st.text(), st.binary(max_size=300))
def test_any_bytes_are_a_command_or_refused(verb: str, payload: bytes) -> None:
    check_command(verb, payload)


@given(st.sampled_from(VERBS), near_valid)
def test_any_json_is_a_command_or_refused(verb: str, document: dict[str, Any]) -> None:
    check_command(verb, json.dumps(document).encode())
    check_command(verb, json.dumps(document, ensure_ascii=False).encode(errors="surrogatepass"))


def test_thousands_of_mutated_payloads_are_a_command_or_refused() -> None:
    chance = random.Random(2026)
    valid = (
        ALARM.encode(),
        json.dumps({"id": ALARM, "for": "2h", "why": "known", "who": "ann"}).encode(),
        json.dumps({"id": ALARM, "label": "valid"}).encode(),
        json.dumps(
            {"from": "2026-11-23T04:00:00Z", "to": "2026-11-23T05:00Z", "why": "x"}
        ).encode(),
        json.dumps({"why": "belt é \u2028"}).encode(),
        b"[" * 4096,
        b'{"id":' * 600,
    )
    for _ in range(5000):
        payload = bytearray(chance.choice(valid))
        for _ in range(chance.randrange(4)):
            at = chance.randrange(len(payload) + 1)
            match chance.randrange(3):
                case 0:
                    payload[at : at + 1] = chance.randbytes(1)
                case 1:
                    del payload[at : at + chance.randrange(9)]
                case 2:
                    payload[at:at] = payload[at : at + 9] * chance.choice((1, 1, 500))
        check_command(chance.choice(VERBS), bytes(payload))


def address(
    response_topic: bytes | None = None,
    correlation: bytes | None = None,
    *,
    has_valid_properties: bool = True,
) -> Address:
    command = ReceivedCommand(
        "asd/fan01/cmd/ack",
        b"",
        retained=False,
        response_topic=response_topic,
        correlation=correlation,
        has_valid_properties=has_valid_properties,
    )
    return requested_address(command, default_address(command, TOPIC), "asd")


def test_an_answer_goes_to_the_response_topic_with_the_correlation_data() -> None:
    assert address() == Address(TOPIC)
    assert address(correlation=b"\x00\xff") == Address(TOPIC, b"\x00\xff")
    assert address(b"hmi/answers", b"7") == Address("hmi/answers", b"7")
    assert address(b"asd/hmi/3/response") == Address("asd/hmi/3/response")
    assert address(b"asdf/x") == Address("asdf/x")
    longest = b"t" * MAX_RESPONSE_TOPIC_BYTES, b"c" * MAX_CORRELATION_BYTES
    assert address(*longest) == Address("t" * MAX_RESPONSE_TOPIC_BYTES, longest[1])


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        (b"hmi/+", "'hmi/+' cannot be a response topic: leave it out"),
        (b"hmi/#", "'hmi/#' cannot be a response topic"),
        (b"", "'' cannot be a response topic"),
        (b"a\x00b", "'a\\x00b' cannot be a response topic"),
        (b"\xff", "cannot be a response topic"),
        (b"$SYS/broker", "the response topic '$SYS/broker' begins with $"),
        (b"$share/a/b", "cannot be a response topic"),
        (b"t" * (MAX_RESPONSE_TOPIC_BYTES + 1), "the response topic is too long"),
        (b"asd", "the response topic 'asd' is one of this system"),
        (b"asd/fan01/alarm", "the response topic 'asd/fan01/alarm' is one of this system"),
        (b"asd/pump02/cmd/ack", "the response topic 'asd/pump02/cmd/ack' is one of this system"),
        (b"asd/fan01/cmd/response", "the response topic 'asd/fan01/cmd/response' is one of"),
    ],
)
def test_a_response_topic_that_may_do_harm_is_refused(topic: bytes, expected: str) -> None:
    with pytest.raises(CommandRefusedError) as refused:
        address(topic)
    assert expected in str(refused.value)


def test_long_correlation_data_and_malformed_properties_are_refused() -> None:
    with pytest.raises(CommandRefusedError, match="correlation data are too long"):
        address(correlation=b"c" * (MAX_CORRELATION_BYTES + 1))
    with pytest.raises(CommandRefusedError, match="properties of the message are malformed"):
        address(has_valid_properties=False)


def test_a_bucket_allows_a_burst_and_then_the_rate() -> None:
    bucket = TokenBucket(20, 2.0)
    now_s, taken = 100.0, 0
    for _ in range(50):
        taken += bucket.take(now_s)
    assert taken == 20
    for _ in range(1000):  # 100 s
        now_s += 0.1
        taken += bucket.take(now_s)
    assert 218 <= taken <= 221
    now_s += timedelta(days=1).total_seconds()
    assert sum(bucket.take(now_s) for _ in range(50)) == 20
