"""The outbox against a simple model."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from asd_monitor.publish.outbox import Outbox, Outgoing

TOPICS = ["first", "a", "b", "c"]
MAX_QUEUED, MAX_LIVE, RECEIVE_MAXIMUM = 5, 3, 2


class OutboxMachine(RuleBasedStateMachine):
    """Connections that begin and end at any time; every message is acknowledged or counted."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox(max_queued=MAX_QUEUED, max_live=MAX_LIVE)
        self.online = False
        self.number = 0
        self.put = {0: 0, 1: 0}  # not retained, by QoS
        self.acknowledged = {0: 0, 1: 0}
        self.dropped = 0
        self.latest: dict[str, bytes] = {}
        self.broker: dict[str, bytes] = {}  # retained there
        self.refused: set[str] = set()  # retained topics, until the next connect
        self.in_flight: dict[int, Outgoing] = {}
        self.order: dict[str, int] = {}  # newest acknowledged, by topic

    @rule(topic=st.sampled_from(TOPICS), qos=st.sampled_from([0, 1]), retain=st.booleans())
    def publish(self, topic: str, qos: int, retain: bool) -> None:
        self.number += 1
        payload = str(self.number).encode()
        message = Outgoing(topic, payload, qos, retain)
        dropped = self.outbox.put(message)
        if retain:
            self.latest[topic] = payload
            assert dropped is None
            return
        self.put[qos] += 1
        self.dropped += dropped is not None
        if dropped is not None:
            assert dropped.qos == qos, "a message of the other QoS was dropped"
            assert not dropped.retain

    @precondition(lambda self: not self.online)
    @rule(without_retained=st.booleans())
    def connect(self, without_retained: bool) -> None:
        self.online = True
        if without_retained:
            self.broker.clear()
        self.refused.clear()
        self.outbox.connected("first")

    @precondition(lambda self: self.online)
    @rule()
    def disconnect(self) -> None:
        self.online = False
        self.in_flight.clear()
        self.dropped += self.outbox.disconnected()

    @precondition(lambda self: self.online)
    @rule()
    def send(self) -> None:
        before = self.outbox.unacknowledged
        message = self.outbox.take(RECEIVE_MAXIMUM)
        if message is None:
            return
        assert message.qos == 0 or message.retain or before < RECEIVE_MAXIMUM
        self.number += 1
        self.in_flight[self.number] = message
        self.outbox.sent(self.number, message)

    @precondition(lambda self: self.in_flight)
    @rule(refused=st.booleans())
    def acknowledge(self, refused: bool) -> None:
        number, message = next(iter(self.in_flight.items()))
        del self.in_flight[number]
        assert self.outbox.acknowledged(number) == message
        assert self.outbox.acknowledged(number) is None
        if message.retain:
            if refused:
                self.refused.add(message.topic)
            else:
                self.refused.discard(message.topic)
                self.broker[message.topic] = message.payload
            return
        self.acknowledged[message.qos] += 1
        if message.qos == 1:
            assert int(message.payload) > self.order.get(message.topic, 0), "not in order, or twice"
            self.order[message.topic] = int(message.payload)

    @rule()
    def send_everything(self) -> None:
        if not self.online:
            self.connect(without_retained=True)
        for _ in range(100):
            self.send()
            if self.in_flight:
                self.acknowledge(refused=False)
        assert self.outbox.pending == 0
        for topic in set(self.latest) - self.refused:
            assert self.broker[topic] == self.latest[topic], "the broker lacks the newest message"
        assert sum(self.put.values()) == sum(self.acknowledged.values()) + self.dropped

    @invariant()
    def sizes_are_bounded(self) -> None:
        assert self.outbox.queued <= MAX_QUEUED
        assert self.outbox.pending <= MAX_QUEUED + MAX_LIVE + len(TOPICS) + len(self.in_flight)
        assert self.outbox.unacknowledged <= RECEIVE_MAXIMUM


TestOutbox = OutboxMachine.TestCase
TestOutbox.settings = settings(max_examples=40)


def test_a_full_queue_drops_its_oldest_message() -> None:
    outbox = Outbox(max_queued=2)
    messages = [Outgoing("event", str(number).encode(), 1, False) for number in range(4)]
    assert [outbox.put(message) for message in messages] == [None, None, *messages[:2]]
    outbox.connected("first")
    assert [outbox.take(10), outbox.take(10)] == messages[2:]


def test_after_a_connect_availability_is_sent_first_then_states_then_events() -> None:
    outbox = Outbox()
    outbox.put(Outgoing("event", b"", 1, retain=False))
    for topic in ("state", "first"):
        outbox.put(Outgoing(topic, b"", 1, retain=True))
    outbox.connected("first")
    taken = [message.topic for message in iter(lambda: outbox.take(20), None)]
    assert taken == ["first", "state", "event"]


def test_offline_is_sent_beyond_the_receive_maximum() -> None:
    outbox = Outbox()
    outbox.connected("first")
    for number in range(3):
        outbox.put(Outgoing("event", b"", 1, retain=False))
        message = outbox.take(1)
        if message:
            outbox.sent(number, message)
    outbox.put(Outgoing("first", b"offline", 1, retain=True))
    assert outbox.take(1) is None
    offline = outbox.take_retained("first")
    assert offline is not None
    assert offline.payload == b"offline"
    assert outbox.take_retained("first") is None
