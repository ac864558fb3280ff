"""The send queue against a simple model."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from asd_monitor.publish.event_queues import StoredEvent
from asd_monitor.publish.send_queue import Acceptance, Outgoing, Placement, SendQueue

TOPICS = ["first", "a", "b", "c"]
EVENT_TOPICS = ["fan/event", "pump/event", "mill/event"]
MAX_LIVE, RECEIVE_MAXIMUM = 3, 2


def event(topic: str = "event", payload: bytes = b"") -> StoredEvent:
    return StoredEvent(topic, lambda: payload, lambda _: None)


class SendQueueMachine(RuleBasedStateMachine):
    """Connections, refusals and runs of the daemon that end at any time.

    Every message of QoS 0 is acknowledged or counted.  Events are stored until they are settled,
    and put again after a kill, as the journal does; those of one topic are never out of order, and
    one that is received twice has the same id.  The broker processes messages in order, as it has
    to, and may close the connection at any time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.number = 0
        self.stored: dict[str, list[int]] = {topic: [] for topic in EVENT_TOPICS}  # not settled
        self.events = 0
        self.received: dict[str, list[int]] = {topic: [] for topic in EVENT_TOPICS}
        self.set_aside: set[int] = set()
        self.latest: dict[str, bytes] = {}
        self.broker: dict[str, bytes] = {}  # retained there
        self._begin_run()

    def _begin_run(self) -> None:
        self.queue = SendQueue(max_live=MAX_LIVE)
        self.online = False
        self.put = self.acknowledged = self.dropped = self.refused = 0  # of QoS 0
        self.in_flight: dict[int, Outgoing] = {}
        for topic, message in self.latest.items():  # a new run publishes the newest condition
            self.queue.put(Outgoing(topic, message, 1, retain=True))
        for topic, numbers in self.stored.items():
            for number in numbers:
                self._put_event(topic, number)

    def _put_event(self, topic: str, number: int) -> None:
        run = self.queue

        def settle(refusal: str | None) -> None:
            assert run is self.queue
            assert self.stored[topic][0] == number, "not in order"
            del self.stored[topic][0]
            if refusal is not None:
                self.set_aside.add(number)

        self.queue.events.put(StoredEvent(topic, lambda: str(number).encode(), settle))

    @rule(topic=st.sampled_from(TOPICS), retain=st.booleans())
    def publish(self, topic: str, retain: bool) -> None:
        self.number += 1
        payload = str(self.number).encode()
        message = Outgoing(topic, payload, int(retain), retain)
        left_out = self.queue.is_left_out(topic)
        placement = self.queue.put(message)
        assert (placement is Placement.LEFT_OUT) == left_out
        if retain:
            self.latest[topic] = payload
            assert placement is not Placement.DROPPED
            return
        self.put += 1
        self.refused += left_out
        self.dropped += placement is Placement.DROPPED

    @rule(topic=st.sampled_from(EVENT_TOPICS), events=st.integers(1, 3))
    def put_events(self, topic: str, events: int) -> None:
        for _ in range(events):
            self.events += 1
            self.stored[topic].append(self.events)
            self._put_event(topic, self.events)

    @precondition(lambda self: not self.online)
    @rule(without_retained=st.booleans())
    def connect(self, without_retained: bool) -> None:
        self.online = True
        if without_retained:
            self.broker.clear()
        self.queue.connected("first")

    @precondition(lambda self: self.online)
    @rule(by_broker=st.booleans())
    def disconnect(self, by_broker: bool) -> None:
        self.online = False
        self.in_flight.clear()
        ended = self.queue.disconnected(self.now_s, by_broker=by_broker)
        self.dropped += ended.dropped

    @rule()
    def kill(self) -> None:
        """The broker may have received what is in flight; nothing of that is settled."""
        for message in self.in_flight.values():
            self._receive(message)
        self._begin_run()

    @rule(seconds=st.sampled_from([0.1, 5.0, 60.0, 700.0]))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @precondition(lambda self: self.online)
    @rule()
    def send(self) -> None:
        before = self.queue.unacknowledged
        message = self.queue.take(RECEIVE_MAXIMUM, self.now_s)
        if message is None:
            return
        assert message.qos == 0 or before < RECEIVE_MAXIMUM
        assert not self.queue.is_left_out(message.topic)
        if message.event is not None:
            assert message.topic not in {sent.topic for sent in self.in_flight.values()}
        self.number += 1
        self.in_flight[self.number] = message
        self.queue.sent(self.number, message, self.now_s)

    @precondition(lambda self: self.online)
    @rule()
    def send_too_large(self) -> None:
        """An event above the maximum packet size of this broker is not sent."""
        message = self.queue.take(RECEIVE_MAXIMUM, self.now_s)
        if message is None:
            return
        if message.event is None:
            self.number += 1
            self.in_flight[self.number] = message
            self.queue.sent(self.number, message, self.now_s)
            return
        self.queue.unsendable(message)
        message.event.settle("too large")

    @precondition(lambda self: self.in_flight)
    @rule(acceptance=st.sampled_from(Acceptance))
    def acknowledge(self, acceptance: Acceptance) -> None:
        number, message = next(iter(self.in_flight.items()))
        del self.in_flight[number]
        acceptance = acceptance if message.qos else Acceptance.ACCEPTED
        assert self.queue.acknowledged(number, self.now_s, acceptance) == message
        assert self.queue.acknowledged(number, self.now_s, acceptance) is None
        if acceptance is Acceptance.ACCEPTED:
            self._receive(message)
        if message.event is not None and acceptance is not Acceptance.REFUSED:
            message.event.settle(None if acceptance is Acceptance.ACCEPTED else "bad payload")
        self.acknowledged += message.qos == 0

    def _receive(self, message: Outgoing) -> None:
        if message.retain:
            self.broker[message.topic] = message.payload
        elif message.event is not None:
            received, number = self.received[message.topic], int(message.payload)
            assert number in received or number > max(received, default=0), "not in order"
            received.append(number)

    @rule()
    def send_everything(self) -> None:
        """A broker that accepts all messages has all of them in the end, refused ones too."""
        if not self.online:
            self.connect(without_retained=True)
        self.now_s += 7 * 3600
        for _ in range(300):
            self.send()
            if self.in_flight:
                self.acknowledge(Acceptance.ACCEPTED)
        assert self.queue.pending == 0
        assert self.broker == self.latest, "the broker lacks the newest message"
        assert self.put == self.acknowledged + self.dropped + self.refused
        received = {number for numbers in self.received.values() for number in numbers}
        assert received | self.set_aside == set(range(1, self.events + 1)), "an event is lost"
        assert not any(self.stored.values())

    @invariant()
    def sizes_are_bounded(self) -> None:
        stored = sum(map(len, self.stored.values()))
        assert self.queue.pending <= stored + MAX_LIVE + len(TOPICS) + len(self.in_flight)
        assert self.queue.unacknowledged <= RECEIVE_MAXIMUM


