"""Events that the session with the broker has to publish, in order for each topic; pure.

They are stored elsewhere: what is here is a part of what waits, and nothing here is given up.  At
most one event of a topic is in flight, so that a refusal never changes the order; topics do not
wait for each other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from asd_monitor.backoff import doubling

REFUSED_PAUSES_S = doubling(5.0, 60.0)  # before a refused message is sent again


@dataclass(frozen=True, slots=True, eq=False)
class StoredEvent:
    """An event that is stored until it is settled."""

    topic: str
    render: Callable[[], bytes]
    """Returns the message as it is to be published now."""
    settle: Callable[[str | None], None]
    """Called once, when the broker has acknowledged it (None), or does not accept it (why).

    It is called in the thread of the session and must not wait."""


@dataclass(slots=True)
class EventQueues:
    """The events by topic.  Times are in s of one monotonic clock."""

    retried: int = 0
    """How often a refused event was sent again."""
    _queues: dict[str, deque[StoredEvent]] = field(default_factory=dict)
    _ready: dict[str, None] = field(default_factory=dict)  # topics to be sent, in order
    _in_flight: set[str] = field(default_factory=set)  # topics
    _refusals: dict[str, int] = field(default_factory=dict)  # in a row, by topic
    _refused_until_s: dict[str, float] = field(default_factory=dict)

    def put(self, event: StoredEvent) -> None:
        """Add an event after the others of its topic."""
        queue = self._queues.setdefault(event.topic, deque())
        queue.append(event)
        if len(queue) == 1:
            self._ready[event.topic] = None

    @property
    def ready(self) -> Iterator[str]:
        """The topics of which an event can be sent, the one that has waited longest first."""
        return iter(self._ready)

    def count(self, topic: str) -> int:
        """Return the number of events of a topic."""
        return len(self._queues.get(topic, ()))

    def first(self, topic: str) -> StoredEvent:
        """Return the next event of a topic."""
        return self._queues[topic][0]

    def begin(self, topic: str) -> StoredEvent:
        """Return the next event of a topic that is ready; it is in flight from now on."""
        del self._ready[topic]
        self._in_flight.add(topic)
        self.retried += topic in self._refusals
        return self._queues[topic][0]

    def settled(self, topic: str) -> StoredEvent:
        """Remove and return the event in flight."""
        self._refusals.pop(topic, None)
        self._refused_until_s.pop(topic, None)
        self._in_flight.discard(topic)
        queue = self._queues[topic]
        event = queue.popleft()
        if queue:
            self._ready[topic] = None
        else:
            del self._queues[topic]
        return event

    def refuse(self, topic: str, now_s: float) -> None:
        """Keep the event in flight, to be sent again after a pause that doubles."""
        times = self._refusals[topic] = self._refusals.get(topic, 0) + 1
        pause_s = REFUSED_PAUSES_S[min(times, len(REFUSED_PAUSES_S)) - 1]
        self._refused_until_s[topic] = now_s + pause_s
        self._in_flight.discard(topic)

    def interrupt(self, topic: str) -> None:
        """Keep the event in flight, to be sent again."""
        self._in_flight.discard(topic)
        self._ready[topic] = None

    def disconnected(self) -> None:
        """Make every event due that is in flight or was refused."""
        self._in_flight.clear()
        self._refused_until_s.clear()
        self._ready = dict.fromkeys((*self._ready, *self._queues))

    def make_due(self, now_s: float) -> None:
        """End the pauses that are over."""
        over = [topic for topic, until_s in self._refused_until_s.items() if until_s <= now_s]
        for topic in over:
            del self._refused_until_s[topic]
            self._ready[topic] = None

    @property
    def next_due_s(self) -> tuple[float, ...]:
        """When the pauses are over."""
        return tuple(self._refused_until_s.values())

    def pending(self, is_left_out: Callable[[str], bool]) -> int:
        """Return how many events can be sent, one after the other; those in flight not counted."""
        return sum(
            len(queue) - (topic in self._in_flight)
            for topic, queue in self._queues.items()
            if topic not in self._refused_until_s and not is_left_out(topic)
        )
