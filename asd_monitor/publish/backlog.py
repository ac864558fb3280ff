"""What waits to be sent to the broker; pure, no threads, no network.

Three kinds of messages, each with its own rule while the broker is away:

* retained: the latest of each topic is kept for ever and due again on every connect
* QoS 1, not retained: queued; when the queue is full the oldest is dropped
* QoS 0, not retained: dropped while offline; worth nothing when late
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message on its way to the broker."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


@dataclass(slots=True)
class Backlog:
    """Bounded; ``put`` tells what it had to drop."""

    max_queued: int = 1000  # QoS 1
    max_live: int = 200  # QoS 0, when the network is slower than we are
    _retained: dict[str, Outgoing] = field(default_factory=dict)
    _due: dict[str, None] = field(default_factory=dict)  # retained topics, in order
    _queue: deque[Outgoing] = field(default_factory=deque)
    _live: deque[Outgoing] = field(default_factory=deque)
    _in_flight: dict[int, Outgoing] = field(default_factory=dict)
    _online: bool = False

    def put(self, message: Outgoing) -> Outgoing | None:
        """Take a message; return the one that was dropped for want of room or broker."""
        if message.retain:
            self._retained[message.topic] = message
            self._due[message.topic] = None
            return None
        if message.qos == 0:
            if not self._online:
                return message
            self._live.append(message)
            return self._live.popleft() if len(self._live) > self.max_live else None
        self._queue.append(message)
        return self._queue.popleft() if len(self._queue) > self.max_queued else None

    def connected(self, first: str) -> None:
        """Make everything retained due again, the topic ``first`` before all others."""
        self._online = True
        self._due = {first: None} if first in self._retained else {}
        self._due.update(dict.fromkeys(self._retained))

    def disconnected(self) -> int:
        """Queue again what was in flight; return how many messages were dropped."""
        self._online = False
        once = [m for m in self._in_flight.values() if not m.retain]
        dropped = len(self._live) + sum(m.qos == 0 for m in once)
        self._queue.extendleft(m for m in reversed(once) if m.qos > 0)
        self._in_flight.clear()
        self._live.clear()
        while len(self._queue) > self.max_queued:
            self._queue.popleft()
            dropped += 1
        return dropped

    def take(self, window: int) -> Outgoing | None:
        """Return the next message to send, None if there is none or too many are in flight.

        ``window`` bounds the QoS 1 messages in flight; `sent` must follow before the next.
        """
        if self.unacknowledged < window:
            if self._due:
                topic = next(iter(self._due))
                del self._due[topic]
                return self._retained[topic]
            if self._queue:
                return self._queue.popleft()
        return self._live.popleft() if self._live else None

    def take_retained(self, topic: str) -> Outgoing | None:
        """Return what is due on this topic, however many messages are in flight."""
        if topic not in self._due:
            return None
        del self._due[topic]
        return self._retained[topic]

    def sent(self, number: int, message: Outgoing) -> None:
        """Note a message as in flight under its packet number."""
        self._in_flight[number] = message

    def settled(self, number: int) -> Outgoing | None:
        """Forget a message that the broker has answered (QoS 0: that is written)."""
        return self._in_flight.pop(number, None)

    @property
    def unacknowledged(self) -> int:
        """QoS 1 messages in flight."""
        return sum(m.qos > 0 for m in self._in_flight.values())

    @property
    def queued(self) -> int:
        """QoS 1 messages that are kept nowhere else."""
        return len(self._queue)

    @property
    def waiting(self) -> int:
        """Messages that the broker has not yet got."""
        return len(self._due) + len(self._queue) + len(self._live) + len(self._in_flight)
