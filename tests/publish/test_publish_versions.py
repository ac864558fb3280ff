"""Brokers that do not support MQTT 5: when they are connected by MQTT 3.1.1."""

from __future__ import annotations

import pytest

from asd_monitor.publish.version_fallback import UNANSWERED_ATTEMPTS
from tests.doubles.broker_sessions import AVAILABILITY, EVENT, put_event, wait
from tests.doubles.fake_broker import (
    CONNACK_5,
    CONNACK_311,
    CONNACK_WRONG_VERSION,
    ClientConnection,
    FakeBroker,
)


def refuse_version(client: ClientConnection) -> None:
    client.sock.sendall(CONNACK_WRONG_VERSION)


def close_connection(client: ClientConnection) -> None:
    pass


def send_short_connack(client: ClientConnection) -> None:
    client.sock.sendall(bytes([0x20, 2, 0, 5]))  # the CONNACK of 3.1.1 is too short for MQTT 5


def send_other_packet(client: ClientConnection) -> None:
    client.sock.sendall(b"\xf0\x00")


@pytest.mark.parametrize(
    ("answer", "attempts"),
    [
        (refuse_version, 1),
        (close_connection, UNANSWERED_ATTEMPTS),
        (send_short_connack, UNANSWERED_ATTEMPTS),
        (send_other_packet, UNANSWERED_ATTEMPTS),
    ],
)
def test_a_broker_without_mqtt_5_is_connected_by_311(make_session, logs, answer, attempts) -> None:
    disconnects: list[bool] = []

    def behave(client: ClientConnection) -> None:
        if client.level == 5:
            answer(client)
            return
        client.sock.sendall(CONNACK_311)
        disconnects.append(client.serve())

    with FakeBroker(behave) as broker:
        session = make_session(broker.port)
        put_event(session, b"x")
        wait(session, lambda s: s.counters.published == 2)
        session.stop()
        broker.wait_until(lambda: bool(disconnects))
    assert [c.level for c in broker.clients] == [5] * attempts + [4]
    assert broker.clients[-1].will
    assert [topic for topic, _ in broker.clients[-1].publishes] == [
        AVAILABILITY,
        EVENT,
        AVAILABILITY,
    ]
    assert disconnects == [True]
    assert next(e for e in logs if e["event"] == "connected to the broker")["mqtt"] == "3.1.1"
    (warning,) = [e for e in logs if e["log_level"] == "warning"]
    assert "refusals are not seen" in warning["event"]
    assert "MQTT 5" in warning["hint"]


def test_a_connection_cut_before_its_answer_is_tried_again_with_mqtt_5(make_session, logs) -> None:
    """As by a proxy whose broker has not started: the broker behind it supports MQTT 5."""

    def behave(client: ClientConnection) -> None:
        if len(broker.clients) >= UNANSWERED_ATTEMPTS:
            client.sock.sendall(CONNACK_5 if client.level == 5 else CONNACK_311)
            client.serve()

    with FakeBroker(behave) as broker:
        session = make_session(broker.port)
        wait(session, lambda s: s.counters.published == 1)
        session.stop()
    assert [c.level for c in broker.clients] == [5] * UNANSWERED_ATTEMPTS
    assert not [e for e in logs if e["log_level"] == "warning"]


def test_a_broker_that_has_answered_in_mqtt_5_is_never_connected_by_311(make_session) -> None:
    connections = 3 * UNANSWERED_ATTEMPTS

    def behave(client: ClientConnection) -> None:
        if client.level == 4:
            client.sock.sendall(CONNACK_311)
        elif len(broker.clients) == 1 or len(broker.clients) > connections:
            client.sock.sendall(CONNACK_5)
            if len(broker.clients) > connections:
                client.serve()

    with FakeBroker(behave) as broker:
        session = make_session(broker.port)
        broker.wait_until(lambda: len(broker.clients) > connections)
        wait(session, lambda s: s.counters.published >= 1)
        session.stop()
    assert {c.level for c in broker.clients} == {5}


def test_each_connection_by_311_is_attempted_with_mqtt_5_first(make_session, logs) -> None:
    """The broker may have been replaced by one that supports it; the warning is logged once."""

    def behave(client: ClientConnection) -> None:
        if len(broker.clients) == 5:
            client.sock.sendall(CONNACK_5)
            client.serve()
        elif client.level == 5:
            refuse_version(client)
        else:
            client.sock.sendall(CONNACK_311)
            client.read()

    with FakeBroker(behave) as broker:
        session = make_session(broker.port)
        broker.wait_until(lambda: len(broker.clients) == 5)
        wait(session, lambda s: s.counters.published >= 1)
        session.stop()
    assert [c.level for c in broker.clients] == [5, 4, 5, 4, 5]
    assert len([e for e in logs if "refusals are not seen" in e["event"]]) == 1
