"""Where the answer to a command is published; pure.

A command of MQTT 5 may name a response topic and data that the answer repeats (MQTT 5, 4.10).  Who
may send commands must not make the daemon publish on the topics of this or another box.
"""

from __future__ import annotations

from dataclasses import dataclass

from asd_monitor.daemon.command_parsing import CommandRefusedError
from asd_monitor.errors import UsageError
from asd_monitor.names import check_topic_name
from asd_monitor.publish.received_commands import ReceivedCommand
from asd_monitor.wording import quoted

MAX_RESPONSE_TOPIC_BYTES = 256
MAX_CORRELATION_BYTES = 256
_END = "/response"
_READ_AS_COMMAND = f"/cmd{_END}"


@dataclass(frozen=True, slots=True)
class Address:
    """Topic of an answer, and what it repeats of the command."""

    topic: str
    correlation: bytes | None = None


def default_address(command: ReceivedCommand, topic: str) -> Address:
    """Return the address on the default topic, with the correlation data where they are valid."""
    correlation = command.correlation
    is_valid = correlation is not None and len(correlation) <= MAX_CORRELATION_BYTES
    return Address(topic, correlation if is_valid else None)


def requested_address(command: ReceivedCommand, default: Address, prefix: str) -> Address:
    """Return the address that a command asks for; ``default`` where it asks for none.

    ``prefix`` is that of the own topics.  Raises `CommandRefusedError`.
    """
    if not command.has_valid_properties:
        raise CommandRefusedError("the properties of the message are malformed: correct the client")
    if command.correlation is not None and len(command.correlation) > MAX_CORRELATION_BYTES:
        raise CommandRefusedError(
            f"the correlation data are too long: send at most {MAX_CORRELATION_BYTES} bytes"
        )
    if command.response_topic is None:
        return default
    return Address(_checked(command.response_topic, prefix), default.correlation)


def _checked(encoded: bytes, prefix: str) -> str:
    remedy = f"leave it out, or name one topic outside {prefix}/"
    if len(encoded) > MAX_RESPONSE_TOPIC_BYTES:
        raise CommandRefusedError(
            f"the response topic is too long: name one of at most {MAX_RESPONSE_TOPIC_BYTES} bytes"
        )
    try:
        topic = check_topic_name(encoded.decode())
    except (UnicodeDecodeError, UsageError) as error:
        shown = quoted(encoded.decode(errors="replace"))
        raise CommandRefusedError(f"{shown} cannot be a response topic: {remedy}") from error
    if topic.startswith("$"):
        raise CommandRefusedError(f"the response topic {quoted(topic)} begins with $: {remedy}")
    is_own = topic == prefix or topic.startswith(f"{prefix}/")
    if is_own and (not topic.endswith(_END) or topic.endswith(_READ_AS_COMMAND)):
        raise CommandRefusedError(
            f"the response topic {quoted(topic)} is one of this system: {remedy}, or one that ends"
            f" in {_END}"
        )
    return topic
