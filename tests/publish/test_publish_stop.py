"""What is published when the session stops."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from asd_monitor.backoff import Backoff
from asd_monitor.publish.broker_session import BrokerSession
from tests.doubles.broker_sessions import AVAILABILITY, EVENT, SCORE, STATE, put_event, wait
from tests.doubles.fake_broker import CONNACK_5, DISCONNECT, PUBLISH, ClientConnection, FakeBroker
from tests.doubles.mosquitto import PATIENCE_S, Mosquitto, Subscriber


def test_pending_messages_are_published_before_offline(mosquitto: Mosquitto, make_session) -> None:
    with Subscriber(mosquitto.port) as subscriber:
        session = make_session(mosquitto.port)
        wait(session, lambda s: s.connected)
        for number in range(300):
            put_event(session, str(number).encode())
        session.publish(STATE, b"stopped", qos=1, retain=True)
        session.publish(SCORE, b"last", qos=0, retain=False)
        session.stop()
        subscriber.wait_for(AVAILABILITY, b"offline")
        assert [int(p) for p in subscriber.payloads(EVENT)] == list(range(300))
        assert subscriber.payloads(STATE) == [b"stopped"]
        assert subscriber.payloads(SCORE) == [b"last"]
        assert [m.topic for m in subscriber.messages][-1] == AVAILABILITY
    assert session.counters.dropped == 0
    assert not session.connected
    mosquitto.wait_for_log("Client asd-edge disconnected")
    with Subscriber(mosquitto.port) as late:
        (message,) = late.wait_for(AVAILABILITY)
        assert (message.payload, message.retain) == (b"offline", True)
    session.publish(STATE, b"too late", qos=1, retain=True)
    assert session.counters.dropped == 1


def test_a_stop_directly_after_the_start_still_publishes(
    mosquitto: Mosquitto, make_session
) -> None:
    session = make_session(mosquitto.port)
    session.publish(STATE, b"stopped", qos=1, retain=True)
    session.stop()
    with Subscriber(mosquitto.port) as late:
        late.wait_for(AVAILABILITY, b"offline")
        late.wait_for(STATE, b"stopped")


def test_without_a_broker_events_are_not_settled(
    make_mosquitto: Callable[..., Mosquitto], make_session
) -> None:
    session = make_session(make_mosquitto().port, options={"backoff": Backoff((600.0,))})
    outcomes: list[str | None] = []
    put_event(session, b"x", settled=outcomes.append)
    session.publish(STATE, b"x", qos=1, retain=True)
    session.stop()
    put_event(session, b"x", settled=outcomes.append)
    assert session.closed
    assert not outcomes
    assert session.counters.dropped == 0


def test_a_session_may_be_stopped_twice_and_without_a_start(make_session) -> None:
    session = make_session(1, start=False)
    session.stop()
    session.stop()
    assert session.closed


def test_a_session_that_was_stopped_does_not_start(make_session) -> None:
    with FakeBroker(lambda client: None) as broker:
        session = make_session(broker.port, start=False)
        session.stop()
        session.start()
        put_event(session, b"x")
        session.stop()
    assert not broker.clients
    assert session.counters.connects == 0


def has_disconnected(client: ClientConnection) -> bool:
    """Read until the client ends the connection; return whether it sent DISCONNECT."""
    while (packet := client.read()) is not None:
        if packet[0] >> 4 == PUBLISH:
            client.record_publish(*packet)
        if packet[0] >> 4 == DISCONNECT:
            return True
    return False


class CongestedBroker:
    """Accepts ``online`` and reads no more until `go_on` is set."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.ends: list[bool] = []
        """Of each connection, whether it ended with a DISCONNECT."""

    def __call__(self, client: ClientConnection) -> None:
        client.sock.sendall(CONNACK_5)
        while not client.publishes:
            packet = client.read()
            assert packet is not None
            if packet[0] >> 4 == PUBLISH:
                packet_id = client.record_publish(*packet)
                assert packet_id is not None
                client.acknowledge(packet_id)
        assert self.go_on.wait(PATIENCE_S)
        self.ends.append(client.serve())


