"""Several readers of topics on one session with the broker."""

from asd_monitor.daemon.topic_readers import TopicReaders
from asd_monitor.publish.inbox import Received
from tests.doubles.memory_broker import MemoryBroker


def test_each_reader_gets_its_topics_and_ends_alone() -> None:
    broker = MemoryBroker()
    readers = TopicReaders(broker)
    one, other = readers.reader(), readers.reader()
    of_one: list[Received] = []
    of_other: list[Received] = []
    one.subscribe(("a", "b"), of_one.append)
    other.subscribe(("b", "c"), of_other.append)
    for topic in "abc":
        broker.receive(topic, b"1")
    assert [each.topic for each in of_one] == ["a", "b"]
    assert [each.topic for each in of_other] == ["b", "c"]
    other.subscribe((), of_other.append)
    assert broker.topics_read == {"a", "b"}
    broker.receive("b", b"2")
    assert [each.payload for each in of_one] == [b"1", b"1", b"2"]
    assert len(of_other) == 2
