"""Topics that are left out, and when they are tried again."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

import pytest

from asd_monitor.publish import suspect_topics
from asd_monitor.publish.broker_session import BrokerSession
from tests.doubles.broker_sessions import EVENT, STATE, errors, put_event, wait
from tests.doubles.fake_broker import CONNACK_5, PINGREQ, PUBLISH, ClientConnection, FakeBroker


class EventIgnoringBroker:
    """Acknowledges all but events, or closes the connection at them, until it is repaired."""

    def __init__(self, *, closes: bool) -> None:
        self.closes = closes
        self.repaired = False

    def __call__(self, client: ClientConnection) -> None:
        client.sock.sendall(CONNACK_5)
        while (packet := client.read()) is not None:
            head, body = packet
            if head >> 4 == PINGREQ:
                client.sock.sendall(bytes([0xD0, 0]))
            if head >> 4 != PUBLISH:
                continue
            packet_id = client.record_publish(head, body)
            if client.publishes[-1][0] == EVENT and not self.repaired:
                if self.closes:
                    return
            elif packet_id is not None:
                client.acknowledge(packet_id)


def leave_out_events(session, logs) -> None:
    """Publish an event, and states until the topic of events is left out."""
    put_event(session, b"raised")

    def left_out(each) -> bool:
        each.publish(STATE, b"alarm", qos=1, retain=True)
        return any(entry["topic"] == EVENT for entry in errors(logs))

    wait(session, left_out)


def leave_out_events_that_end_connections(session, logs) -> None:
    """Publish an event, and a state in each connection, until the topic of events is left out."""
    put_event(session, b"raised")
    connects = -1

    def left_out(each) -> bool:
        nonlocal connects
        if each.counters.connects != connects:
            connects = each.counters.connects
            each.publish(STATE, b"alarm", qos=1, retain=True)
        return any(entry["topic"] == EVENT for entry in errors(logs))

    wait(session, left_out)


@pytest.mark.parametrize(
    ("closes", "leave_out"),
    [(False, leave_out_events), (True, leave_out_events_that_end_connections)],
)
def test_an_event_is_published_after_the_restart_of_a_broker_that_did_not_accept_it(
    make_session: Callable[..., BrokerSession], logs, closes, leave_out
) -> None:
    behave = EventIgnoringBroker(closes=closes)
    with FakeBroker(behave) as broker:
        session = make_session(broker.port, options={"acknowledgement_limit_s": 0.3})
        leave_out(session, logs)
        wait(session, lambda s: s.connected and s.pending == 0)
        behave.repaired = True
        before = len(broker.clients)
        with contextlib.suppress(OSError):
            broker.clients[-1].sock.shutdown(socket.SHUT_RDWR)
        wait(session, lambda s: len(broker.clients) > before and s.pending == 0)
        wait(session, lambda _: EVENT in [topic for topic, _ in broker.clients[-1].publishes])


def test_no_topic_is_left_out_where_the_broker_refuses_connections_between_the_ends(
    make_session: Callable[..., BrokerSession], logs
) -> None:
    server_unavailable = bytes([0x20, 3, 0, 0x88, 0])
    closes, repaired = EventIgnoringBroker(closes=True), EventIgnoringBroker(closes=True)
    repaired.repaired = True

    def behave(client: ClientConnection) -> None:
        if len(broker.clients) > 12:
            repaired(client)
        elif len(broker.clients) % 2:
            closes(client)
        else:
            client.sock.sendall(server_unavailable)

    with FakeBroker(behave) as broker:
        session = make_session(broker.port)
        session.publish(STATE, b"alarm", qos=1, retain=True)
        put_event(session, b"raised")
        wait(session, lambda s: len(broker.clients) > 12 and s.pending == 0)
        wait(session, lambda _: EVENT in [topic for topic, _ in broker.clients[-1].publishes])
    assert not [entry for entry in logs if "left out" in entry["event"]]
    assert not session.refused_topics


def test_a_topic_that_is_ignored_again_is_left_out_again(
    make_session: Callable[..., BrokerSession], logs, monkeypatch
) -> None:
    """The state is published meanwhile, and the connection stays."""
    monkeypatch.setattr(suspect_topics, "_PAUSES_S", (0.5, 600.0))
    with FakeBroker(EventIgnoringBroker(closes=False)) as broker:
        session = make_session(broker.port, options={"acknowledgement_limit_s": 0.3})
        leave_out_events(session, logs)

        # of the connections, two end at the event, and the third lasts
        wait(session, lambda s: s.connected and s.pending == 0 and s.counters.connects == 3)
        tried = [topic for each in broker.clients for topic, _ in each.publishes].count(EVENT)
        assert tried == 2
        published = session.counters.published
        session.publish(STATE, b"normal", qos=1, retain=True)
        wait(session, lambda s: s.counters.published > published)
        assert session.counters.connects == 3
