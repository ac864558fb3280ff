"""The queue against a simple model."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from asd_monitor.publish.event_queues import StoredEvent
from asd_monitor.publish.send_queue import Acceptance, Outgoing, Placement, SendQueue

TOPICS = ["first", "a", "b", "c"]


EVENT_TOPICS = ["fan/event", "pump/event", "mill/event"]
MAX_LIVE, RECEIVE_MAXIMUM = 3, 2


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

        self.queue.put_event(StoredEvent(topic, lambda: str(number).encode(), settle))

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
