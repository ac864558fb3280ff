"""Brokers that violate the protocol, stop responding or support MQTT 3.1.1 only."""

from __future__ import annotations

import itertools
import socket
import threading
import time

import paho.mqtt.client
import pytest

from asd_monitor.backoff import Backoff
from asd_monitor.publish.broker_connection import Connection
from asd_monitor.publish.reconnect_pauses import pauses_after_takeovers
from asd_monitor.publish.version_fallback import UNANSWERED_ATTEMPTS
from tests.doubles.broker_sessions import AVAILABILITY, EVENT, SCORE, STATE, errors, put_event, wait
from tests.doubles.fake_broker import (
    CONNACK_5,
    CONNACK_311,
    CONNACK_WRONG_VERSION,
    DISCONNECT_TAKEN_OVER,
    PUBLISH,
    ClientConnection,
    FakeBroker,
)
from tests.doubles.mosquitto import PATIENCE_S


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


def test_a_server_of_another_protocol_is_logged_once_and_retried(make_session, logs) -> None:
    def behave(client: ClientConnection) -> None:
        client.sock.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

    with FakeBroker(behave) as broker:
        session = make_session(broker.port)
        broker.wait_until(lambda: len(broker.clients) >= 6)
        session.stop(1.0)
    (error,) = errors(logs)
    assert "mqtt.tls" in error["hint"]


def test_a_takeover_is_followed_by_growing_pauses(make_session, logs, monkeypatch) -> None:
    def behave(client: ClientConnection) -> None:
        client.sock.sendall(CONNACK_5)
        client.read()
        client.sock.sendall(DISCONNECT_TAKEN_OVER)
        client.serve()

    with FakeBroker(behave) as broker:
        session = make_session(broker.port, options={"takeover_pauses": None})
        # the pauses are waited for: here each is over at once
        monkeypatch.setattr(session._stop, "wait", lambda _: None)
        broker.wait_until(lambda: len(broker.clients) >= 6)
        session.stop(1.0)
    entries = [e for e in logs if e["event"] == "MQTT session taken over by another client"]
    pauses_s = [float(entry["next_try_s"]) for entry in entries]
    assert 10.0 <= pauses_s[0] <= 15.0, "alarms are to be published within 30 s"
    assert 20.0 <= pauses_s[1] <= 30.0
    assert all(40.0 <= pause_s <= 60.0 for pause_s in pauses_s[2:])
    assert "box:" in entries[0]["hint"]


def test_two_clients_of_one_id_take_over_from_each_other_at_most_once_in_40_s() -> None:
    """Of two sessions each connects after its pause, which ends the connection of the other."""
    pauses = [pauses_after_takeovers(), pauses_after_takeovers()]
    connected_s, now_s, client = [0.0, 0.0], 0.0, 0
    takeovers: list[float] = []
    for _ in range(200):
        other = 1 - client
        pause_s = pauses[other].delay_s(now_s - connected_s[other])
        takeovers.append(now_s)
        now_s += pause_s
        client, connected_s[other] = other, now_s
    gaps = [later - earlier for earlier, later in itertools.pairwise(takeovers)]
    assert all(gap >= 40.0 for gap in gaps[4:])


@pytest.mark.parametrize("last_packet", [b"", DISCONNECT_TAKEN_OVER])
def test_each_reconnect_waits_for_the_delay(make_session, last_packet) -> None:
    times: list[float] = []

    def behave(client: ClientConnection) -> None:
        times.append(time.monotonic())
        client.sock.sendall(CONNACK_5)
        client.read()
        client.sock.sendall(last_packet)

    with FakeBroker(behave) as broker:
        options = {"backoff": Backoff((0.1,)), "takeover_pauses": Backoff((0.1,))}
        session = make_session(broker.port, options=options)
        broker.wait_until(lambda: len(broker.clients) >= 4)
        session.stop(1.0)
    assert all(later - earlier >= 0.1 for earlier, later in itertools.pairwise(times[:4]))


def test_malformed_packets_end_that_connection_only(make_session) -> None:
    # a PUBLISH with a wrong length, a PUBACK that is too short, an unknown packet type
    malformed = [b"\x30\x02\xff\xff", b"\x40\x01\x00", b"\xf0\x00"]

    def behave(client: ClientConnection) -> None:
        client.sock.sendall(CONNACK_5)
        if len(broker.clients) <= len(malformed):
            client.sock.sendall(malformed[len(broker.clients) - 1])
        client.serve()

    with FakeBroker(behave) as broker:
        session = make_session(broker.port)
        put_event(session, b"x")
        wait(session, lambda s: s.counters.reconnects >= 3)
        put_event(session, b"x", "asd/last/event")
        session.stop()
    assert "asd/last/event" in dict(broker.clients[-1].publishes)
    assert session.counters.dropped == 0


