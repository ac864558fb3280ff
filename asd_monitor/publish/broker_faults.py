"""What went wrong between us and the broker, in words for the person who mends it; pure."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from enum import Enum, auto

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from asd_monitor.publish.broker_settings import MqttSettings

TAKEN_OVER = 0x8E
TOO_LARGE = ReasonCode(PacketTypes.DISCONNECT, identifier=0x95)
_TLS_REMEDY = (
    "check that this port speaks TLS (8883 as a rule; without TLS set mqtt.tls: null) "
    "and whether the broker wants a client certificate (mqtt.tls.cert, mqtt.tls.key)"
)
_SUCCESS_BELOW = 0x80  # of reason codes; 0x10 "nobody listens" is no failure


class Ending(Enum):
    """How a connection ended, or why there was none."""

    UNREACHABLE = auto()  # no connection, or no TLS
    VERSION = auto()  # the broker seems not to know this version of MQTT
    REFUSED = auto()
    LOST = auto()
    TAKEN_OVER = auto()
    CLOSED = auto()  # by us


@dataclass(frozen=True, slots=True)
class End:
    """The end of a connection: what happened and the mend."""

    ending: Ending
    reason: str
    remedy: str


def is_refusal(code: ReasonCode) -> bool:
    """Tell whether a reason code says no."""
    return code.value >= _SUCCESS_BELOW


def unreachable(error: OSError, settings: MqttSettings) -> End:
    """Explain why no connection came about."""
    where = settings.address
    match error:
        case ssl.SSLCertVerificationError():
            reason = f"the certificate of {where} is not trusted: {error.verify_message}"
            remedy = (
                "mqtt.tls.ca must name the authority that signed it, and mqtt.host the name in it"
            )
        case ssl.SSLError():
            reason = f"TLS with {where} failed: {(error.reason or str(error)).lower()}"
            remedy = _TLS_REMEDY
        case ConnectionResetError() | BrokenPipeError() if settings.tls is not None:
            reason = f"{where} hung up while TLS was being set up"
            remedy = _TLS_REMEDY
        case ConnectionRefusedError():
            reason = f"nothing listens on {where}"
            remedy = "start the broker, or correct mqtt.host and mqtt.port"
        case socket.gaierror():
            reason = f"no address is known for the host {settings.host}"
            remedy = "correct mqtt.host, or mend the name service of this box"
        case TimeoutError():
            reason = f"{where} does not answer"
            remedy = "check network and firewall, mqtt.host and mqtt.port"
        case _:
            reason = f"{where} cannot be reached: {error.strerror or error}"
            remedy = "check network, mqtt.host and mqtt.port"
    return End(Ending.UNREACHABLE, reason, remedy)


def no_answer(settings: MqttSettings, what: str) -> End:
    """Explain a broker that took the connection and then said nothing that makes sense."""
    return End(
        Ending.VERSION,
        f"{settings.address} {what}",
        "check that this port is an MQTT broker's and whether it expects TLS or a client "
        "certificate (mqtt.tls); the broker's log may tell more",
    )


def refused(code: ReasonCode, settings: MqttSettings) -> End:
    """Explain a CONNACK that says no."""
    user = "no user" if settings.username is None else f"user {settings.username}"
    who = f"{user}, client id {settings.client}"
    ending = Ending.REFUSED
    match code.value:
        case 0x84 | 0x81 | 0x82:
            ending = Ending.VERSION
            remedy = "the broker must speak MQTT 5 or 3.1.1"
        case 0x85:
            remedy = f"the broker does not accept the client id {settings.client}; change box"
        case 0x86 | 0x87 | 0x8C:
            remedy = (
                f"check mqtt.username, mqtt.password_file and the broker's access rules ({who})"
            )
        case 0x8A:
            remedy = f"the broker has banned this client ({who}); unban it there"
        case 0x88 | 0x89 | 0x97 | 0x9F:
            remedy = "the broker is overloaded or starting; look at it if this lasts"
        case 0x9A | 0x9B:
            remedy = "the broker must allow retained messages and QoS 1"
        case 0x9C | 0x9D:
            remedy = "the broker sends us elsewhere; set mqtt.host and mqtt.port to the new one"
        case _:
            remedy = "the broker's log tells why"
    return End(ending, str(code), remedy)


def hung_up(code: ReasonCode, settings: MqttSettings, last_topic: str | None) -> End:
    """Explain a DISCONNECT that the broker sent."""
    if code.value == TAKEN_OVER:
        return End(
            Ending.TAKEN_OVER,
            f"another client has connected with our client id {settings.client} "
            "and taken our place",
            "two daemons share one box id: stop one of them, or give each its own `box:`",
        )
    after = "" if last_topic is None else f" (the last message went to {last_topic})"
    remedy = (
        "the broker must let us publish to our topics"
        if code.value in {0x87, 0x95, 0x97, 0x99, 0x9A, 0x9B}
        else "none here: we connect again"
    )
    return End(Ending.LOST, f"the broker hung up: {code}{after}", remedy)


def broken(code: ReasonCode) -> End:
    """Explain a connection that ended without a word from the broker."""
    silent = code.value == 0x8D  # keep-alive timeout, told by paho
    reason = "the broker no longer answers" if silent else "the connection broke off"
    return End(Ending.LOST, reason, "none here: we connect again")


def publish_remedy(code: ReasonCode, topic: str, settings: MqttSettings) -> str:
    """Say how to make the broker take a message that it has refused."""
    user = "anonymous clients" if settings.username is None else f"user {settings.username}"
    match code.value:
        case 0x87:
            return f"let {user} write {topic} in the broker's access rules"
        case 0x97:
            return f"raise the broker's quota for {user}"
        case 0x95:
            return "raise the broker's maximum packet size"
        case 0x90:
            return "the broker does not accept this topic; change mqtt.prefix"
        case _:
            return "the broker's log tells why"
