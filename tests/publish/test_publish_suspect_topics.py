"""Topics at whose messages the broker closes the connection."""

from __future__ import annotations

import pytest

from asd_monitor.publish.event_queues import StoredEvent
from asd_monitor.publish.send_queue import Acceptance, Outgoing, SendQueue

TOPICS = ["first", "a", "b", "c"]


def event(topic: str = "event", payload: bytes = b"") -> StoredEvent:
    return StoredEvent(topic, lambda: payload, lambda _: None)


class ClosingBroker:
    """A broker that closes the connection at each message on some topics."""

    def __init__(self, queue: SendQueue, refused: set[str]) -> None:
        self.queue = queue
        self.refused = refused
        self.accepted: list[str] = []
        self.connections = 0
        self.left_out: list[str] = []
        self.now_s = 0.0
        self._packet_id = 0
        self._open = False

    def connect(self) -> bool:
        """Serve a new connection, or the one that is open, until everything is sent.

        Return whether it lasts.
        """
        if not self._open:
            self.connections += 1
            self.queue.connected("first")
        in_flight: list[tuple[int, Outgoing]] = []
        closed = False
        while True:
            message = self.queue.take(3, self.now_s)
            if message is not None:
                self._packet_id += 1
                self.queue.sent(self._packet_id, message, self.now_s)
                in_flight.append((self._packet_id, message))
                if message.qos == 0:  # written to the network
                    self.queue.acknowledged(self._packet_id, self.now_s, Acceptance.ACCEPTED)
                continue
            if not in_flight:
                break
            packet_id, message = in_flight.pop(0)
            if message.topic in self.refused:
                closed = True
                break
            self.accepted.append(message.topic)
            self.queue.acknowledged(packet_id, self.now_s, Acceptance.ACCEPTED)
        self._open = not closed
        if closed:
            ended = self.queue.disconnected(self.now_s, by_broker=True)
            if ended.closing.left_out_s is not None:
                assert ended.closing.cause is not None
                self.left_out.append(ended.closing.cause)
        return not closed

    def restart(self) -> None:
        """End the connection as a broker does that is stopped."""
        self._open = False
        self.queue.disconnected(self.now_s, by_broker=False)


@pytest.mark.parametrize("refused", [*TOPICS, "event", "score"])
def test_a_topic_at_which_the_broker_closes_is_left_out_and_all_others_are_sent(
    refused: str,
) -> None:
    queue = SendQueue()
    broker = ClosingBroker(queue, {refused})
    for topic in TOPICS:
        queue.put(Outgoing(topic, b"", 1, retain=True))
    queue.events.put(event())
    while broker.connections < 20:
        queue._online = True  # QoS 0 is accepted while there is a connection
        queue.put(Outgoing("score", b"", 0, retain=False))
        if broker.connect():
            break
    assert broker.left_out == [refused]
    assert set(broker.accepted) >= {*TOPICS, "event"} - {refused}
    assert broker.connections <= 5


def test_messages_before_that_at_which_the_broker_closes_are_not_left_out() -> None:
    """Messages of QoS 0 are not acknowledged: those of other topics are in question as well."""
    queue = SendQueue()
    broker = ClosingBroker(queue, {"fan/score"})
    for topic in TOPICS:
        queue.put(Outgoing(topic, b"", 1, retain=True))
    while broker.connections < 20:
        queue._online = True  # QoS 0 is accepted while there is a connection
        for machine in ("pump", "mill", "fan"):
            queue.put(Outgoing(f"{machine}/score", b"", 0, retain=False))
        if broker.connect():
            break
    assert broker.left_out == ["fan/score"]
    assert set(broker.accepted) == {*TOPICS, "pump/score", "mill/score"}
    assert broker.connections == 4, "one for the suspects, two for the cause, and the last"


