"""A socket whose packets are checked before paho decodes them.

A broker has only a few packets to send: CONNACK, PUBACK, PINGRESP and DISCONNECT, and, where topics
are subscribed, answers to that and messages on them, which are not passed on
(`asd_monitor.publish.inbox`).  paho collects a packet of any length in memory, keeps messages of
QoS 2, and ends the connection at a reason code that MQTT 5 does not list for the packet (mosquitto
answers a payload above its ``message_size_limit`` with PUBACK 0x95).  Here any other packet is a
violation, and any packet above `MAX_PACKET_BYTES` that is no message on a subscribed topic: from
then on the socket reports its end.  Reason codes that paho does not accept are replaced;
`acknowledgements` and `disconnect_code` have those that were received.
"""

from __future__ import annotations

import ssl
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from asd_monitor.publish.inbox import MALFORMED, MAX_BEGINNING_BYTES, Inbox

MAX_PACKET_BYTES = 65_536
_RECEIVED_AT_ONCE = 4096
_UNSPECIFIED_ERROR = 0x80
_MAX_LENGTH_BYTES = 4  # of the field with the remaining length
_SHOWN_TOPIC_BYTES = 200
_TO_REQUESTS = frozenset({PacketTypes.SUBACK, PacketTypes.UNSUBACK})
_PERMITTED = frozenset(
    {PacketTypes.CONNACK, PacketTypes.PUBACK, PacketTypes.PINGRESP, PacketTypes.DISCONNECT}
)


class ByteStream(Protocol):
    """What paho uses of a socket."""

    def recv(self, buffer_size: int) -> bytes: ...  # noqa: D102
    def send(self, buffer: bytes | bytearray) -> int: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102
    def fileno(self) -> int: ...  # noqa: D102
    def setblocking(self, flag: bool) -> None: ...  # noqa: D102, FBT001


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The broker's PUBACK to a message; for QoS 0: the message was written to the network."""

    packet_id: int
    code: int = 0  # reason code


@dataclass(frozen=True, slots=True)
class RequestAcknowledgement:
    """The broker's SUBACK or UNSUBACK to the request for one topic."""

    packet_id: int
    code: int  # reason code


