"""A socket whose packets are checked before paho decodes them.

The daemon subscribes to nothing, so a broker has only four packets to send: CONNACK, PUBACK,
PINGRESP and DISCONNECT.  paho collects a packet of any length in memory, keeps messages of QoS 2,
and ends the connection at a reason code that MQTT 5 does not list for the packet (mosquitto answers
a payload above its ``message_size_limit`` with PUBACK 0x95).  Here any other packet, and any packet
above `MAX_PACKET_BYTES`, is a violation: from then on the socket reports its end.  Reason codes
that paho does not accept are replaced; `acknowledgements` and `disconnect_code` have those that
were received.
"""

from __future__ import annotations

import ssl
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

MAX_PACKET_BYTES = 65_536
_RECEIVED_AT_ONCE = 4096
_UNSPECIFIED_ERROR = 0x80
_MAX_LENGTH_BYTES = 4  # of the field with the remaining length
_SHOWN_TOPIC_BYTES = 200
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


class CheckedSocket:
    """Passes checked packets on; bounded memory whatever the broker sends."""

    def __init__(self, sock: ByteStream) -> None:
        self.violation: str | None = None
        """What the broker sent that it may not; the connection has to end."""
        self.acknowledgements: deque[Acknowledgement] = deque()
        """The PUBACKs received."""
        self.disconnect_code: int | None = None
        """Reason code of a DISCONNECT received."""
        self._sock = sock
        self._incomplete = bytearray()  # the begin of a packet
        self._checked = bytearray()  # whole packets that paho has not read

    @property
    def has_received_bytes(self) -> bool:
        """Whether there are bytes that do not make the socket readable."""
        sock = self._sock
        return bool(self._checked) or (isinstance(sock, ssl.SSLSocket) and sock.pending() > 0)

    def recv(self, buffer_size: int) -> bytes:
        """Return bytes of checked packets; none after the end or a violation.

        Raises what the socket raises, `BlockingIOError` where no packet is complete.
        """
        while not self._checked:
            received = b"" if self.violation else self._sock.recv(_RECEIVED_AT_ONCE)
            if not received:
                return b""
            self._incomplete += received
            self._check()
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

    def _check(self) -> None:
        while self._incomplete and self.violation is None:
            kind = self._incomplete[0] >> 4
            if kind not in _PERMITTED:
                self.violation = self._unrequested(kind)
                return
            body, end = self._body_position()
            if body is None or self.violation or len(self._incomplete) < end:
                return
            self._checked += _acceptable(self, bytes(self._incomplete[:end]), body)
            del self._incomplete[:end]

    def _body_position(self) -> tuple[int | None, int]:
        """Return begin and end of the packet's body; None while its length is incomplete."""
        length = 0
        for index, byte in enumerate(self._incomplete[1 : 1 + _MAX_LENGTH_BYTES]):
            length |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                body = index + 2
                if body + length > MAX_PACKET_BYTES:
                    self.violation = f"the broker sent a packet of {body + length} bytes"
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
