"""The session against brokers that behave as mosquitto cannot be made to."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from random import random
from typing import Any

import pytest
from tests.doubles.fake_broker import (
    CONNACK_5,
    CONNACK_311,
    CONNACK_WRONG_VERSION,
    TAKEN_OVER,
    Client,
    FakeBroker,
)
from tests.doubles.mosquitto import PATIENCE_S
from structlog.testing import capture_logs

from asd_monitor.backoff import Backoff, doubling
from asd_monitor.publish.broker_settings import MqttSettings
from asd_monitor.publish.session import Session

EVENT = "asd/fan01/event"


@pytest.fixture
def make_session() -> Iterator[Callable[..., Session]]:
    made: list[Session] = []

    def make(broker: FakeBroker, **options: Any) -> Session:
        options = {
            "backoff": Backoff(doubling(0.02, 0.2), minimum_s=0.01, jitter=random),
            **options,
        }
        session = Session(MqttSettings(box="edge", host="127.0.0.1", port=broker.port), **options)
        made.append(session)
        session.start()
        return session

    yield make
    for session in made:
        session.stop(1.0)


def wait(session: Session, condition: Callable[[Session], bool]) -> None:
    assert session.wait_for(condition, PATIENCE_S), session.counters


def refuse_5(client: Client) -> None:
    client.sock.sendall(CONNACK_WRONG_VERSION)


def hang_up_on_5(client: Client) -> None:
    pass


def talk_nonsense_to_5(client: Client) -> None:
    client.sock.sendall(bytes([0x20, 2, 0, 5]))  # 3.1.1's CONNACK is too short for MQTT 5


@pytest.mark.parametrize("answer", [refuse_5, hang_up_on_5, talk_nonsense_to_5])
def test_a_broker_of_311_is_served_in_311(make_session, answer) -> None:
    goodbyes: list[bool] = []

    def behave(client: Client) -> None:
        if client.level == 5:
            answer(client)
            return
        client.sock.sendall(CONNACK_311)
        goodbyes.append(client.answer_all())

    with FakeBroker(behave) as broker, capture_logs() as logs:
        session = make_session(broker)
        session.publish(EVENT, b"x", qos=1, retain=False)
        wait(session, lambda s: s.counters.published == 2)
        session.stop()
        broker.wait_until(lambda: bool(goodbyes))
    assert [c.level for c in broker.clients] == [5, 4], "no pause and no third try"
    assert broker.clients[1].will
    assert [topic for topic, _ in broker.clients[1].publishes] == [
        "asd/box/edge/availability",
        EVENT,
        "asd/box/edge/availability",
    ]
    assert goodbyes == [True]
    assert next(e for e in logs if e["event"] == "connected to the broker")["mqtt"] == "3.1.1"
    assert not [e for e in logs if e["log_level"] in {"error", "warning"}]


def test_something_that_is_no_broker_is_told_once_and_tried_for_ever(make_session) -> None:
    def behave(client: Client) -> None:
        client.sock.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

    with FakeBroker(behave) as broker, capture_logs() as logs:
        session = make_session(broker)
        broker.wait_until(lambda: len(broker.clients) >= 6)
        session.stop(1.0)
    (told,) = [e for e in logs if e["log_level"] == "error"]
    assert "mqtt.tls" in told["hint"]


def test_being_thrown_off_right_after_every_connect_makes_no_tight_loop(make_session) -> None:
    def behave(client: Client) -> None:
        client.sock.sendall(CONNACK_5)
        client.read()
        client.sock.sendall(TAKEN_OVER)
        client.answer_all()

    pauses: list[float] = []

    class Noting(Backoff):
        def takeover_delay_s(self) -> float:
            pauses.append(Backoff.takeover_delay_s(self))
            return 0.01

    with FakeBroker(behave) as broker, capture_logs() as logs:
        session = make_session(broker, backoff=Noting((30.0,), jitter=random))
        broker.wait_until(lambda: len(broker.clients) >= 4)
        session.stop(1.0)
    assert all(30.0 <= pause <= 60.0 for pause in pauses)
    shouts = [e for e in logs if e["event"] == "thrown off the broker by another client"]
    assert len(shouts) == len(pauses) >= 3


@pytest.mark.parametrize("last_words", [b"", TAKEN_OVER])
def test_the_pause_is_kept(make_session, last_words) -> None:
    times: list[float] = []

    def behave(client: Client) -> None:
        times.append(time.monotonic())
        client.sock.sendall(CONNACK_5)
        client.read()
        client.sock.sendall(last_words)

    with FakeBroker(behave) as broker, capture_logs():
        session = make_session(broker, backoff=Backoff((0.2,)))
        broker.wait_until(lambda: len(broker.clients) >= 4)
        session.stop(1.0)
    assert all(later - earlier >= 0.2 for earlier, later in itertools.pairwise(times[:4]))


def test_garbage_after_the_connect_costs_that_connection_only(make_session) -> None:
    def behave(client: Client) -> None:
        client.sock.sendall(CONNACK_5)
        if len(broker.clients) <= 3:
            # PUBLISH with a lying length; PUBACK that is too short; an unknown packet
            rubbish = [b"\x30\x02\xff\xff", b"\x40\x01\x00", b"\xf0\x00"]
            client.sock.sendall(rubbish[len(broker.clients) - 1])
        client.answer_all()

    broker = FakeBroker(behave)
    with broker, capture_logs():
        session = make_session(broker)
        session.publish(EVENT, b"x", qos=1, retain=False)
        wait(session, lambda s: s.counters.reconnects >= 3)
        session.publish("asd/last/event", b"x", qos=1, retain=False)
        session.stop()
    assert "asd/last/event" in dict(broker.clients[-1].publishes)
    assert session.counters.dropped == 0


def test_a_surprise_in_the_protocol_code_does_not_end_the_session(
    make_session, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asd_monitor.publish.connection import Connection

    flush, surprises = Connection.flush, []

    def surprising(self: Connection) -> None:
        if self.accepted and len(surprises) < 2:
            surprises.append(1)
            raise RuntimeError("never seen before")
        flush(self)

    monkeypatch.setattr(Connection, "flush", surprising)

    def behave(client: Client) -> None:
        client.sock.sendall(CONNACK_5)
        client.answer_all()

    with FakeBroker(behave) as broker, capture_logs() as logs:
        session = make_session(broker)
        session.publish(EVENT, b"x", qos=1, retain=False)
        wait(session, lambda s: s.counters.published == 2)
        session.stop()
    assert session.counters.reconnects == 2
    assert sum(e["event"].startswith("surprise") for e in logs) == 2


def test_no_more_is_in_flight_than_the_broker_takes(make_session) -> None:
    receive_maximum_2 = bytes([0x20, 6, 0, 0, 3, 0x21, 0, 2])
    most: list[int] = []

    def behave(client: Client) -> None:
        client.sock.sendall(receive_maximum_2)
        held: list[int] = []
        client.sock.settimeout(0.2)
        while len(client.publishes) < 10:
            try:
                packet = client.read()
            except TimeoutError:  # nothing more comes before an answer
                most.append(len(held))
                if held:
                    client.acknowledge(held.pop(0))
                continue
            if packet is None:
                return
            if packet[0] >> 4 == 3:
                number = client.note_publish(*packet)
                assert number is not None
                held.append(number)
        client.sock.settimeout(None)
        for number in held:
            client.acknowledge(number)
        client.answer_all()

    with FakeBroker(behave) as broker, capture_logs():
        session = make_session(broker)
        for _ in range(9):
            session.publish(EVENT, b"x", qos=1, retain=False)
        wait(session, lambda s: s.counters.published == 10)
        session.stop()
    assert max(most) == 2


def test_what_was_not_confirmed_is_sent_again_on_the_next_connection(make_session) -> None:
    def behave(client: Client) -> None:
        client.sock.sendall(CONNACK_5)
        if len(broker.clients) == 1:
            while len(client.publishes) < 3:
                packet = client.read()
                assert packet is not None
                client.note_publish(*packet)
            return  # hangs up without having confirmed anything
        client.answer_all()

    broker = FakeBroker(behave)
    with broker, capture_logs():
        session = make_session(broker)
        session.publish("asd/a/event", b"1", qos=1, retain=False)
        session.publish("asd/b/event", b"2", qos=1, retain=False)
        wait(session, lambda s: s.counters.published == 3)
    expected = ["asd/box/edge/availability", "asd/a/event", "asd/b/event"]
    assert [topic for topic, _ in broker.clients[1].publishes][:3] == expected


def test_stop_is_bounded_when_the_broker_confirms_nothing(make_session) -> None:
    def behave(client: Client) -> None:
        client.sock.sendall(CONNACK_5)
        while (packet := client.read()) is not None:
            if packet[0] >> 4 == 3:
                client.note_publish(*packet)
            if packet[0] >> 4 == 14:
                goodbyes.append(1)

    goodbyes: list[int] = []
    with FakeBroker(behave) as broker, capture_logs() as logs:
        session = make_session(broker)
        for _ in range(100):
            session.publish(EVENT, b"x", qos=1, retain=False)
        wait(session, lambda s: s.connected)
        session.stop(1.0)
        assert not session._thread.is_alive()
        broker.wait_until(lambda: bool(goodbyes))
    topics = [topic for topic, _ in broker.clients[0].publishes]
    assert topics[-1] == "asd/box/edge/availability", "goodbye is said past the full window"
    (told,) = [e for e in logs if e["event"] == "stopped before the broker had every message"]
    assert told["lost"] == 100


def test_publishing_never_waits_for_a_broker_that_stops_reading(make_session) -> None:
    release = threading.Event()

    def behave(client: Client) -> None:
        client.sock.sendall(CONNACK_5)
        release.wait(PATIENCE_S)

    with FakeBroker(behave) as broker, capture_logs():
        session = make_session(broker, max_queued=50)
        wait(session, lambda s: s.connected)
        for _ in range(1000):
            session.publish("asd/fan01/score", bytes(100_000), qos=0, retain=False)
            session.publish(EVENT, bytes(1000), qos=1, retain=False)
        assert session.counters.dropped > 1000
        assert session.waiting <= 50 + 20 + 200 + 2
        session.stop(1.0)
        assert not session._thread.is_alive()
        release.set()


def test_a_broker_that_falls_silent_is_left(make_session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asd_monitor.publish.connection._KEEPALIVE_S", 1)
    release = threading.Event()

    def behave(client: Client) -> None:
        client.sock.sendall(CONNACK_5)
        if len(broker.clients) == 1:
            release.wait(PATIENCE_S)
        else:
            client.answer_all()

    broker = FakeBroker(behave)
    with broker, capture_logs() as logs:
        session = make_session(broker)
        wait(session, lambda s: s.counters.reconnects == 1)
        session.stop()
        release.set()
    (told,) = [e for e in logs if e["log_level"] == "warning"]
    assert told["reason"] == "the broker no longer answers"
