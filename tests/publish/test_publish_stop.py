"""What is published when the session stops."""

from __future__ import annotations

from collections.abc import Callable

from asd_monitor.backoff import Backoff
from tests.doubles.broker_sessions import AVAILABILITY, EVENT, SCORE, STATE, put_event, wait
from tests.doubles.fake_broker import CONNACK_5, DISCONNECT, PUBLISH, ClientConnection, FakeBroker
from tests.doubles.mosquitto import Mosquitto, Subscriber


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


def test_offline_is_sent_where_the_broker_acknowledges_nothing(make_session) -> None:
    disconnects: list[int] = []
    outcomes: list[str | None] = []

    def behave(client: ClientConnection) -> None:
        client.sock.sendall(CONNACK_5)
        while (packet := client.read()) is not None:
            if packet[0] >> 4 == PUBLISH:
                client.record_publish(*packet)
            if packet[0] >> 4 == DISCONNECT:
                disconnects.append(1)

    with FakeBroker(behave) as broker:
        session = make_session(broker.port)
        for machine in range(100):
            put_event(session, b"x", f"asd/m{machine}/event", outcomes.append)
        wait(session, lambda s: s.connected)
        session.stop(0.3)
        assert session.closed
        broker.wait_until(lambda: bool(disconnects))
    topics = [topic for topic, _ in broker.clients[0].publishes]
    assert topics[-1] == AVAILABILITY, "the receive maximum has blocked it"
    assert not outcomes
