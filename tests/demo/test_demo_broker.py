"""The MQTT broker of the demonstration."""

from __future__ import annotations

import logging
import socket
import threading

import pytest
from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from asd_monitor.config.settings import Mqtt
from asd_monitor.demo.broker import EmbeddedBroker
from asd_monitor.publish.broker_session import BrokerSession
from tests.doubles.broker_sessions import put_event
from tests.doubles.mosquitto import PATIENCE_S, Subscriber

AVAILABILITY = "asd/box/demo/availability"


def test_a_session_is_served_and_no_thread_or_socket_remains(
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = set(threading.enumerate())
    with caplog.at_level(logging.DEBUG), EmbeddedBroker() as broker:
        session = BrokerSession(Mqtt(host=broker.host, port=broker.port), "demo")
        session.start()
        assert session.wait_for(lambda s: s.connected, PATIENCE_S)
        with Subscriber(broker.port, "asd/#", protocol=MQTTv311) as listener:
            listener.wait_for(AVAILABILITY, b"online")
            for number in range(100):
                put_event(session, str(number).encode(), "asd/fan01/event")
                session.publish("asd/fan01/score", str(number).encode(), qos=0, retain=False)
            session.publish("asd/fan01/state", b"alarm", qos=1, retain=True)
            listener.wait_for("asd/fan01/event", times=100)
            listener.wait_for("asd/fan01/score", times=100)
            listener.wait_for("asd/fan01/state")
            session.stop()
            listener.wait_for(AVAILABILITY, b"offline")
        with Subscriber(broker.port, "asd/#", protocol=MQTTv311) as late:
            message = late.wait_for("asd/fan01/state")[0]
            assert (message.payload, message.retain) == (b"alarm", True)
    assert session.counters.dropped == 0
    assert set(threading.enumerate()) <= before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((broker.host, broker.port))
    noise = [r for r in caplog.records if r.levelno > logging.INFO or r.name.startswith("amqtt")]
    assert [r for r in noise if "with MQTT 3.1.1 refusals are not seen" not in r.getMessage()] == []


def test_mqtt_5_and_other_protocols_are_rejected_at_once() -> None:
    with EmbeddedBroker() as broker:
        for hello, answer in (
            (b"\x10\x0f\x00\x04MQTT\x05\x02\x00\x1e\x00\x00\x02me", b"\x20\x02\x00\x01"),
            (b"GET / HTTP/1.1\r\n\r\n", b"\x20\x02\x00\x01"),
        ):
            with socket.create_connection((broker.host, broker.port), PATIENCE_S) as sock:
                sock.sendall(hello)
                assert sock.recv(100) == answer
        with socket.create_connection((broker.host, broker.port), PATIENCE_S) as sock:
            sock.sendall(b"\x10")
        with Subscriber(broker.port, protocol=MQTTv311):
            pass


def test_a_lost_client_s_will_is_published_and_the_broker_stops_with_clients_connected() -> None:
    with EmbeddedBroker() as broker:
        with Subscriber(broker.port, "will", protocol=MQTTv311) as listener:
            client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv311)
            client.will_set("will", b"gone", qos=1)
            connected = threading.Event()
            client.on_connect = lambda *_: connected.set()
            client.connect(broker.host, broker.port)
            client.loop_start()
            assert connected.wait(PATIENCE_S)
            sock = client.socket()
            assert isinstance(sock, socket.socket)
            client.on_disconnect = lambda client, *_: client.disconnect()
            sock.shutdown(socket.SHUT_RDWR)
            listener.wait_for("will", b"gone")
            client.disconnect()
            client.loop_stop()
        staying = socket.create_connection((broker.host, broker.port), PATIENCE_S)
        staying.sendall(b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x1e\x00\x02me")
        assert staying.recv(4) == b"\x20\x02\x00\x00"
    with staying:
        assert staying.recv(1) == b"", "the broker did not close the connection"


def test_two_brokers_run_at_once() -> None:
    with EmbeddedBroker() as one, EmbeddedBroker() as other:
        assert one.port != other.port
