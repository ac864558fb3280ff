"""Acknowledgements: how many messages are in flight, and what is sent again or refused."""

from __future__ import annotations

import pytest

from tests.doubles.broker_sessions import AVAILABILITY, EVENT, SCORE, errors, put_event, wait
from tests.doubles.fake_broker import CONNACK_5, PUBLISH, ClientConnection, FakeBroker


def test_the_receive_maximum_of_the_broker_is_kept(make_session) -> None:
    receive_maximum_2 = bytes([0x20, 6, 0, 0, 3, 0x21, 0, 2])
    in_flight: list[int] = []

    def behave(client: ClientConnection) -> None:
        client.sock.sendall(receive_maximum_2)
        unacknowledged: list[int] = []
        while len(client.publishes) < 20 and (packet := client.read()) is not None:
            if packet[0] >> 4 != PUBLISH:
                continue
            packet_id = client.record_publish(*packet)
            if packet_id is not None:
                unacknowledged.append(packet_id)
                continue
            # a QoS 0 message is sent only when no QoS 1 message may be sent
            in_flight.append(len(unacknowledged))
            if unacknowledged:
                client.acknowledge(unacknowledged.pop(0))
            session.publish(SCORE, b"x", qos=0, retain=False)
        for packet_id in unacknowledged:
            client.acknowledge(packet_id)
        client.serve()

    with FakeBroker(behave) as broker:
        session = make_session(broker.port, start=False)
        for _ in range(9):
            put_event(session, b"x")
        session.start()
        wait(session, lambda s: s.connected)
        session.publish(SCORE, b"x", qos=0, retain=False)
        wait(session, lambda s: s.counters.published >= 10 and s.pending == 0)
        session.stop()
    assert max(in_flight) == 2


def test_unacknowledged_messages_are_sent_again_after_a_reconnect(make_session) -> None:
    def behave(client: ClientConnection) -> None:
        client.sock.sendall(CONNACK_5)
        if len(broker.clients) == 1:
            while len(client.publishes) < 3:
                packet = client.read()
                assert packet is not None
                client.record_publish(*packet)
            return  # closes the connection without an acknowledgement
        client.serve()

    with FakeBroker(behave) as broker:
        session = make_session(broker.port)
        put_event(session, b"1", "asd/a/event")
        put_event(session, b"2", "asd/b/event")
        wait(session, lambda s: s.counters.published == 3)
    expected = [AVAILABILITY, "asd/a/event", "asd/b/event"]
    assert [topic for topic, _ in broker.clients[1].publishes][:3] == expected


@pytest.mark.parametrize("code", [0x95, 0x93, 0xC3])
def test_a_refused_event_does_not_affect_other_topics(make_session, logs, code) -> None:
    def behave(client: ClientConnection) -> None:
        client.sock.sendall(CONNACK_5)
        while (packet := client.read()) is not None:
            if packet[0] >> 4 != PUBLISH:
                continue
            packet_id = client.record_publish(*packet)
            assert packet_id is not None
            if client.publishes[-1][0] == EVENT:
                reason = b"\x1f\x00\x04full"
                body = packet_id.to_bytes(2) + bytes([code, len(reason)]) + reason
                client.sock.sendall(bytes([0x40, len(body)]) + body)
            else:
                client.acknowledge(packet_id)

    with FakeBroker(behave) as broker:
        session = make_session(broker.port)
        put_event(session, b"x")
        put_event(session, b"x", "asd/pump02/event")
        wait(session, lambda s: s.counters.published == 2 and s.counters.refused == 1)
        session.stop()
    assert session.counters.connects == 1
    assert session.counters.refused_events == 1
    (error,) = errors(logs)
    assert error["topic"] == EVENT
    assert error["reason"] in {"Packet too large", "Receive maximum exceeded", "reason code 0xC3"}


def test_a_broker_that_acknowledges_nothing_is_disconnected(make_session, logs) -> None:
    """It answers pings, so that the connection alone shows no fault."""

    def behave(client: ClientConnection) -> None:
        client.sock.sendall(CONNACK_5)
        if len(broker.clients) > 3:
            client.serve()
            return
        while client.read() is not None:
            pass

    with FakeBroker(behave) as broker:
        session = make_session(broker.port, options={"acknowledgement_limit_s": 0.2})
        put_event(session, b"x")
        wait(session, lambda s: s.counters.published == 2)
        session.stop()
    assert session.counters.refused == 0
    assert session.counters.connects == 4
    reasons = {e["reason"] for e in logs if e["event"] == "connection to the broker lost"}
    assert reasons == {f"no acknowledgement of a message on {AVAILABILITY} within 0.2 s"}


def test_a_topic_of_which_no_message_is_acknowledged_is_left_out(make_session, logs) -> None:
    def behave(client: ClientConnection) -> None:
        client.sock.sendall(CONNACK_5)
        while (packet := client.read()) is not None:
            if packet[0] >> 4 != PUBLISH:
                continue
            packet_id = client.record_publish(*packet)
            if client.publishes[-1][0] != EVENT and packet_id is not None:
                client.acknowledge(packet_id)

    with FakeBroker(behave) as broker:
        session = make_session(broker.port, options={"acknowledgement_limit_s": 0.2})
        put_event(session, b"x")
        put_event(session, b"x", "asd/pump02/event")
        wait(session, lambda s: s.counters.refused == 1 and s.connected and s.pending == 0)
        put_event(session, b"x")
        session.stop()
    assert session.counters.refused == 1
    assert session.counters.connects == 2
    (error,) = errors(logs)
    assert error["topic"] == EVENT
    assert error["event"].startswith("the broker acknowledges no message on this topic")