def fill_the_network(session: BrokerSession) -> None:
    """Publish scores until they are dropped."""
    wait(session, lambda s: s.counters.published == 1)
    while session.counters.dropped == 0:
        session.publish(SCORE, bytes(100_000), qos=0, retain=False)


def test_the_will_is_published_where_the_network_is_too_slow_for_offline(make_session) -> None:
    behave = CongestedBroker()
    with FakeBroker(behave) as broker:
        session = make_session(broker.port)
        fill_the_network(session)
        before, waiting = session.counters, session.pending
        session.stop(0.5)
        assert session.closed
        after = session.counters
        counted = after.published - before.published + after.dropped - before.dropped
        assert counted >= waiting
        behave.go_on.set()
        broker.wait_until(lambda: bool(behave.ends))
    assert behave.ends == [False]
    assert [topic for topic, _ in broker.clients[0].publishes].count(AVAILABILITY) == 1


def test_offline_is_published_where_the_network_becomes_fast_enough(make_session) -> None:
    """The scores that are not with the network by then are dropped."""
    behave, skipped_s, stop_began = CongestedBroker(), 0.0, threading.Event()

    def clock() -> float:
        now_s = time.monotonic() + skipped_s
        if threading.current_thread().name == "stop":
            stop_began.set()
        return now_s

    with FakeBroker(behave) as broker:
        session = make_session(broker.port, options={"clock": clock})
        fill_the_network(session)
        stopping = threading.Thread(target=session.stop, args=(PATIENCE_S,), name="stop")
        stopping.start()
        assert stop_began.wait(PATIENCE_S)
        skipped_s = 0.7 * PATIENCE_S
        turns = session.turns + 2  # after a whole one ``offline`` is one of the messages
        while session.turns < turns:
            session.publish(SCORE, b"", qos=0, retain=False)
        behave.go_on.set()
        stopping.join(PATIENCE_S)
        broker.wait_until(lambda: bool(behave.ends))
    assert behave.ends == [True]
    assert [topic for topic, _ in broker.clients[0].publishes][-1] == AVAILABILITY
    assert session.counters.dropped >= 100  # how many are with the network is up to the system


def test_the_will_is_published_where_offline_is_refused(make_session) -> None:
    ends: list[bool] = []

    def behave(client: ClientConnection) -> None:
        client.sock.sendall(CONNACK_5)
        while (packet := client.read()) is not None:
            if packet[0] >> 4 == DISCONNECT:
                ends.append(True)
                return
            if packet[0] >> 4 == PUBLISH:
                packet_id = client.record_publish(*packet)
                assert packet_id is not None
                client.sock.sendall(bytes([0x40, 3]) + packet_id.to_bytes(2) + b"\x87")
        ends.append(False)

    with FakeBroker(behave) as broker:
        session = make_session(broker.port)
        wait(session, lambda s: s.counters.refused == 1)
        begun_s = time.monotonic()
        session.stop(PATIENCE_S)
        assert time.monotonic() - begun_s < PATIENCE_S / 2, "it waits though nothing is in flight"
        broker.wait_until(lambda: bool(ends))
    assert ends == [False]


def test_offline_is_sent_where_the_broker_acknowledges_nothing(make_session, logs) -> None:
    """Without its acknowledgement the broker has to publish the will: no DISCONNECT is sent."""
    ends: list[bool] = []
    outcomes: list[str | None] = []

    def behave(client: ClientConnection) -> None:
        client.sock.sendall(CONNACK_5)
        ends.append(has_disconnected(client))

    with FakeBroker(behave) as broker:
        session = make_session(broker.port)
        for machine in range(100):
            put_event(session, b"x", f"asd/m{machine}/event", outcomes.append)
        wait(session, lambda s: s.connected)
        session.stop(0.3)
        assert session.closed
        broker.wait_until(lambda: bool(ends))
    assert ends == [False]
    assert [e for e in logs if "will message" in e["event"]]
    topics = [topic for topic, _ in broker.clients[0].publishes]
    assert topics[-1] == AVAILABILITY, "the receive maximum has blocked it"
    assert not outcomes
