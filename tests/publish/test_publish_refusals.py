"""What the broker refuses, and settings that cannot work."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from paho.mqtt.client import MQTTv5, MQTTv311

from asd_monitor.config.settings import Mqtt
from asd_monitor.errors import UsageError
from asd_monitor.publish.broker_session import BrokerSession
from tests.doubles.broker_sessions import AVAILABILITY, EVENT, SCORE, STATE, errors, put_event, wait
from tests.doubles.fake_broker import CONNACK_5, PUBLISH, ClientConnection, FakeBroker
from tests.doubles.mosquitto import Mosquitto, Subscriber

MakeMosquitto = Callable[..., Mosquitto]


def test_a_wrong_password_is_logged_once_and_the_corrected_file_is_used(
    make_mosquitto: MakeMosquitto, make_session, logs, tmp_path: Path
) -> None:
    broker = make_mosquitto(users={"edge": "right"}).start()
    secret = tmp_path / "password"
    secret.write_text("wrong\n")
    session = make_session(broker.port, username="edge", password_file=secret)
    broker.wait_for_log("not authorised", times=4)
    (error,) = errors(logs)
    assert error["reason"] in {"Not authorized", "Bad user name or password"}
    assert "mqtt.password_file" in error["hint"]
    assert "user edge" in error["hint"]
    assert "wrong" not in str(error), "the password is logged"

    secret.write_text("right\n")
    wait(session, lambda s: s.connected)


def test_a_topic_without_permission_does_not_affect_the_others(
    make_mosquitto: MakeMosquitto, make_session, logs
) -> None:
    broker = make_mosquitto(
        acl="topic readwrite asd/box/#\ntopic readwrite asd/fan01/event\ntopic read #\n"
    ).start()
    with Subscriber(broker.port) as subscriber:
        session = make_session(broker.port)
        for number in range(3):
            session.publish(STATE, b"normal", qos=1, retain=True)
            put_event(session, str(number).encode())
            wait(session, lambda s: s.counters.refused == number + 1)  # noqa: B023 - runs here
        subscriber.wait_for(EVENT, b"2")
        wait(session, lambda s: s.counters.published == 4)
    assert session.counters.reconnects == 0
    (error,) = errors(logs)
    assert error["topic"] == STATE
    assert error["reason"] == "Not authorized"
    assert STATE in error["hint"]


def test_refusals_of_machines_that_are_not_configured_are_not_reported(
    make_mosquitto: MakeMosquitto, make_session
) -> None:
    broker = make_mosquitto(acl="topic read #\n").start()
    session = make_session(broker.port)
    session.publish(STATE, b"normal", qos=1, retain=True)
    session.publish("asd/pump02/state", b"normal", qos=1, retain=True)
    wait(session, lambda s: s.counters.refused == 3)
    wait(session, lambda s: set(s.refused_topics) == {AVAILABILITY, STATE, "asd/pump02/state"})
    session.is_configured = lambda machine: machine == "fan01"
    assert session.refused_topics.keys() == {AVAILABILITY, STATE}


def test_a_message_above_the_maximum_packet_size_does_not_end_the_connection(
    make_mosquitto: MakeMosquitto, make_session, logs
) -> None:
    broker = make_mosquitto(extra="max_packet_size 500").start()
    session = make_session(broker.port)
    put_event(session, b"x" * 1000)
    put_event(session, b"x")
    wait(session, lambda s: s.counters.refused == 1 and s.counters.published == 2)
    assert session.counters.reconnects == 0
    (error,) = errors(logs)
    assert error["reason"] == "Packet too large"


@pytest.mark.parametrize("version", [MQTTv311, MQTTv5])
def test_two_sessions_with_one_client_id_are_logged_as_an_error(
    mosquitto: Mosquitto, make_session, logs, version
) -> None:
    """mosquitto 2.0.11 sends no DISCONNECT for a takeover; later versions do so in MQTT 5."""
    sessions = [make_session(mosquitto.port, options={"versions": (version,)}) for _ in range(2)]
    for session in sessions:
        wait(session, lambda s: s.counters.reconnects >= 5)
    for session in sessions:
        session.stop()
    repeated = [e for e in logs if e["event"].startswith("the broker repeatedly closes")]
    taken_over = [e for e in logs if e["event"] == "MQTT session taken over by another client"]
    assert taken_over or 1 <= len(repeated) <= 2, "not logged once by each session"
    for entry in taken_over + repeated:
        assert entry["log_level"] == "error"
        assert "asd-edge" in str(entry)
        assert "box" in entry["hint"]
    assert not [e for e in logs if "left out" in e["event"]], "a topic is taken for the cause"
    for session in sessions:
        assert session.counters.refused == 0


@pytest.mark.parametrize(
    ("box", "settings", "message"),
    [
        ("a/b", {}, "'a/b' cannot be an id"),
        ("edge", {"password_file": "/nowhere/at/all", "username": "u"}, "/nowhere"),
        ("edge", {"password_file": "/dev/zero", "username": "u"}, "not a regular file"),
    ],
)
def test_settings_that_cannot_work_raise(box, settings, message) -> None:
    with pytest.raises(UsageError, match=message):
        BrokerSession(Mqtt(**settings), box)


def test_an_empty_password_file_raises(tmp_path: Path) -> None:
    empty = tmp_path / "password"
    empty.touch()
    with pytest.raises(UsageError, match="is empty"):
        BrokerSession(Mqtt(username="u", password_file=empty), "edge")


@pytest.mark.parametrize("version", [MQTTv311, MQTTv5])
def test_a_message_above_the_size_limit_does_not_affect_the_others(
    make_mosquitto: MakeMosquitto, make_session, logs, version
) -> None:
    """mosquitto answers with a reason code that MQTT 5 does not have for it, in 3.1.1 with none."""
    broker = make_mosquitto(extra="message_size_limit 500").start()
    with Subscriber(broker.port) as subscriber:
        session = make_session(broker.port, options={"versions": (version,)})
        status = "asd/box/edge/status"
        session.publish(status, bytes(1000), qos=1, retain=True)
        session.publish(STATE, b"normal", qos=1, retain=True)
        session.publish(SCORE, bytes(1000), qos=0, retain=False)
        put_event(session, b"raised")
        subscriber.wait_for(EVENT, b"raised")
        subscriber.wait_for(STATE, b"normal")
        wait(session, lambda s: s.pending == 0)
    assert session.counters.connects == 1
    if version == MQTTv5:
        assert session.counters.refused == 1
        (error,) = errors(logs)
        assert (error["topic"], error["reason"]) == (status, "Packet too large")
        assert "message_size_limit" in error["hint"]


@pytest.mark.parametrize("big", ["asd/box/edge/status", EVENT, SCORE])
def test_a_topic_at_which_the_broker_closes_the_connection_is_left_out(
    make_mosquitto: MakeMosquitto, make_session, logs, big
) -> None:
    """MQTT 3.1.1 has no other refusal; mosquitto closes at packets above its limit."""
    broker = make_mosquitto(extra="max_packet_size 500").start()
    session = make_session(broker.port, options={"versions": (MQTTv311,)})
    session.publish(STATE, b"normal", qos=1, retain=True)
    if big != EVENT:
        put_event(session, b"raised")
    if big == EVENT:
        put_event(session, bytes(1000))
    elif big != SCORE:
        session.publish(big, bytes(1000), qos=1, retain=True)
    else:
        for _ in range(3):  # QoS 0 is not repeated
            wait(session, lambda s: s.connected and s.pending == 0)
            connects = session.counters.connects
            session.publish(SCORE, bytes(1000), qos=0, retain=False)
            wait(session, lambda s: s.counters.connects > connects)  # noqa: B023 - runs here
    wait(session, lambda s: s.connected and s.pending == 0 and s.counters.connects > 3)
    refused = session.counters.refused
    if big != EVENT:
        session.publish(big, bytes(1000), qos=0 if big == SCORE else 1, retain=big != SCORE)
        assert session.counters.refused == refused + 1
    with Subscriber(broker.port) as subscriber:
        subscriber.wait_for(STATE, b"normal")
        subscriber.wait_for(AVAILABILITY, b"online")
        put_event(session, b"still there", "asd/pump02/event")
        subscriber.wait_for("asd/pump02/event", b"still there")
    assert session.counters.connects == 4
    (error,) = errors(logs)
    assert error["topic"] == big
    assert "left out" in error["event"]
    assert "box id" not in str(logs)


def test_a_message_refused_for_a_while_is_sent_again(make_session, logs) -> None:
    """The alarm is refused with "quota exceeded" as it is raised, and accepted later."""
    alarm = "asd/fan01/alarm"
    refusals: list[str] = []

    def behave(client: ClientConnection) -> None:
        client.sock.sendall(CONNACK_5)
        while (packet := client.read()) is not None:
            if packet[0] >> 4 != PUBLISH:
                continue
            packet_id = client.record_publish(*packet)
            topic = client.publishes[-1][0]
            assert packet_id is not None
            if topic in {alarm, EVENT} and len(refusals) < 2:
                refusals.append(topic)
                client.sock.sendall(bytes([0x40, 3]) + packet_id.to_bytes(2) + b"\x97")
            else:
                client.acknowledge(packet_id)

    started_s, fast = time.monotonic(), 100
    clock = lambda: started_s + fast * (time.monotonic() - started_s)  # noqa: E731
    with FakeBroker(behave) as broker:
        session = make_session(broker.port, options={"clock": clock})
        session.publish(alarm, b"active", qos=1, retain=True)
        put_event(session, b"raised")
        wait(session, lambda s: s.counters.published == 3 and s.pending == 0)
        session.stop()
    assert sorted(refusals) == [alarm, EVENT]
    sent = [topic for topic, _ in broker.clients[0].publishes]
    assert (sent.count(alarm), sent.count(EVENT)) == (2, 2)
    assert session.counters.refused == 2
    assert (session.counters.refused_events, session.counters.retried_events) == (1, 1)
    assert {error["topic"] for error in errors(logs)} == {alarm, EVENT}
    accepted = [e for e in logs if e["event"].startswith("the broker accepts messages")]
    assert {entry["topic"] for entry in accepted} == {alarm, EVENT}


@pytest.mark.parametrize("code", [0x87, 0x97])
def test_a_refused_event_keeps_its_place_among_those_of_its_machine(make_session, code) -> None:
    """The first is refused twice while later ones of it and of another machine wait."""
    received: dict[str, list[bytes]] = {}
    refusals = 0

    def behave(client: ClientConnection) -> None:
        nonlocal refusals
        client.sock.sendall(CONNACK_5)
        while (packet := client.read()) is not None:
            if packet[0] >> 4 != PUBLISH:
                continue
            packet_id = client.record_publish(*packet)
            topic = client.publishes[-1][0]
            assert packet_id is not None
            received.setdefault(topic, []).append(packet[1][-1:])
            if topic == EVENT and refusals < 2:
                refusals += 1
                client.sock.sendall(bytes([0x40, 3]) + packet_id.to_bytes(2) + bytes([code]))
            else:
                client.acknowledge(packet_id)

    started_s, fast = time.monotonic(), 100
    clock = lambda: started_s + fast * (time.monotonic() - started_s)  # noqa: E731
    outcomes: list[str | None] = []
    with FakeBroker(behave) as broker:
        session = make_session(broker.port, options={"clock": clock})
        for number in range(3):
            put_event(session, str(number).encode(), settled=outcomes.append)
            put_event(session, str(number).encode(), "asd/pump02/event", outcomes.append)
        wait(session, lambda s: s.counters.published == 7)
        session.stop()
    assert received[EVENT] == [b"0", b"0", b"0", b"1", b"2"]
    assert received["asd/pump02/event"] == [b"0", b"1", b"2"]
    assert outcomes == [None] * 6


@pytest.mark.parametrize("code", [0x95, 0x99])
def test_an_event_that_is_never_accepted_blocks_no_later_one(make_session, code) -> None:
    accepted: list[bytes] = []

    def behave(client: ClientConnection) -> None:
        client.sock.sendall(CONNACK_5)
        while (packet := client.read()) is not None:
            if packet[0] >> 4 != PUBLISH:
                continue
            packet_id = client.record_publish(*packet)
            assert packet_id is not None
            if packet[1].endswith(b"bad"):
                client.sock.sendall(bytes([0x40, 3]) + packet_id.to_bytes(2) + bytes([code]))
            else:
                accepted.append(packet[1][-4:])
                client.acknowledge(packet_id)

    outcomes: list[tuple[str, str | None]] = []
    with FakeBroker(behave) as broker:
        session = make_session(broker.port)
        for text in ("good", "bad", "next"):
            settled = lambda outcome, text=text: outcomes.append((text, outcome))  # noqa: E731
            put_event(session, text.encode(), settled=settled)
        wait(session, lambda s: s.counters.published == 3)
        session.stop()
    assert accepted[1:3] == [b"good", b"next"]
    reason = {0x95: "Packet too large", 0x99: "Payload format invalid"}[code]
    assert outcomes == [("good", None), ("bad", reason), ("next", None)]
    assert (session.counters.refused_events, session.counters.retried_events) == (1, 0)
