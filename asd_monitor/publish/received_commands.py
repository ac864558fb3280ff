"""Commands received from the broker: every message, with its response topic and correlation data.

Of a subscribed topic the newest message counts (`asd_monitor.publish.inbox`); of commands each one
does, on any topic of a filter whose last level is ``+``.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_COMMAND_BYTES = 4096
"""A longer content is not kept."""
ANY_LEVEL = "+"
# the properties that a message may have (MQTT 5, 2.2.2.2)
_BYTES = {0x01: 1, 0x02: 4, 0x23: 2}  # of those of fixed length
_CONTENT_TYPE, _RESPONSE_TOPIC, _CORRELATION_DATA = 0x03, 0x08, 0x09
_SUBSCRIPTION_ID = 0x0B
_USER_PROPERTY = 0x26


@dataclass(frozen=True, slots=True)
class ReceivedCommand:
    """A message on a topic of a command filter."""

    topic: str
    payload: bytes | None  # None: above `MAX_COMMAND_BYTES`
    retained: bool  # with MQTT 5: published with retain; with 3.1.1: delivered by the subscription
    response_topic: bytes | None = None
    correlation: bytes | None = None
    has_valid_properties: bool = True
    cost: float = 1.0  # in messages of a few bytes


@dataclass(frozen=True, slots=True)
class MessageProperties:
    """What is read of the properties of a message (MQTT 5, 3.3.2.3)."""

    response_topic: bytes | None = None
    correlation: bytes | None = None


def command_filter(topic: str) -> str:
    """Return the only filter of commands that may have this topic."""
    return f"{topic.rpartition('/')[0]}/{ANY_LEVEL}"


def is_command_filter(name: str) -> bool:
    """Return whether this is a filter of commands, and no topic."""
    return name.endswith(f"/{ANY_LEVEL}")


def read_properties(block: bytes) -> MessageProperties:
    """Return the properties of a message, of each kind the first.

    Args:
        block: All properties, without their length.

    Raises:
        ValueError: They are malformed.

    """
    at = 0
    found: dict[int, bytes] = {}
    while at < len(block):
        kind, at = block[at], at + 1
        begin, end = at, _end(kind, block, at)
        if end > len(block):
            raise ValueError("the properties are too short")
        if kind in (_RESPONSE_TOPIC, _CORRELATION_DATA):
            found.setdefault(kind, block[begin + 2 : end])
        at = end
    return MessageProperties(found.get(_RESPONSE_TOPIC), found.get(_CORRELATION_DATA))


def _end(kind: int, block: bytes, begin: int) -> int:
    """Return where the value of a property ends that begins here."""
    if kind in _BYTES:
        return begin + _BYTES[kind]
    if kind in (_CONTENT_TYPE, _RESPONSE_TOPIC, _CORRELATION_DATA):
        return _end_of_text(block, begin)
    if kind == _USER_PROPERTY:
        return _end_of_text(block, _end_of_text(block, begin))
    if kind == _SUBSCRIPTION_ID:
        _, end = read_length(block, begin)
        return end
    raise ValueError(f"a message has no property {kind:#04x}")


def _end_of_text(block: bytes, begin: int) -> int:
    return begin + 2 + int.from_bytes(block[begin : begin + 2])


def read_length(body: bytes, begin: int = 0) -> tuple[int, int]:
    """Return a variable byte integer (MQTT 5, 1.5.5), and where it ends.  Raises ValueError."""
    length = 0
    for index, byte in enumerate(body[begin : begin + 4]):
        length |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return length, begin + index + 1
    raise ValueError("a length is malformed")
