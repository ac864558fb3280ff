"""The queue of messages to be sent: which is next, and what is sent again."""

from __future__ import annotations

from asd_monitor.publish.event_queues import StoredEvent
from asd_monitor.publish.send_queue import Acceptance, Outgoing, SendQueue


def event(topic: str = "event", payload: bytes = b"") -> StoredEvent:
    return StoredEvent(topic, lambda: payload, lambda _: None)


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
