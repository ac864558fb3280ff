"""A broker that accepts a session and then answers nothing: doctor does not wait for each topic."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from asd_monitor.diagnosis import topic_probe
from asd_monitor.diagnosis.broker import BrokerExamination
from asd_monitor.diagnosis.findings import Result
from asd_monitor.diagnosis.probe_client import ProbeClient
from tests.doubles.fake_broker import CONNACK_5, PUBLISH, ClientConnection, FakeBroker

SUBSCRIBE = 8
MACHINES = tuple(f"fan{number:02}" for number in range(40))


def silent(client: ClientConnection) -> None:
    client.sock.sendall(CONNACK_5)
    while client.read() is not None:
        pass


def subscribing(client: ClientConnection) -> None:
    """Accept subscriptions, and acknowledge no message."""
    client.sock.sendall(CONNACK_5)
    while (packet := client.read()) is not None:
        head, body = packet
        if head >> 4 == SUBSCRIBE:
            topics, at = 0, 2 + 1 + body[2]
            while at < len(body):
                at += 2 + int.from_bytes(body[at : at + 2]) + 1
                topics += 1
            answer = body[:2] + b"\0" + bytes([1] * topics)
            client.sock.sendall(bytes([0x90, len(answer)]) + answer)
        elif head >> 4 == PUBLISH:
            client.record_publish(head, body)


@pytest.mark.parametrize(
    ("behave", "text"), [(silent, "a subscription"), (subscribing, "messages")], ids=["all", "acks"]
)
def test_it_is_one_finding(
    make_config: Any, monkeypatch: pytest.MonkeyPatch, behave: Any, text: str
) -> None:
    for name in ("_SUBSCRIBED_S", "_ACKNOWLEDGED_S", "_SETTLED_S"):
        monkeypatch.setattr(topic_probe, name, 0.2)
    with FakeBroker(behave) as broker:
        config = make_config(MACHINES, host="127.0.0.1", port=broker.port)
        found = list(BrokerExamination(config, lambda: False, lambda: datetime.now(UTC)).run())
        published = [topic for client in broker.clients for topic, _ in client.publishes]
    [failed] = [each for each in found if each.result is Result.FAILED]
    assert (failed.check, failed.where) == ("session", f"127.0.0.1:{broker.port}")
    assert f"does not answer {text} within 0.2 s" in failed.what
    assert len(published) < 30  # of 165 topics


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_client_whose_connection_has_ended_leaves_no_sockets(make_config: Any) -> None:
    with FakeBroker(lambda client: client.sock.sendall(CONNACK_5)) as broker:
        mqtt = make_config(host="127.0.0.1", port=broker.port).mqtt
        before = open_descriptors()
        client = ProbeClient(mqtt, "edge-07")
        assert client.connect() is None
        assert client.wait_for(lambda: client.end is not None, 10.0)
        client.close()
        client.close()
        assert open_descriptors() <= before + 1  # that of the broker, at most
