"""The backlog against a simple model."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from asd_monitor.publish.backlog import Backlog, Outgoing

TOPICS = ["first", "a", "b", "c"]
QUEUE, LIVE, WINDOW = 5, 3, 2


class BacklogMachine(RuleBasedStateMachine):
    """A broker that takes, confirms and goes away at any moment; nothing is lost unseen."""

    def __init__(self) -> None:
        super().__init__()
        self.backlog = Backlog(max_queued=QUEUE, max_live=LIVE)
        self.online = False
        self.number = 0
        self.put = {0: 0, 1: 0}  # not retained, by QoS
        self.confirmed = {0: 0, 1: 0}
        self.dropped = 0
        self.latest: dict[str, bytes] = {}
        self.broker: dict[str, bytes] = {}  # retained there
        self.refused: set[str] = set()  # retained topics, until the next connect
        self.in_flight: dict[int, Outgoing] = {}
        self.order: dict[str, int] = {}  # newest event confirmed, by topic

    @rule(topic=st.sampled_from(TOPICS), qos=st.sampled_from([0, 1]), retain=st.booleans())
    def publish(self, topic: str, qos: int, retain: bool) -> None:
        self.number += 1
        payload = str(self.number).encode()
        message = Outgoing(topic, payload, qos, retain)
        dropped = self.backlog.put(message)
        if retain:
            self.latest[topic] = payload
            assert dropped is None
            return
        self.put[qos] += 1
        self.dropped += dropped is not None
        if dropped is not None:
            assert dropped.qos == qos, "one kind does not push out another"
            assert not dropped.retain

    @precondition(lambda self: not self.online)
    @rule(forgetful=st.booleans())
    def connect(self, forgetful: bool) -> None:
        self.online = True
        if forgetful:
            self.broker.clear()
        self.refused.clear()
        self.backlog.connected("first")

    @precondition(lambda self: self.online)
    @rule()
    def disconnect(self) -> None:
        self.online = False
        self.in_flight.clear()
        self.dropped += self.backlog.disconnected()

    @precondition(lambda self: self.online)
    @rule()
    def send(self) -> None:
        before = self.backlog.unacknowledged
        message = self.backlog.take(WINDOW)
        if message is None:
            return
        assert message.qos == 0 or message.retain or before < WINDOW
        self.number += 1
        self.in_flight[self.number] = message
        self.backlog.sent(self.number, message)

    @precondition(lambda self: self.in_flight)
    @rule(refused=st.booleans())
    def confirm(self, refused: bool) -> None:
        number, message = next(iter(self.in_flight.items()))
        del self.in_flight[number]
        assert self.backlog.settled(number) == message
        assert self.backlog.settled(number) is None
        if message.retain:
            if refused:
                self.refused.add(message.topic)
            else:
                self.refused.discard(message.topic)
                self.broker[message.topic] = message.payload
            return
        self.confirmed[message.qos] += 1
        if message.qos == 1:
            assert int(message.payload) > self.order.get(message.topic, 0), "in order, once"
            self.order[message.topic] = int(message.payload)

    @rule()
    def come_to_rest(self) -> None:
        if not self.online:
            self.connect(forgetful=True)
        for _ in range(100):
            self.send()
            if self.in_flight:
                self.confirm(refused=False)
        assert self.backlog.waiting == 0
        for topic in set(self.latest) - self.refused:
            assert self.broker[topic] == self.latest[topic], "the broker has the newest"
        assert sum(self.put.values()) == sum(self.confirmed.values()) + self.dropped

    @invariant()
    def it_is_bounded(self) -> None:
        assert self.backlog.queued <= QUEUE
        assert self.backlog.waiting <= QUEUE + LIVE + len(TOPICS) + len(self.in_flight)
        assert self.backlog.unacknowledged <= WINDOW


TestBacklog = BacklogMachine.TestCase


def test_on_connecting_availability_comes_first_then_state_then_events() -> None:
    backlog = Backlog()
    backlog.put(Outgoing("event", b"", 1, retain=False))
    for topic in ("state", "first"):
        backlog.put(Outgoing(topic, b"", 1, retain=True))
    backlog.connected("first")
    taken = [message.topic for message in iter(lambda: backlog.take(20), None)]
    assert taken == ["first", "state", "event"]


def test_goodbye_passes_a_full_window() -> None:
    backlog = Backlog()
    backlog.connected("first")
    for number in range(3):
        backlog.put(Outgoing("event", b"", 1, retain=False))
        message = backlog.take(1)
        if message:
            backlog.sent(number, message)
    backlog.put(Outgoing("first", b"offline", 1, retain=True))
    assert backlog.take(1) is None
    goodbye = backlog.take_retained("first")
    assert goodbye is not None
    assert goodbye.payload == b"offline"
    assert backlog.take_retained("first") is None
