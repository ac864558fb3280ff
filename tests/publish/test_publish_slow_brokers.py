"""Brokers that stop reading or responding."""

from __future__ import annotations

import socket
import threading
import time

import paho.mqtt.client
import pytest

from asd_monitor.publish.broker_connection import Connection
from tests.doubles.broker_sessions import SCORE, STATE, put_event, wait
from tests.doubles.fake_broker import CONNACK_5, ClientConnection, FakeBroker
from tests.doubles.mosquitto import PATIENCE_S


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
