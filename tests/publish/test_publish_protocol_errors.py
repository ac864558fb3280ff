"""Brokers that violate the protocol."""

from __future__ import annotations

import threading

import pytest

from asd_monitor.publish.broker_connection import Connection
from tests.doubles.broker_sessions import errors, put_event, wait
from tests.doubles.fake_broker import CONNACK_5, ClientConnection, FakeBroker
from tests.doubles.mosquitto import PATIENCE_S


def test_a_server_of_another_protocol_is_logged_once_and_retried(make_session, logs) -> None:
    def behave(client: ClientConnection) -> None:
        client.sock.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

    with FakeBroker(behave) as broker:
        session = make_session(broker.port)
        broker.wait_until(lambda: len(broker.clients) >= 6)
        session.stop(1.0)
    (error,) = errors(logs)
    assert "mqtt.tls" in error["hint"]


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
    assert bytes([0x21]) + (20).to_bytes(2) in properties  # Receive Maximum
    # no Maximum Packet Size: a broker would drop a larger command without an answer
    assert broker.clients[0].connect[10] == 3  # bytes of all properties
