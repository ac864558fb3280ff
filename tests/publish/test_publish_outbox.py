"""Messages to be sent: which is next, and what is sent again."""

from __future__ import annotations

from asd_monitor.publish.event_queues import StoredEvent
from asd_monitor.publish.outbox import Answer, Outbox, Outgoing


def event(topic: str = "event", payload: bytes = b"") -> StoredEvent:
    return StoredEvent(topic, lambda: payload, lambda _: None)


def test_one_event_of_each_topic_is_in_flight() -> None:
    outbox = Outbox()
    for topic in ("fan", "fan", "pump", "fan", "mill"):
        outbox.events.put(event(topic))
    outbox.connected("first")
    for number, topic in enumerate(("fan", "pump", "mill")):
        message = outbox.take(20, 0.0)
        assert message is not None
        assert message.topic == topic
        outbox.sent(number, message, 0.0)
    outbox.events.put(event("fan"))
    assert outbox.take(20, 0.0) is None
    assert outbox.pending == 6
    outbox.acknowledged(0, 0.0, Answer.ACCEPTED)
    message = outbox.take(20, 0.0)
    assert message is not None
    assert message.topic == "fan"


def test_an_event_is_rendered_when_it_is_sent() -> None:
    outbox = Outbox()
    payloads = iter([b"first time", b"second time"])
    outbox.events.put(StoredEvent("event", lambda: next(payloads), lambda _: None))
    sent = []
    for number in range(2):
        outbox.connected("first")
        message = outbox.take(20, 0.0)
        assert message is not None
        sent.append(message.payload)
        outbox.sent(number, message, 0.0)
        outbox.disconnected(0.0, by_broker=False)
        assert outbox.pending == 1
    assert sent == [b"first time", b"second time"]


def test_a_refused_event_is_sent_again_after_growing_pauses_and_others_meanwhile() -> None:
    outbox = Outbox()
    for topic in ("fan", "fan", "pump"):
        outbox.events.put(event(topic))
    outbox.connected("first")
    now_s, sent_s = 0.0, []
    while now_s < 100.0:
        message = outbox.take(20, now_s)
        if message is not None:
            outbox.sent(1, message, now_s)
            refused = message.topic == "fan"
            if refused:
                sent_s.append(now_s)
            outbox.acknowledged(1, now_s, Answer.REFUSED if refused else Answer.ACCEPTED)
            continue
        assert outbox.pending == 0
        now_s = min(outbox.next_due_s, 100.0)
    assert sent_s == [0, 5, 15, 35, 75]
    assert outbox.events.retried == 4


def test_after_a_connect_availability_is_sent_first_then_states_then_events() -> None:
    outbox = Outbox()
    outbox.events.put(event())
    for topic in ("state", "first"):
        outbox.put(Outgoing(topic, b"", 1, retain=True))
    outbox.connected("first")
    taken = [message.topic for message in iter(lambda: outbox.take(20, 0.0), None)]
    assert taken == ["first", "state", "event"]


def test_offline_is_sent_beyond_the_receive_maximum() -> None:
    outbox = Outbox()
    outbox.connected("first")
    for number in range(3):
        outbox.events.put(event())
        message = outbox.take(1, 0.0)
        if message:
            outbox.sent(number, message, 0.0)
    outbox.put(Outgoing("first", b"offline", 1, retain=True))
    assert outbox.take(1, 0.0) is None
    offline = outbox.take_retained("first")
    assert offline is not None
    assert offline.payload == b"offline"
    assert outbox.take_retained("first") is None


def test_a_refused_retained_message_is_sent_again_after_growing_pauses() -> None:
    outbox = Outbox()
    outbox.put(Outgoing("alarm", b"active", 1, retain=True))
    outbox.connected("first")
    now_s, sent_s = 0.0, []
    while now_s < 200.0:
        message = outbox.take(20, now_s)
        if message is not None:
            sent_s.append(now_s)
            outbox.sent(1, message, now_s)
            outbox.acknowledged(1, now_s, Answer.REFUSED)
        now_s = min(outbox.next_due_s, 200.0)
    assert sent_s == [0, 5, 15, 35, 75, 135, 195]


def test_a_newer_message_on_a_refused_topic_is_sent_at_once_and_replaces_the_older() -> None:
    outbox = Outbox()
    outbox.put(Outgoing("alarm", b"active", 1, retain=True))
    outbox.connected("first")
    message = outbox.take(20, 0.0)
    assert message is not None
    outbox.sent(1, message, 0.0)
    outbox.acknowledged(1, 0.0, Answer.REFUSED)
    newer = Outgoing("alarm", b"cleared", 1, retain=True)
    outbox.put(newer)
    assert outbox.take(20, 1.0) == newer
    outbox.sent(2, newer, 1.0)
    outbox.acknowledged(2, 1.0, Answer.ACCEPTED)
    assert outbox.take(20, 100.0) is None