def test_a_topic_that_is_left_out_is_tried_again_after_the_pause() -> None:
    queue = SendQueue()
    broker = ClosingBroker(queue, {"a"})
    for topic in TOPICS:
        queue.put(Outgoing(topic, b"", 1, retain=True))
    while not broker.connect():
        pass
    connections = broker.connections
    broker.now_s = queue.next_due_s
    assert broker.now_s == 20.0
    assert not broker.connect()
    assert broker.connect()
    assert broker.connections == connections + 1, "left out again at the first closing"
    broker.now_s = queue.next_due_s
    assert broker.now_s == 20.0 + 40.0
    broker.refused.clear()
    assert broker.connect()
    assert broker.accepted[-1] == "a"
    assert not queue.is_left_out("a")


def test_a_broker_that_cannot_be_reached_clears_the_topics_in_question() -> None:
    """Two ends at the same topic leave it out, unless no connection was possible between them."""
    queue = SendQueue()
    broker = ClosingBroker(queue, {"a"})
    for topic in TOPICS:
        queue.put(Outgoing(topic, b"", 1, retain=True))
    for _ in range(20):
        assert not broker.connect()
        queue.no_connection()
    assert not broker.left_out
    while not broker.connect():
        pass
    assert broker.left_out == ["a"]
    queue.disconnected(broker.now_s, by_broker=True)
    broker._open = False
    queue.no_connection()
    assert not queue.is_left_out("a")
    broker.refused.clear()
    assert broker.connect()
    assert broker.accepted[-1] == "a"


def test_a_topic_that_is_left_out_is_tried_again_after_a_restart_of_the_broker() -> None:
    queue = SendQueue()
    broker = ClosingBroker(queue, {"a"})
    for topic in TOPICS:
        queue.put(Outgoing(topic, b"", 1, retain=True))
    while not broker.connect():
        pass
    broker.restart()
    assert not broker.connect()
    assert broker.connect()
    assert broker.left_out == ["a", "a"]
    broker.refused.clear()
    broker.restart()
    assert broker.connect()
    assert not queue.is_left_out("a")
    assert broker.accepted[-1] == "a"


def test_two_topics_at_which_the_broker_closes_are_left_out_one_after_the_other() -> None:
    queue = SendQueue()
    broker = ClosingBroker(queue, {"a", "c"})
    for topic in TOPICS:
        queue.put(Outgoing(topic, b"", 1, retain=True))
    while not broker.connect():
        assert broker.connections < 20
    assert queue.is_left_out("a")
    assert queue.is_left_out("c")
    assert set(broker.accepted) == {"first", "b"}


def test_a_broker_that_refuses_everything_has_no_topic_left_out() -> None:
    queue = SendQueue()
    broker = ClosingBroker(queue, {*TOPICS, "event"})
    for topic in TOPICS:
        queue.put(Outgoing(topic, b"", 1, retain=True))
    queue.events.put(event())
    for _ in range(30):
        assert not broker.connect()
    assert not broker.left_out
    broker.refused.clear()
    assert broker.connect()
    assert set(broker.accepted) == {*TOPICS, "event"}


def test_a_connection_that_ends_by_itself_has_no_topic_left_out() -> None:
    """A takeover by another client, a restart of the broker: everything sent is confirmed."""
    queue = SendQueue()
    broker = ClosingBroker(queue, set())
    for topic in TOPICS:
        queue.put(Outgoing(topic, b"", 1, retain=True))
    for _ in range(30):
        assert broker.connect()
        assert queue.disconnected(broker.now_s, by_broker=True).closing.unconfirmed == ()
    assert not broker.left_out


def test_a_message_that_is_never_acknowledged_is_left_out_only_if_later_ones_are() -> None:
    queue = SendQueue()
    messages = [Outgoing(topic, b"", 1, retain=True) for topic in ("first", "a", "b")]
    for message in messages:
        queue.put(message)
    queue.connected("first")
    for number in range(3):
        taken = queue.take(20, 0.0)
        assert taken is not None
        queue.sent(number, taken, 0.0)
    assert queue.refuse_ignored(30.0) is None
    queue.acknowledged(0, 0.0, Acceptance.ACCEPTED)
    assert queue.refuse_ignored(30.0) is None
    queue.acknowledged(2, 0.0, Acceptance.ACCEPTED)
    assert queue.refuse_ignored(30.0) == messages[1]
    assert queue.is_left_out("a")
    assert queue.unacknowledged == 0