TestSendQueue = SendQueueMachine.TestCase
TestSendQueue.settings = settings(max_examples=40)


def test_one_event_of_each_topic_is_in_flight() -> None:
    queue = SendQueue()
    for topic in ("fan", "fan", "pump", "fan", "mill"):
        queue.events.put(event(topic))
    queue.connected("first")
    for number, topic in enumerate(("fan", "pump", "mill")):
        message = queue.take(20, 0.0)
        assert message is not None
        assert message.topic == topic
        queue.sent(number, message, 0.0)
    queue.events.put(event("fan"))
    assert queue.take(20, 0.0) is None
    assert queue.pending == 6
    queue.acknowledged(0, 0.0, Acceptance.ACCEPTED)
    message = queue.take(20, 0.0)
    assert message is not None
    assert message.topic == "fan"


def test_an_event_is_rendered_when_it_is_sent() -> None:
    queue = SendQueue()
    payloads = iter([b"first time", b"second time"])
    queue.events.put(StoredEvent("event", lambda: next(payloads), lambda _: None))
    sent = []
    for number in range(2):
        queue.connected("first")
        message = queue.take(20, 0.0)
        assert message is not None
        sent.append(message.payload)
        queue.sent(number, message, 0.0)
        queue.disconnected(0.0, by_broker=False)
        assert queue.pending == 1
    assert sent == [b"first time", b"second time"]


def test_a_refused_event_is_sent_again_after_growing_pauses_and_others_meanwhile() -> None:
    queue = SendQueue()
    for topic in ("fan", "fan", "pump"):
        queue.events.put(event(topic))
    queue.connected("first")
    now_s, sent_s = 0.0, []
    while now_s < 100.0:
        message = queue.take(20, now_s)
        if message is not None:
            queue.sent(1, message, now_s)
            refused = message.topic == "fan"
            if refused:
                sent_s.append(now_s)
            queue.acknowledged(1, now_s, Acceptance.REFUSED if refused else Acceptance.ACCEPTED)
            continue
        assert queue.pending == 0
        now_s = min(queue.next_due_s, 100.0)
    assert sent_s == [0, 5, 15, 35, 75]
    assert queue.events.retried == 4


def test_after_a_connect_availability_is_sent_first_then_states_then_events() -> None:
    queue = SendQueue()
    queue.events.put(event())
    for topic in ("state", "first"):
        queue.put(Outgoing(topic, b"", 1, retain=True))
    queue.connected("first")
    taken = [message.topic for message in iter(lambda: queue.take(20, 0.0), None)]
    assert taken == ["first", "state", "event"]


def test_offline_is_sent_beyond_the_receive_maximum() -> None:
    queue = SendQueue()
    queue.connected("first")
    for number in range(3):
        queue.events.put(event())
        message = queue.take(1, 0.0)
        if message:
            queue.sent(number, message, 0.0)
    queue.put(Outgoing("first", b"offline", 1, retain=True))
    assert queue.take(1, 0.0) is None
    offline = queue.take_retained("first")
    assert offline is not None
    assert offline.payload == b"offline"
    assert queue.take_retained("first") is None


def test_a_refused_retained_message_is_sent_again_after_growing_pauses() -> None:
    queue = SendQueue()
    queue.put(Outgoing("alarm", b"active", 1, retain=True))
    queue.connected("first")
    now_s, sent_s = 0.0, []
    while now_s < 200.0:
        message = queue.take(20, now_s)
        if message is not None:
            sent_s.append(now_s)
            queue.sent(1, message, now_s)
            queue.acknowledged(1, now_s, Acceptance.REFUSED)
        now_s = min(queue.next_due_s, 200.0)
    assert sent_s == [0, 5, 15, 35, 75, 135, 195]


def test_a_newer_message_on_a_refused_topic_is_sent_at_once_and_replaces_the_older() -> None:
    queue = SendQueue()
    queue.put(Outgoing("alarm", b"active", 1, retain=True))
    queue.connected("first")
    message = queue.take(20, 0.0)
    assert message is not None
    queue.sent(1, message, 0.0)
    queue.acknowledged(1, 0.0, Acceptance.REFUSED)
    newer = Outgoing("alarm", b"cleared", 1, retain=True)
    queue.put(newer)
    assert queue.take(20, 1.0) == newer
    queue.sent(2, newer, 1.0)
    queue.acknowledged(2, 1.0, Acceptance.ACCEPTED)
    assert queue.take(20, 100.0) is None


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
