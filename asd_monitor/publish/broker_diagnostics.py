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
from asd_monitor.publish.send_queue import Acceptance

SESSION_TAKEN_OVER = 0x8E
PACKET_TOO_LARGE = 0x95
_KEEP_ALIVE_TIMEOUT = 0x8D
_UNACCEPTABLE = frozenset({PACKET_TOO_LARGE, 0x99})  # 0x99: payload format invalid
_FIRST_FAILURE = 0x80  # 0x10, no matching subscribers, is a success
_NOT_BY_A_MESSAGE = frozenset({0x00, 0x89, 0x8B, 0x8D, 0x8E, 0x98, 0x9C, 0x9D, 0x9F, 0xA0})
_BY_ITSELF = frozenset({0x00, 0x04, 0x8B, 0x8D, 0x98, 0xA0})  # nothing is to be done
_PACKETS_WITH_CODES = (PacketTypes.DISCONNECT, PacketTypes.PUBACK, PacketTypes.CONNACK)
_ADDRESS = "mqtt.host and mqtt.port (where no file is given: --broker)"
_TLS_REMEDY = (
    "check that this port speaks TLS (usually 8883; without TLS set mqtt.tls: null) "
    "and whether the broker requires a client certificate (mqtt.tls.cert, mqtt.tls.key)"
)
_RECONNECTS = "none: the session reconnects"
_SEE_LOG = "see the broker's log for the reason"
_REMEDIES = {  # of reason codes that mean the same in every packet
    0x89: "the broker is overloaded: check it if this lasts",
    0x8A: "the broker has banned {user}: lift the ban there",
    0x95: "raise the broker's limit of message size (mosquitto: message_size_limit, "
    "max_packet_size)",
    0x96: "raise the broker's limit of messages per second for {user}",
    0x97: "raise the broker's quota for {user}",
    0x9A: "configure the broker to support retained messages",
    0x9B: "configure the broker to support QoS 1",
    0x9C: "the broker refers to another server: set mqtt.host and mqtt.port to it",
    0x9D: "the broker refers to another server: set mqtt.host and mqtt.port to it",
    0x9F: "raise the broker's limit of connections per second for {user}",
}


class EndCause(Enum):
    """How a connection ended, or why there was none."""

    NOT_ATTEMPTED = auto()  # a file of this computer cannot be used
    UNREACHABLE = auto()  # no TCP connection, or no TLS
    NO_ANSWER = auto()  # no valid CONNACK
    UNSUPPORTED_VERSION = auto()  # the broker says so in its CONNACK
    REFUSED = auto()  # CONNACK with another failure
    LOST = auto()
    CLOSED_BY_BROKER = auto()  # without a reason, or with one that a message may be the cause of
    TAKEN_OVER = auto()
    CLOSED = auto()  # by this session


NO_CONNECTION = frozenset({EndCause.UNREACHABLE, EndCause.NO_ANSWER, EndCause.REFUSED})
"""Broker or network are the cause."""


@dataclass(frozen=True, slots=True)
class ConnectionEnd:
    """The end of a connection: cause, reason as text, remedy."""

    cause: EndCause
    reason: str
    remedy: str


def is_failure(code: int) -> bool:
    """Return whether a reason code is a failure."""
    return code >= _FIRST_FAILURE


def acceptance_of(code: int) -> Acceptance:
    """Return what a reason code says of a message."""
    if not is_failure(code):
        return Acceptance.ACCEPTED
    return Acceptance.UNACCEPTABLE if code in _UNACCEPTABLE else Acceptance.REFUSED


def reason_text(code: int) -> str:
    """Return the name that MQTT 5 gives a reason code, in whatever packet it came."""
    for packet in _PACKETS_WITH_CODES:
        try:
            return str(ReasonCode(packet, identifier=code))
        except (KeyError, ValueError):
            continue
    return f"reason code 0x{code:02X}"


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
        EndCause.NO_ANSWER,
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
        case 0x84:  # also return code 1 of MQTT 3.1.1
            cause = EndCause.UNSUPPORTED_VERSION
            remedy = "use a broker that supports MQTT 5 or 3.1.1"
        case 0x85:
            remedy = f"the broker does not accept the client id {client_id}: change box"
        case 0x86 | 0x87 | 0x8C:
            remedy = (
                f"check mqtt.username, mqtt.password_file and the broker's access rules ({client})"
            )
        case 0x88:
            remedy = "the broker is overloaded or starting: check it if this lasts"
        case 0x95:
            remedy = "raise the broker's limit of message size: it refuses the will message"
        case _:
            remedy = _remedy_in_any_packet(code.value, settings)
    return ConnectionEnd(cause, str(code), remedy)