class CheckedSocket:
    """Passes checked packets on; bounded memory whatever the broker sends.

    Args:
        sock: The connected socket.
        properties: Whether packets have properties, as those of MQTT 5.

    """

    def __init__(self, sock: ByteStream, *, properties: bool = True) -> None:
        self.violation: str | None = None
        """What the broker sent that it may not; the connection has to end."""
        self.acknowledgements: deque[Acknowledgement] = deque()
        """The PUBACKs received."""
        self.inbox = Inbox(properties=properties)
        """The messages received on subscribed topics."""
        self.requests: set[int] = set()
        """Packet identifiers of the requests for topics that are not acknowledged yet."""
        self.request_acknowledgements: list[RequestAcknowledgement] = []
        """The SUBACKs and UNSUBACKs received."""
        self.disconnect_code: int | None = None
        """Reason code of a DISCONNECT received."""
        self._sock = sock
        self._incomplete = bytearray()  # the begin of a packet
        self._checked = bytearray()  # whole packets that paho has not read
        self._skipped_bytes = 0  # of an oversized message, still to come

    @property
    def has_received_bytes(self) -> bool:
        """Whether there are bytes that do not make the socket readable."""
        sock = self._sock
        return bool(self._checked) or (isinstance(sock, ssl.SSLSocket) and sock.pending() > 0)

    def recv(self, buffer_size: int) -> bytes:
        """Return bytes of checked packets; none after the end or a violation.

        Raises what the socket raises, `BlockingIOError` where no packet is complete or only
        messages were received.
        """
        while not self._checked:
            received = b"" if self.violation else self._sock.recv(_RECEIVED_AT_ONCE)
            if not received:
                return b""
            if self._check(received) and not self._checked:
                raise BlockingIOError  # so that messages without end do not keep the caller
        data = bytes(self._checked[:buffer_size])
        del self._checked[:buffer_size]
        return data

    def send(self, buffer: bytes | bytearray) -> int:
        """Send bytes; return how many."""
        return self._sock.send(buffer)

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 - the shape of a socket
        """Set whether the socket blocks."""
        self._sock.setblocking(flag)

    def _check(self, received: bytes) -> bool:
        """Check the packets that are complete now; return whether messages were among them."""
        skipped = min(self._skipped_bytes, len(received))
        self._skipped_bytes -= skipped
        self._incomplete += received[skipped:]
        has_messages = skipped > 0
        while self._incomplete and self.violation is None:
            kind = self._incomplete[0] >> 4
            if kind == PacketTypes.PUBLISH and self.inbox.is_open:
                if not self._take_message():
                    break
                has_messages = True
                continue
            if kind not in (_PERMITTED | _TO_REQUESTS if self.requests else _PERMITTED):
                self.violation = self._unrequested(kind)
                break
            body, end = self._body_position()
            if end > MAX_PACKET_BYTES:
                self.violation = f"the broker sent a packet of {end} bytes"
            if body is None or self.violation or len(self._incomplete) < end:
                break
            packet = bytes(self._incomplete[:end])
            del self._incomplete[:end]
            if kind in _TO_REQUESTS:
                self._take_request_acknowledgement(packet[body:])
            else:
                self._checked += _acceptable(self, packet, body)
        return has_messages

    def _take_message(self) -> bool:
        """Move the message that comes next to the inbox; return whether enough was received."""
        body, end = self._body_position()
        if body is None or self.violation:
            return False
        head = self._incomplete[0]
        is_oversized, is_whole = end > MAX_PACKET_BYTES, len(self._incomplete) >= end
        try:
            # without a copy of the content while that is incomplete
            beginning = bytes(self._incomplete[body : min(end, body + MAX_BEGINNING_BYTES)])
            topic = self.inbox.topic_of(head, beginning)
            if topic is None or not (is_whole or is_oversized):
                self.violation = MALFORMED if is_whole else None
                return False
            if is_oversized:
                kept = min(end, body + self.inbox.kept_bytes(head, beginning))
                if len(self._incomplete) < kept:
                    return False
                beginning = bytes(self._incomplete[body:kept])
                self.inbox.put_oversized(topic, head, beginning, end - body)
            else:
                self.inbox.put(topic, head, bytes(self._incomplete[body:end]))
        except ValueError as error:
            self.violation = str(error)
            return False
        self._skipped_bytes = max(0, end - len(self._incomplete))
        del self._incomplete[:end]
        return True

    def _take_request_acknowledgement(self, body: bytes) -> None:
        packet_id = int.from_bytes(body[:2])
        if len(body) < 2 or packet_id not in self.requests:
            self.violation = "the broker answered a request that this client did not make"
            return
        self.requests.discard(packet_id)
        # one topic in a request: its code is the last byte; the UNSUBACK of MQTT 3.1.1 has none
        code = body[-1] if len(body) > 2 else 0
        self.request_acknowledgements.append(RequestAcknowledgement(packet_id, code))

    def _body_position(self) -> tuple[int | None, int]:
        """Return begin and end of the packet's body; None while its length is incomplete."""
        length = 0
        for index, byte in enumerate(self._incomplete[1 : 1 + _MAX_LENGTH_BYTES]):
            length |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                body = index + 2
                return body, body + length
        if len(self._incomplete) > _MAX_LENGTH_BYTES:
            self.violation = "the broker sent a packet with an invalid length"
        return None, 0

    def _unrequested(self, kind: int) -> str:
        if kind != PacketTypes.PUBLISH:
            name = PacketTypes.Names[kind]
            return f"the broker sent a packet that this client did not request ({name})"
        begin, _ = self._body_position()
        self.violation = None  # the length is of no interest
        head = b"" if begin is None else bytes(self._incomplete[begin:])
        topic = head[2 : 2 + min(int.from_bytes(head[:2]), _SHOWN_TOPIC_BYTES)]
        named = f" on {topic.decode(errors='replace')!r}" if topic else ""
        return f"the broker sent a message{named}, and this client has subscribed to none"


def _acceptable(sock: CheckedSocket, packet: bytes, begin: int) -> bytes:
    """Return a packet with a reason code that paho accepts, without properties in acknowledgements.

    Reason codes and properties exist in MQTT 5 only: packets of MQTT 3.1.1 are too short for them.
    """
    kind, body = packet[0] >> 4, packet[begin:]
    if kind == PacketTypes.PUBACK and len(body) >= 2:
        code = body[2] if len(body) > 2 else 0
        sock.acknowledgements.append(Acknowledgement(int.from_bytes(body[:2]), code))
        if len(body) > 2:
            return bytes([packet[0], 3, body[0], body[1], _known(kind, code)])
    if kind == PacketTypes.DISCONNECT and body:
        sock.disconnect_code = body[0]
        return bytes([packet[0], 1, _known(kind, body[0])])
    return packet


def _known(kind: int, code: int) -> int:
    """Return a reason code that MQTT 5 lists for this packet: the one received, or 0x80."""
    try:
        ReasonCode(kind, identifier=code)
    except (KeyError, ValueError):
        return _UNSPECIFIED_ERROR
    return code
