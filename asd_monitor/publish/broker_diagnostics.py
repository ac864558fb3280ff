"""Why a connection to the broker ended or a message was refused, with the remedy; pure.

Reason codes are those of MQTT 5 (OASIS standard, section 2.4).  paho-mqtt maps the return codes of
MQTT 3.1.1 to them.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from enum import Enum, auto

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from asd_monitor.config.settings import Mqtt

SESSION_TAKEN_OVER = 0x8E
PACKET_TOO_LARGE = ReasonCode(PacketTypes.DISCONNECT, identifier=0x95)
_KEEP_ALIVE_TIMEOUT = 0x8D
_FIRST_FAILURE = 0x80  # 0x10, no matching subscribers, is a success
_PUBLISH_RIGHTS = {0x87, 0x95, 0x97, 0x99, 0x9A, 0x9B}
_ADDRESS = "mqtt.host and mqtt.port (--broker)"
_TLS_REMEDY = (
    "check that this port speaks TLS (usually 8883; without TLS set mqtt.tls: null) "
    "and whether the broker requires a client certificate (mqtt.tls.cert, mqtt.tls.key)"
)
_RECONNECTS = "none: the session reconnects"
_SEE_LOG = "see the broker's log for the reason"


class EndCause(Enum):
    """How a connection ended, or why there was none."""

    UNREACHABLE = auto()  # no TCP connection, or no TLS
    UNSUPPORTED_VERSION = auto()  # the broker does not support this version of MQTT
    REFUSED = auto()  # CONNACK with a failure
    LOST = auto()
    TAKEN_OVER = auto()
    CLOSED = auto()  # by this session


@dataclass(frozen=True, slots=True)
class ConnectionEnd:
    """The end of a connection: cause, reason as text, remedy."""

    cause: EndCause
    reason: str
    remedy: str


def is_failure(code: ReasonCode) -> bool:
    """Return whether a reason code is a failure."""
    return code.value >= _FIRST_FAILURE


def connect_failed(error: OSError, settings: Mqtt) -> ConnectionEnd:
    """Describe why no TCP or TLS connection was established."""
    where = settings.address
    match error:
        case ssl.SSLCertVerificationError():
            reason = f"the certificate of {where} is not trusted: {error.verify_message}"
            remedy = (
                "mqtt.tls.ca must name the authority that issued it, and mqtt.host the name in it"
            )
        case ssl.SSLError():
            reason = f"TLS with {where} failed: {(error.reason or str(error)).lower()}"
            remedy = _TLS_REMEDY
        case ConnectionResetError() | BrokenPipeError() if settings.tls is not None:
            reason = f"{where} closed the connection during the TLS handshake"
            remedy = _TLS_REMEDY
        case ConnectionRefusedError():
            reason = f"connection refused: no broker listens on {where}"
            remedy = f"start the broker, or correct {_ADDRESS}"
        case socket.gaierror():
            reason = f"the host name {settings.host} cannot be resolved"
            remedy = f"correct {_ADDRESS}, or the name resolution of this computer"
        case TimeoutError():
            reason = f"{where} does not answer"
            remedy = f"check network and firewall, and {_ADDRESS}"
        case _:
            reason = f"{where} cannot be reached: {error.strerror or error}"
            remedy = f"check the network, and {_ADDRESS}"
    return ConnectionEnd(EndCause.UNREACHABLE, reason, remedy)


def no_connack(settings: Mqtt, what: str) -> ConnectionEnd:
    """Describe a peer that accepted the connection and sent no valid CONNACK."""
    return ConnectionEnd(
        EndCause.UNSUPPORTED_VERSION,
        f"{settings.address} {what}",
        "check that this is the port of an MQTT broker and whether it expects TLS or a client "
        "certificate (mqtt.tls); see also the broker's log",
    )


def connection_refused(code: ReasonCode, settings: Mqtt, client_id: str) -> ConnectionEnd:
    """Describe a CONNACK with a failure."""
    user = "no user name" if settings.username is None else f"user {settings.username}"
    client = f"{user}, client id {client_id}"
    cause = EndCause.REFUSED
    match code.value:
        case 0x84 | 0x81 | 0x82:
            cause = EndCause.UNSUPPORTED_VERSION
            remedy = "use a broker that supports MQTT 5 or 3.1.1"
        case 0x85:
            remedy = f"the broker does not accept the client id {client_id}: change box"
        case 0x86 | 0x87 | 0x8C:
            remedy = (
                f"check mqtt.username, mqtt.password_file and the broker's access rules ({client})"
            )
        case 0x8A:
            remedy = f"the broker has banned this client ({client}): lift the ban there"
        case 0x88 | 0x89 | 0x97 | 0x9F:
            remedy = "the broker is overloaded or starting: check it if this lasts"
        case 0x9A | 0x9B:
            remedy = "configure the broker to support retained messages and QoS 1"
        case 0x9C | 0x9D:
            remedy = "the broker refers to another server: set mqtt.host and mqtt.port to it"
        case _:
            remedy = _SEE_LOG
    return ConnectionEnd(cause, str(code), remedy)


def disconnected_by_broker(
    code: ReasonCode, client_id: str, last_topic: str | None
) -> ConnectionEnd:
    """Describe a DISCONNECT sent by the broker; ``last_topic`` is that of the last message sent."""
    if code.value == SESSION_TAKEN_OVER:
        return ConnectionEnd(
            EndCause.TAKEN_OVER,
            f"another client has connected with the client id {client_id} of this session",
            "two daemons have the same box id: stop one of them, or give each its own `box:`",
        )
    after = "" if last_topic is None else f" (the last message was sent to {last_topic})"
    remedy = (
        "configure the broker to let this client publish to its topics"
        if code.value in _PUBLISH_RIGHTS
        else _RECONNECTS
    )
    return ConnectionEnd(EndCause.LOST, f"the broker disconnected: {code}{after}", remedy)


def connection_lost(code: ReasonCode) -> ConnectionEnd:
    """Describe a connection that ended without a DISCONNECT of the broker."""
    timeout = code.value == _KEEP_ALIVE_TIMEOUT  # reported by paho, not by the broker
    reason = "no response within the keep alive time" if timeout else "the connection was closed"
    return ConnectionEnd(EndCause.LOST, reason, _RECONNECTS)


def publish_remedy(code: ReasonCode, topic: str, settings: Mqtt) -> str:
    """Return the remedy for a message that the broker refused."""
    user = "anonymous clients" if settings.username is None else f"user {settings.username}"
    match code.value:
        case 0x87:
            return f"allow {user} to write {topic} in the broker's access rules"
        case 0x97:
            return f"raise the broker's quota for {user}"
        case 0x95:
            return "raise the broker's maximum packet size"
        case 0x90:
            return "the broker does not accept this topic: change mqtt.prefix"
        case _:
            return _SEE_LOG