def test_a_defect_in_the_protocol_code_does_not_end_the_session(make_session, logs) -> None:
    failures: list[int] = []

    class DefectiveConnection(Connection):
        def flush(self) -> None:
            if self.accepted and len(failures) < 2:
                failures.append(1)
                raise RuntimeError("a defect")
            super().flush()

    def behave(client: ClientConnection) -> None:
        client.sock.sendall(CONNACK_5)
        client.serve()

    with FakeBroker(behave) as broker:
        session = make_session(broker.port, options={"connection_type": DefectiveConnection})
        put_event(session, b"x")
        wait(session, lambda s: s.counters.published == 2)
        session.stop()
    assert session.counters.reconnects == 2
    unexpected = [e for e in errors(logs) if e["event"].startswith("unexpected error")]
    assert len(unexpected) == 2


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


def test_publishing_does_not_wait_for_a_broker_that_stops_reading(make_session) -> None:
    release = threading.Event()

    def behave(client: ClientConnection) -> None:
        client.sock.sendall(CONNACK_5)
        release.wait(PATIENCE_S)

    with FakeBroker(behave) as broker:
        session = make_session(broker.port)
        wait(session, lambda s: s.connected)
        put_event(session, bytes(1000))
        for _ in range(1000):
            session.publish(SCORE, bytes(100_000), qos=0, retain=False)
        assert session.counters.dropped > 700
        assert session.pending <= 1 + 20 + 200 + 2
        session.stop(0.2)
        assert session.closed
        release.set()


def test_a_message_that_is_due_while_the_network_is_too_slow_takes_no_processor_time(
    make_session,
) -> None:
    waits: list[float] = []

    class CountingConnection(Connection):
        def wait(self, wakeup: socket.socket, timeout_s: float) -> None:
            waits.append(timeout_s)
            super().wait(wakeup, timeout_s)

    release = threading.Event()

    def behave(client: ClientConnection) -> None:
        client.sock.sendall(CONNACK_5)
        while (packet := client.read()) is not None:
            packet_id = client.record_publish(*packet)
            assert packet_id is not None
            if client.publishes[-1][0] == STATE:
                client.sock.sendall(bytes([0x40, 3]) + packet_id.to_bytes(2) + b"\x97")
                break
            client.acknowledge(packet_id)
        release.wait(PATIENCE_S)

    skipped_s = 0.0
    with FakeBroker(behave) as broker:
        clock = lambda: time.monotonic() + skipped_s  # noqa: E731
        options = {"clock": clock, "connection_type": CountingConnection}
        session = make_session(broker.port, options=options)
        session.publish(STATE, b"normal", qos=1, retain=True)
        wait(session, lambda s: s.counters.refused == 1)
        while session.counters.dropped == 0:
            session.publish(SCORE, bytes(100_000), qos=0, retain=False)
        skipped_s = 10.0  # the pause after the refusal is over
        session.publish(SCORE, b"", qos=0, retain=False)
        before = len(waits)
        release.wait(0.5)
        assert len(waits) - before < 20
        session.stop(0.2)
        release.set()


def test_a_broker_that_stops_responding_is_disconnected(
    make_session, logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    # paho counts the keep alive time in whole seconds: here 20 of its seconds last one
    monkeypatch.setattr(paho.mqtt.client, "time_func", lambda: time.monotonic() * 20)
    release = threading.Event()

    def behave(client: ClientConnection) -> None:
        client.sock.sendall(CONNACK_5)
        if len(broker.clients) == 1:
            release.wait(PATIENCE_S)
        else:
            client.serve()

    with FakeBroker(behave) as broker:
        session = make_session(broker.port, options={"keep_alive_s": 3})
        wait(session, lambda s: s.counters.reconnects == 1)
        session.stop()
        release.set()
    warning = next(e for e in logs if e["log_level"] == "warning")
    assert warning["reason"] == "no response within the keep alive time"


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_message_that_was_not_requested_ends_the_connection(make_session, logs, qos) -> None:
    length = bytes([0xFF, 0xFF, 0xFF, 0x7F])  # of 256 MB
    sent: list[int] = []

    def behave(client: ClientConnection) -> None:
        client.sock.sendall(CONNACK_5)
        if len(broker.clients) > 5:
            client.serve()
            return
        client.sock.sendall(bytes([0x30 | qos << 1]) + length + b"\x00\x05a/b/c")
        try:
            while True:
                sent.append(client.sock.send(bytes(65_536)))
        except OSError:
            broker_noticed.set()

    broker_noticed = threading.Event()
    with FakeBroker(behave) as broker:
        session = make_session(broker.port)
        put_event(session, b"x")
        wait(session, lambda s: s.counters.published == 2)
        assert broker_noticed.wait(PATIENCE_S)
        session.stop()
    assert sum(sent) < 100_000_000, "more than the buffers of the network was received"
    assert not errors(logs), "taken for another client of the same id"
    (warning,) = [e for e in logs if e["log_level"] == "warning"]
    assert "a message on 'a/b/c', and this client has subscribed to none" in warning["reason"]
    assert "client id" in warning["hint"]


def test_the_limits_of_what_is_received_are_announced(make_session) -> None:
    with FakeBroker(lambda client: client.sock.sendall(CONNACK_5)) as broker:
        make_session(broker.port)
        broker.wait_until(lambda: bool(broker.clients))
    properties = broker.clients[0].connect[11:]
    assert bytes([0x27]) + (65_536).to_bytes(4) in properties  # Maximum Packet Size
    assert bytes([0x21]) + (1).to_bytes(2) in properties  # Receive Maximum


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
