"""Messages received from the broker: of each subscribed topic the newest, of limited size.

A broker sends whatever is published on a topic.  Here a message is read without paho, which keeps
each one and calls back for it: of the messages that arrive together only the newest of a topic is
kept, and the content of one above `MAX_PAYLOAD_BYTES` is not kept at all.  Of commands each one is
kept (`asd_monitor.publish.received_commands`).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from asd_monitor.publish.received_commands import (
    MAX_COMMAND_BYTES,
    MessageProperties,
    ReceivedCommand,
    command_filter,
    read_length,
    read_properties,
)

MAX_PAYLOAD_BYTES = 16_384
MAX_TOPIC_BYTES = 2000  # above four bytes for each character of a configured topic
MAX_BEGINNING_BYTES = (
    2 + MAX_TOPIC_BYTES + 2
)  # of a message: length of its topic … packet identifier
MALFORMED = "the broker sent a malformed message"
_COST_BYTES = 4096
MAX_COMMANDS = 500
"""Commands that are kept until they are taken; later ones are dropped."""
_QOS_BITS = 0x06
_QOS_1 = 0x02
_PACKET_ID_BYTES = 2
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
        self.filters: set[str] = set()
        """Filters of commands, of which messages are accepted."""
        self.commands: deque[ReceivedCommand] = deque()
        """The commands received, in order."""
        self.dropped_commands = 0
        """Commands that were not kept."""
        self.unacknowledged: deque[int] = deque()
        """Packet identifiers of the commands with QoS 1."""
        self._properties = properties
        self._received: dict[str, Received] = {}

    @property
    def is_open(self) -> bool:
        """Whether messages of any topic are accepted."""
        return bool(self.topics or self.filters)

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
            ValueError: It is no message with QoS 0 on one of the topics, and no command with QoS 0
                or 1.

        """
        length = int.from_bytes(body[:2])
        encoded = body[2 : 2 + min(length, MAX_TOPIC_BYTES)]
        if len(body) < 2 or len(encoded) < min(length, MAX_TOPIC_BYTES):
            return None
        topic = encoded.decode(errors="replace")
        if command_filter(topic) in self.filters:
            if head & _QOS_BITS not in (0, _QOS_1):
                raise ValueError(f"the broker sent a message on {topic[:200]!r} with QoS above 1")
            has_packet_id = not head & _QOS_1 or len(body) >= 2 + len(encoded) + _PACKET_ID_BYTES
            return topic if has_packet_id else None
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
        if command_filter(topic) in self.filters:
            self._put_command(topic, head, body)
            return
        payload = body[2 + int.from_bytes(body[:2]) :]
        if self._properties:
            _, payload = _divided(payload)
        if len(payload) > MAX_PAYLOAD_BYTES:
            self._count_oversized(topic, len(payload))
            return
        cost = 1 + len(body) / _COST_BYTES
        self._put(Received(topic, payload, bool(head & _RETAIN_BIT), cost=cost))

    def kept_bytes(self, head: int, beginning: bytes) -> int:
        """Return how many bytes of a message's body `put_oversized` needs: topic, identifier."""
        return 2 + int.from_bytes(beginning[:2]) + (_PACKET_ID_BYTES if head & _QOS_BITS else 0)

    def put_oversized(self, topic: str, head: int, beginning: bytes, size: int) -> None:
        """Add a message of so many bytes whose content was not kept, but the beginning.

        ``beginning`` has `kept_bytes`.

        Raises:
            ValueError: It is malformed.

        """
        if command_filter(topic) in self.filters:
            self._take_packet_id(head, beginning, 2 + int.from_bytes(beginning[:2]))
            cost = 1 + size / _COST_BYTES
            retained = bool(head & _RETAIN_BIT)
            self._add_command(ReceivedCommand(topic, None, retained=retained, cost=cost))
            return
        self._count_oversized(topic, size)

    def _count_oversized(self, topic: str, size: int) -> None:
        self._put(Received(topic, None, retained=False, oversized=1, cost=1 + size / _COST_BYTES))

    def _put_command(self, topic: str, head: int, body: bytes) -> None:
        begin = self._take_packet_id(head, body, 2 + int.from_bytes(body[:2]))
        payload, block = body[begin:], b""
        if self._properties:
            block, payload = _divided(payload)
        try:
            properties, is_valid = read_properties(block), True
        except ValueError:  # a broker that does not check what it passes on
            properties, is_valid = MessageProperties(), False
        command = ReceivedCommand(
            topic,
            payload if len(payload) <= MAX_COMMAND_BYTES else None,
            retained=bool(head & _RETAIN_BIT),
            response_topic=properties.response_topic,
            correlation=properties.correlation,
            has_valid_properties=is_valid,
            cost=1 + len(body) / _COST_BYTES,
        )
        self._add_command(command)

    def _add_command(self, command: ReceivedCommand) -> None:
        if len(self.commands) < MAX_COMMANDS:
            self.commands.append(command)
        else:
            self.dropped_commands += 1

    def _take_packet_id(self, head: int, body: bytes, begin: int) -> int:
        """Note the packet identifier, which only QoS 1 has; return where it ends."""
        if not head & _QOS_1:
            return begin
        end = begin + _PACKET_ID_BYTES
        packet_id = int.from_bytes(body[begin:end])
        if len(body) < end or not packet_id:
            raise ValueError(MALFORMED)
        self.unacknowledged.append(packet_id)
        return end

    def _put(self, received: Received) -> None:
        before = self._received.get(received.topic)
        self._received[received.topic] = received if before is None else before + received


def _divided(body: bytes) -> tuple[bytes, bytes]:
    """Return properties and payload of a body that begins with the length of its properties."""
    try:
        length, begin = read_length(body)
    except ValueError as error:
        raise ValueError(MALFORMED) from error
    if begin + length > len(body):
        raise ValueError(MALFORMED)
    return body[begin : begin + length], body[begin + length :]
