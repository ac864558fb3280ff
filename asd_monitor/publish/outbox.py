"""Messages to be sent to the broker; pure: no threads, no network.

What happens to a message while there is no connection depends on its kind:

* retained: the newest of each topic is kept and sent after every connect
* QoS 1, not retained: queued; a full queue drops its oldest message
* QoS 0, not retained: dropped
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be published."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


@dataclass(slots=True)
class Outbox:
    """Messages not yet sent and messages not yet acknowledged; bounded."""

    max_queued: int = 1000  # QoS 1, not retained
    max_live: int = 200  # QoS 0, where the network is slower than the messages come
    _retained: dict[str, Outgoing] = field(default_factory=dict)  # newest, by topic
    _due: dict[str, None] = field(default_factory=dict)  # retained topics to be sent, in order
    _queue: deque[Outgoing] = field(default_factory=deque)
    _live: deque[Outgoing] = field(default_factory=deque)
    _in_flight: dict[int, Outgoing] = field(default_factory=dict)  # by packet identifier
    _online: bool = False

    def put(self, message: Outgoing) -> Outgoing | None:
        """Add a message; return the message that was dropped for it, None where none was."""
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
        """Make all retained messages due again, that of the topic ``first`` before the others."""
        self._online = True
        self._due = {first: None} if first in self._retained else {}
        self._due.update(dict.fromkeys(self._retained))

    def disconnected(self) -> int:
        """Queue the unacknowledged messages again; return how many messages were dropped."""
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

    def take(self, receive_maximum: int) -> Outgoing | None:
        """Return the next message to send, None where there is none to send now.

        At most ``receive_maximum`` QoS 1 messages are in flight (MQTT 5, section 3.3.4).  `sent`
        must be called with the message before the next `take`.
        """
        if self.unacknowledged < receive_maximum:
            if self._due:
                topic = next(iter(self._due))
                del self._due[topic]
                return self._retained[topic]
            if self._queue:
                return self._queue.popleft()
        return self._live.popleft() if self._live else None

    def take_retained(self, topic: str) -> Outgoing | None:
        """Return the message due on this topic, however many messages are in flight."""
        if topic not in self._due:
            return None
        del self._due[topic]
        return self._retained[topic]

    def sent(self, packet_id: int, message: Outgoing) -> None:
        """Note a message as in flight under its packet identifier."""
        self._in_flight[packet_id] = message

    def acknowledged(self, packet_id: int) -> Outgoing | None:
        """Remove and return an acknowledged message (QoS 0: one written to the network)."""
        return self._in_flight.pop(packet_id, None)

    @property
    def unacknowledged(self) -> int:
        """QoS 1 messages in flight."""
        return sum(m.qos > 0 for m in self._in_flight.values())

    @property
    def queued(self) -> int:
        """QoS 1 messages, not retained, that have not been sent."""
        return len(self._queue)

    @property
    def pending(self) -> int:
        """Messages not sent, and messages not acknowledged."""
        return len(self._due) + len(self._queue) + len(self._live) + len(self._in_flight)
