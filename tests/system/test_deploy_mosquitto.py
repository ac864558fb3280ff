"""The access list and configuration for mosquitto in `deploy/mosquitto`, on a real broker."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from asd_monitor.config.settings import Mqtt, Tls
from asd_monitor.publish.broker_session import BrokerSession
from asd_monitor.publish.homeassistant.identifiers import Identifiers
from asd_monitor.publish.topics import Topics
from tests.doubles.mosquitto import (
    PATIENCE_S,
    Certificates,
    Mosquitto,
    make_certificates,
)

MOSQUITTO = Path(__file__).parents[2] / "deploy/mosquitto"
USERS = {"edge-07": "a", "operator": "b", "supervisor": "c", "plc": "d", "homeassistant": "e"}
TOPICS = Topics("asd", "edge-07")
RUNNING = "plc/fan01"
ACK, ANSWER = "asd/fan01/cmd/ack", "asd/fan01/cmd/ack/response"
OF_THE_BOX = (
    TOPICS.score("fan01"),
    TOPICS.state("fan01"),
    TOPICS.alarm("fan01"),
    TOPICS.event("fan01"),
    TOPICS.availability,
    TOPICS.status,
    "asd/box/edge-07/selftest",
    "asd/box/edge-07/alarm",
    TOPICS.picture("fan01"),
)
DISCOVERY = Identifiers("homeassistant", "edge-07")


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("pem"))


@pytest.fixture
def broker(
    make_mosquitto: Callable[..., Mosquitto], pem: Certificates, tmp_path: Path
) -> Mosquitto:
    """A broker with the lines of the configuration and with the access list of `deploy`."""
    text = (MOSQUITTO / "asd-monitor.conf").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    ours = dict(line.split(maxsplit=1) for line in lines)
    assert ours.pop("listener") == "8883"
    assert ours.pop("persistence") == "true"
    assert ours.pop("allow_anonymous") == "false"
    for key in ("certfile", "keyfile", "password_file", "acl_file"):  # as paths of this test
        assert ours.pop(key).startswith("/etc/mosquitto/")
    extra = "\n".join(f"{key} {value}" for key, value in ours.items())
    assert extra == "tls_version tlsv1.2"
    acl = (MOSQUITTO / "acl").read_text()
    return make_mosquitto(users=USERS, acl=acl, tls=pem, extra=extra).start()


class _Client:
    """A client whose every answer from the broker is kept."""

    def __init__(self, broker: Mosquitto, pem: Certificates, user: str | None) -> None:
        self._changed = threading.Condition()
        self._received: list[MQTTMessage] = []
        self._connected: ReasonCode | None = None
        self._codes: dict[int, ReasonCode] = {}
        client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        client.username_pw_set(user, None if user is None else USERS.get(user, "wrong"))
        client.tls_set(str(pem.ca))
        client.on_connect = lambda _c, _u, _f, code, _p: self._note(connected=code)
        client.on_message = lambda _c, _u, message: self._note(message=message)
        client.on_publish = lambda _c, _u, mid, code, _p: self._note(mid=mid, code=code)
        client.on_subscribe = lambda _c, _u, mid, codes, _p: self._note(mid=mid, code=codes[0])
        client.connect("localhost", broker.port)
        client.loop_start()
        self.client = client

    def _note(
        self,
        *,
        connected: ReasonCode | None = None,
        message: MQTTMessage | None = None,
        mid: int | None = None,
        code: ReasonCode | None = None,
    ) -> None:
        with self._changed:
            self._connected = connected or self._connected
            if message is not None:
                self._received.append(message)
            if mid is not None and code is not None:
                self._codes[mid] = code
            self._changed.notify_all()

    def _wait(self, condition: Callable[[], Any]) -> Any:
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE_S)
            return condition()

    def is_accepted(self) -> bool:
        return not self._wait(lambda: self._connected).is_failure

    def may_publish(self, topic: str) -> bool:
        mid = self.client.publish(topic, b"x", qos=1).mid
        return not self._wait(lambda: self._codes.get(mid)).is_failure

    def may_subscribe(self, topic: str) -> bool:
        _, mid = self.client.subscribe(topic, qos=1)
        assert mid is not None
        return not self._wait(lambda: self._codes.get(mid)).is_failure

    def receives(self, topic: str) -> bool:
        return bool(self._wait(lambda: [m for m in self._received if m.topic == topic]))

    def topics(self) -> set[str]:
        with self._changed:
            return {message.topic for message in self._received}


@contextmanager
def connected(broker: Mosquitto, pem: Certificates, user: str | None) -> Iterator[_Client]:
    found = _Client(broker, pem, user)
    try:
        assert found.is_accepted()
        yield found
    finally:
        found.client.disconnect()
        found.client.loop_stop()


def test_the_box_may_do_all_it_needs(broker: Mosquitto, pem: Certificates) -> None:
    with (
        connected(broker, pem, "edge-07") as box,
        connected(broker, pem, "operator") as operator,
        connected(broker, pem, "plc") as plc,
    ):
        assert operator.may_subscribe("asd/#")
        assert box.may_subscribe(RUNNING)
        for topic in OF_THE_BOX:
            assert box.may_publish(topic), topic
            assert operator.receives(topic)
        assert plc.may_publish(RUNNING)
        assert box.receives(RUNNING)


def test_home_assistant_discovers_reads_and_commands(broker: Mosquitto, pem: Certificates) -> None:
    with connected(broker, pem, "edge-07") as box, connected(broker, pem, "homeassistant") as home:
        assert home.may_subscribe("homeassistant/#")
        assert home.may_subscribe("asd/#")
        assert box.may_subscribe(DISCOVERY.birth_topic)
        assert box.may_subscribe("asd/fan01/cmd/+")
        assert home.may_publish(DISCOVERY.birth_topic)
        assert box.receives(DISCOVERY.birth_topic)
        for device in (DISCOVERY.box_device, DISCOVERY.machine_device("fan01")):
            assert box.may_publish(DISCOVERY.config_topic(device))
            assert home.receives(DISCOVERY.config_topic(device))
        assert home.may_publish(ACK)
        assert box.receives(ACK)
        assert not home.may_publish(TOPICS.state("fan01"))
        assert not box.may_publish("homeassistant/device/asd-other-fan01/config")


def test_the_session_of_the_daemon_works_with_these_rights(
    broker: Mosquitto, pem: Certificates, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text(USERS["edge-07"])
    settings = Mqtt(
        port=broker.port, username="edge-07", password_file=password, tls=Tls(ca=pem.ca)
    )
    received = threading.Event()
    session = BrokerSession(settings, "edge-07")
    with connected(broker, pem, "operator") as operator, connected(broker, pem, "plc") as plc:
        assert operator.may_subscribe("asd/#")
        session.subscribe([RUNNING], lambda _: received.set())
        session.start()
        try:
            assert session.wait_for(lambda s: s.connected and s.pending == 0, PATIENCE_S)
            assert operator.receives(TOPICS.availability)
            session.publish(TOPICS.state("fan01"), b"{}", qos=1, retain=True)
            assert operator.receives(TOPICS.state("fan01"))
            assert session.counters.refused == 0
            assert plc.may_publish(RUNNING)
            assert received.wait(PATIENCE_S)
        finally:
            session.stop()


def test_the_last_will_of_the_box_is_published(broker: Mosquitto, pem: Certificates) -> None:
    with connected(broker, pem, "operator") as operator:
        assert operator.may_subscribe("asd/#")
        lost = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        lost.username_pw_set("edge-07", USERS["edge-07"])
        lost.tls_set(str(pem.ca))
        lost.will_set(TOPICS.availability, b"offline", qos=1, retain=True)
        lost.connect("localhost", broker.port)
        while not lost.is_connected():
            lost.loop(0.1)
        connection = lost.socket()
        assert connection is not None
        connection.close()
        assert operator.receives(TOPICS.availability)


def test_a_stranger_can_neither_read_nor_write(broker: Mosquitto, pem: Certificates) -> None:
    for user in (None, "stranger"):
        stranger = _Client(broker, pem, user)
        assert not stranger.is_accepted()
        stranger.client.loop_stop()
    with (
        connected(broker, pem, "plc") as other,  # known, but not for this
        connected(broker, pem, "edge-07") as box,
        connected(broker, pem, "operator") as operator,
    ):
        assert operator.may_subscribe("asd/#")
        other.may_subscribe("asd/#")  # mosquitto may grant it, and delivers nothing
        for topic in OF_THE_BOX:
            assert not other.may_publish(topic)
            assert box.may_publish(topic)
            assert operator.receives(topic)
        assert other.may_publish(RUNNING)  # what was sent to it before has arrived with the answer
        assert box.may_publish(TOPICS.status)
        assert other.topics() == box.topics() == set()


def test_an_operator_reads_and_writes_nothing(broker: Mosquitto, pem: Certificates) -> None:
    with connected(broker, pem, "operator") as operator:
        for topic in (*OF_THE_BOX, RUNNING, "other"):
            assert not operator.may_publish(topic), topic


def test_a_supervisor_commands_and_the_box_answers(broker: Mosquitto, pem: Certificates) -> None:
    with (
        connected(broker, pem, "supervisor") as supervisor,
        connected(broker, pem, "edge-07") as box,
        connected(broker, pem, "operator") as operator,
        connected(broker, pem, "plc") as plc,
    ):
        assert box.may_subscribe(TOPICS.commands("fan01"))
        assert supervisor.may_subscribe("asd/#")
        assert supervisor.may_publish(ACK)
        assert box.receives(ACK)
        assert box.may_publish(ANSWER)
        assert supervisor.receives(ANSWER)
        assert not box.may_publish(ACK)
        for other in (operator, plc):
            assert not other.may_publish(ACK)
        for topic in (*OF_THE_BOX, ANSWER, RUNNING):
            assert not supervisor.may_publish(topic), topic


def test_a_box_has_no_rights_on_another(broker: Mosquitto, pem: Certificates) -> None:
    with connected(broker, pem, "edge-07") as box:
        for topic in ("asd/pump02/state", "asd/box/edge-08/status", RUNNING, "other"):
            assert not box.may_publish(topic), topic


def test_a_right_is_given_for_no_topic_that_does_not_exist() -> None:
    lines = [line.split() for line in (MOSQUITTO / "acl").read_text().splitlines()]
    named = {line[2] for line in lines if line[:1] == ["topic"]}
    mine = {*OF_THE_BOX[:4], "asd/box/edge-07/#", TOPICS.self_test_echo, RUNNING}
    commands = {TOPICS.commands("fan01"), TOPICS.response("fan01", "+")}
    devices = (DISCOVERY.box_device, DISCOVERY.machine_device("fan01"))
    discovery = {*map(DISCOVERY.config_topic, devices), DISCOVERY.birth_topic, "homeassistant/#"}
    picture = TOPICS.picture("fan01")
    assert named == {*mine, *commands, *discovery, picture, "asd/#", "plc/#", "asd/+/cmd/+"}


def test_the_documents_name_these_files() -> None:
    text = (MOSQUITTO.parent / "README.md").read_text()
    for name in ("acl", "asd-monitor.conf"):
        assert re.search(rf"deploy/mosquitto/{name}\b", text)
