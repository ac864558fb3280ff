"""Several readers of topics, of which each names its own, on one session with the broker."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from asd_monitor.daemon.broker_interface import Broker
from asd_monitor.publish.inbox import Received

Receive = Callable[[Received], None]


class Subscribes(Protocol):
    """Reads topics: a `TopicReader`, or a session with the broker that has one reader."""

    def subscribe(self, topics: Collection[str], receive: Receive) -> None:
        """Read these topics and no other; ``receive`` is called in any thread."""


class TopicReaders:
    """The topics that the parts of the daemon read; a topic of two readers reaches both."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._receivers: Mapping[str, tuple[Receive, ...]] = {}  # replaced as a whole
        self._readers: list[TopicReader] = []

    def reader(self) -> TopicReader:
        """Return a new reader, without topics."""
        reader = TopicReader(self)
        self._readers.append(reader)
        return reader

    def subscribe(self) -> None:
        """Read the topics of all readers."""
        receivers: dict[str, tuple[Receive, ...]] = {}
        for reader in self._readers:
            for topic in reader.topics:
                receivers[topic] = (*receivers.get(topic, ()), reader.receive)
        self._receivers = receivers
        self._broker.subscribe(receivers.keys(), self._receive)

    def _receive(self, received: Received) -> None:
        """Pass on a message; called in the thread of the session with the broker."""
        for receive in self._receivers.get(received.topic, ()):
            receive(received)


class TopicReader:
    """Reads topics of its own."""

    def __init__(self, readers: TopicReaders) -> None:
        self.topics: frozenset[str] = frozenset()
        self.receive: Receive = _ignore
        self._readers = readers

    def subscribe(self, topics: Collection[str], receive: Receive) -> None:
        """Read these topics and no other; ``receive`` is called in any thread."""
        self.topics, self.receive = frozenset(topics), receive
        self._readers.subscribe()


def _ignore(_received: Received) -> None:
    pass
