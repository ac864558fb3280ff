"""Reasons and remedies of failed connections and refused messages."""

from __future__ import annotations

import socket

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from asd_monitor.config.settings import Mqtt, Tls
from asd_monitor.publish.broker_diagnostics import (
    EndCause,
    connect_failed,
    connection_lost,
    connection_refused,
    disconnected_by_broker,
    publish_remedy,
    reason_text,
)

BROKER = Mqtt(host="plant", port=8883, username="edge", tls=Tls())


@pytest.mark.parametrize(
    ("error", "reason", "remedy"),
    [
        (ConnectionRefusedError(), "no broker listens on plant:8883", "start the broker"),
        (ConnectionResetError(), "during the TLS handshake", "mqtt.tls"),
        (socket.gaierror(), "the host name plant cannot be resolved", "mqtt.host"),
        (TimeoutError(), "plant:8883 does not answer", "firewall"),
        (OSError(101, "Network is unreachable"), "Network is unreachable", "network"),
    ],
)
def test_a_failed_connect(error: OSError, reason: str, remedy: str) -> None:
    end = connect_failed(error, BROKER)
    assert end.cause is EndCause.UNREACHABLE
    assert reason in end.reason
    assert remedy in end.remedy


@pytest.mark.parametrize(
    ("code", "cause", "remedy"),
    [
        (0x84, EndCause.UNSUPPORTED_VERSION, "MQTT 5 or 3.1.1"),
        (0x85, EndCause.REFUSED, "asd-box7"),
        (0x87, EndCause.REFUSED, "user edge"),
        (0x88, EndCause.REFUSED, "overloaded or starting"),
        (0x95, EndCause.REFUSED, "limit of message size"),
        (0x80, EndCause.REFUSED, "log"),
        (0x81, EndCause.REFUSED, "log"),
        (0x8A, EndCause.REFUSED, "banned user edge"),
        (0x97, EndCause.REFUSED, "quota"),
        (0x9A, EndCause.REFUSED, "support retained messages"),
        (0x9B, EndCause.REFUSED, "support QoS 1"),
        (0x9C, EndCause.REFUSED, "mqtt.host and mqtt.port"),
    ],
)
def test_a_refused_connection(code: int, cause: EndCause, remedy: str) -> None:
    reason_code = ReasonCode(PacketTypes.CONNACK, identifier=code)
    end = connection_refused(reason_code, BROKER, "asd-box7")
    assert end.cause is cause
    assert remedy in end.remedy


def test_a_disconnect_names_the_last_topic() -> None:
    end = disconnected_by_broker(0x95, BROKER, "asd-box7", "asd/fan01/state")
    assert end.cause is EndCause.CLOSED_BY_BROKER
    assert "Packet too large (the last message was sent to asd/fan01/state)" in end.reason


@pytest.mark.parametrize("code", [0x00, 0x89, 0x8B, 0x8D, 0x98])
def test_a_disconnect_that_has_nothing_to_do_with_a_message(code: int) -> None:
    end = disconnected_by_broker(code, BROKER, "asd-box7", "asd/fan01/state")
    assert end.cause is EndCause.LOST


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (0x00, "none: the session reconnects"),
        (0x82, "log"),
        (0x87, "allow user edge to write asd/fan01/state"),
        (0x89, "overloaded"),
        (0x8B, "none: the session reconnects"),
        (0x8E, "`box:`"),
        (0x90, "mqtt.prefix"),
        (0x93, "log"),
        (0x95, "limit of message size"),
        (0x96, "messages per second"),
        (0x97, "quota for user edge"),
        (0x98, "none: the session reconnects"),
        (0x9A, "support retained messages"),
        (0x9B, "support QoS 1"),
        (0x9D, "mqtt.host and mqtt.port"),
        (0x9F, "connections per second"),
    ],
)
def test_the_remedy_for_a_disconnect(code: int, remedy: str) -> None:
    assert remedy in disconnected_by_broker(code, BROKER, "asd-box7", "asd/fan01/state").remedy


def test_a_disconnect_before_the_first_message_has_a_remedy() -> None:
    assert "its topics" in disconnected_by_broker(0x87, BROKER, "asd-box7", None).remedy


def test_a_closed_connection_names_the_last_topic() -> None:
    end = connection_lost(0x80, "asd/fan01/state")
    assert end.cause is EndCause.CLOSED_BY_BROKER
    assert end.reason == "the connection was closed (the last message was sent to asd/fan01/state)"
    assert connection_lost(0x8D, "asd/fan01/state").cause is EndCause.LOST


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0x87, "Not authorized"),
        (0x95, "Packet too large"),
        (0x91, "Packet identifier in use"),
        (0xC3, "reason code 0xC3"),
    ],
)
def test_every_reason_code_has_a_text(code: int, text: str) -> None:
    assert reason_text(code) == text


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (0x87, "allow user edge to write asd/x"),
        (0x97, "quota"),
        (0x80, "log"),
        (0x95, "message_size_limit"),
    ],
)
def test_a_refused_message(code: int, remedy: str) -> None:
    assert remedy in publish_remedy(code, "asd/x", BROKER)
