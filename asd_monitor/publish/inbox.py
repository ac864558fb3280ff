"""Messages received from the broker: of each subscribed topic the newest, of limited size.

A broker sends whatever is published on a topic.  Here a message is read without paho, which keeps
each one and calls back for it: of the messages that arrive together only the newest of a topic is
kept, and the content of one above `MAX_PAYLOAD_BYTES` is not kept at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

MAX_PAYLOAD_BYTES = 16_384
MAX_TOPIC_BYTES = 2000  # above four bytes for each character of a configured topic
MALFORMED = "the broker sent a malformed message"
_COST_BYTES = 4096
_QOS_BITS = 0x06
_RETAIN_BIT = 0x01


@dataclass(frozen=True, slots=True)
class Received:
    """What was received on one topic: the newest message."""

    topic: str
    payload: bytes | None  # None: none of a permitted size
    retained: bool  # delivered because of the subscription, so published at an unknown time
    messages: int = 1
    oversized: int = 0  # of these messages
    cost: float = 1.0  # of these messages, in messages of a few bytes

    def __add__(self, newer: Received) -> Received:
        """Return both as one."""
        newest = self if newer.payload is None else newer
        return replace(
            newest,
            messages=self.messages + newer.messages,
            oversized=self.oversized + newer.oversized,
            cost=self.cost + newer.cost,
        )


class Inbox:
    """The messages of one connection that nobody has taken yet.

    Args:
        properties: Whether messages have properties, as those of MQTT 5.

    """

    def __init__(self, *, properties: bool) -> None:
        self.topics: set[str] = set()
        """Topics of which messages are accepted."""
        self._properties = properties
        self._received: dict[str, Received] = {}

    def take(self) -> list[Received]:
        """Return what was received since the last call, the newest message of each topic."""
        received = list(self._received.values())
        self._received.clear()
        return received

    def topic_of(self, head: int, body: bytes) -> str | None:
        """Return the topic of a PUBLISH packet; None: more bytes are needed.

        Args:
            head: The first byte of the packet.
            body: The beginning of its body.

        Raises:
            ValueError: It is no message with QoS 0 on one of the topics.

        """
        length = int.from_bytes(body[:2])
        encoded = body[2 : 2 + min(length, MAX_TOPIC_BYTES)]
        if len(body) < 2 or len(encoded) < min(length, MAX_TOPIC_BYTES):
            return None
        topic = encoded.decode(errors="replace")
        if topic not in self.topics:
            raise ValueError(
                f"the broker sent a message on {topic[:200]!r}, and this client has not "
                "subscribed to that topic"
            )
        if head & _QOS_BITS:
            raise ValueError(f"the broker sent a message on {topic!r} with QoS above 0")
        return topic

    def put(self, topic: str, head: int, body: bytes) -> None:
        """Add a message.

        Raises:
            ValueError: It is malformed.

        """
        payload = body[2 + int.from_bytes(body[:2]) :]
        if self._properties:
            payload = _without_properties(payload)
        if len(payload) > MAX_PAYLOAD_BYTES:
            self.put_oversized(topic, len(payload))
            return
        cost = 1 + len(body) / _COST_BYTES
        self._put(Received(topic, payload, bool(head & _RETAIN_BIT), cost=cost))

    def put_oversized(self, topic: str, size: int) -> None:
        """Count a message whose content was not kept."""
        self._put(Received(topic, None, retained=False, oversized=1, cost=1 + size / _COST_BYTES))

    def _put(self, received: Received) -> None:
        before = self._received.get(received.topic)
        self._received[received.topic] = received if before is None else before + received


def _without_properties(body: bytes) -> bytes:
    """Return the payload of a body that begins with the length of its properties."""
    length = 0
    for index, byte in enumerate(body[:4]):
        length |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if index + 1 + length > len(body):
                break
            return body[index + 1 + length :]
    raise ValueError(MALFORMED)