def _remedy_in_any_packet(code: int, settings: Mqtt) -> str:
    return _REMEDIES.get(code, _SEE_LOG).format(user=_user(settings))


def _user(settings: Mqtt) -> str:
    return "anonymous clients" if settings.username is None else f"user {settings.username}"


def disconnected_by_broker(
    code: int, settings: Mqtt, client_id: str, last_topic: str | None
) -> ConnectionEnd:
    """Describe a DISCONNECT sent by the broker; ``last_topic`` is that of the last message sent."""
    if code == SESSION_TAKEN_OVER:
        return ConnectionEnd(
            EndCause.TAKEN_OVER,
            f"another client has connected with the client id {client_id} of this session",
            "two daemons have the same box id: stop one of them, or give each its own `box:`; this "
            "one connects again meanwhile, after pauses that grow to a minute",
        )
    after = "" if last_topic is None else f" (the last message was sent to {last_topic})"
    if code in _BY_ITSELF:
        remedy = _RECONNECTS
    else:
        remedy = publish_remedy(code, last_topic or "its topics", settings)
    cause = EndCause.LOST if code in _NOT_BY_A_MESSAGE else EndCause.CLOSED_BY_BROKER
    return ConnectionEnd(cause, f"the broker disconnected: {reason_text(code)}{after}", remedy)


def connection_lost(code: int, last_topic: str | None) -> ConnectionEnd:
    """Describe a connection that ended without a DISCONNECT of the broker."""
    if code == _KEEP_ALIVE_TIMEOUT:  # reported by paho, not by the broker
        reason = "no response within the keep alive time"
        return ConnectionEnd(EndCause.LOST, reason, _RECONNECTS)
    after = "" if last_topic is None else f" (the last message was sent to {last_topic})"
    return ConnectionEnd(
        EndCause.CLOSED_BY_BROKER, f"the connection was closed{after}", _RECONNECTS
    )


def protocol_violation(what: str) -> ConnectionEnd:
    """Describe a connection that this session closes since the broker violates the protocol."""
    return ConnectionEnd(
        EndCause.LOST,
        what,
        "check that the broker neither subscribes clients by itself nor keeps sessions of this "
        "client id",
    )


def not_acknowledged(topic: str, limit_s: float) -> ConnectionEnd:
    """Describe a connection on which a message was not acknowledged in time."""
    return ConnectionEnd(
        EndCause.LOST,
        f"no acknowledgement of a message on {topic} within {limit_s:g} s",
        "check the broker's load and its log",
    )


def not_answered(topic: str, limit_s: float) -> ConnectionEnd:
    """Describe a connection on which the end of a subscription was not confirmed in time."""
    return ConnectionEnd(
        EndCause.LOST,
        f"no answer to the end of the subscription to {topic} within {limit_s:g} s",
        "check the broker's load and its log",
    )


def subscribe_remedy(code: int, topic: str, settings: Mqtt) -> str:
    """Return the remedy for a subscription that the broker refused."""
    match code:
        case 0x80 | 0x87:  # MQTT 3.1.1 has no other code than the first
            return f"allow {_user(settings)} to read {topic} in the broker's access rules"
        case 0x8F:
            return "the broker does not accept this topic: correct `running: {topic: …}`"
        case _:
            return _remedy_in_any_packet(code, settings)


def publish_remedy(code: int, topic: str, settings: Mqtt) -> str:
    """Return the remedy for a message that the broker refused."""
    match code:
        case 0x87:
            return f"allow {_user(settings)} to write {topic} in the broker's access rules"
        case 0x90:
            return "the broker does not accept this topic: change mqtt.prefix"
        case _:
            return _remedy_in_any_packet(code, settings)
