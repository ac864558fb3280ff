"""One connection to the broker: one paho client, used by one thread and for one connection only.

paho's own network loop is not used: it reconnects without a delay where a broker closes the
connection after accepting it, ends at an exception in a callback while reporting itself connected,
and counts refused messages as published.  Here paho encodes and decodes packets; the session
decides what is sent and when to reconnect.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from asd_monitor.config.settings import Mqtt
from asd_monitor.publish import broker_diagnostics
from asd_monitor.publish.authentication import read_password, tls_context
from asd_monitor.publish.broker_diagnostics import ConnectionEnd, EndCause
from asd_monitor.publish.checked_socket import (
    Acknowledgement,
    CheckedSocket,
    RequestAcknowledgement,
)
from asd_monitor.publish.inbox import Received
from asd_monitor.publish.received_commands import ReceivedCommand, is_command_filter
from asd_monitor.publish.send_queue import Outgoing

_CONNECT_TIMEOUT_S = 5.0
_RECEIVE_MAXIMUM = 20  # QoS 1 messages in flight, where the broker does not require fewer
_COMMANDS_IN_FLIGHT = 20
"""Commands of QoS 1 that the broker delivers before the first is acknowledged."""
_PACKET_OVERHEAD_BYTES = 10  # fixed header, lengths, packet identifier, empty properties
_PROPERTY_BYTES = 5  # its identifier and length, and a longer length of all properties
_WAITS_PER_KEEP_ALIVE = 30
_UNSPECIFIED_ERROR = 0x80


class _CheckedClient(Client):
    """paho's client, with a check of what is received."""

    def __init__(self, client_id: str, version: MQTTProtocolVersion) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=version,
            reconnect_on_failure=False,
            manual_ack=True,  # messages do not reach paho
        )
        self.checked: CheckedSocket | None = None

    def _create_socket(self) -> CheckedSocket:  # the only place where paho's socket can be wrapped
        self.checked = CheckedSocket(
            super()._create_socket(), properties=self.protocol == MQTTProtocolVersion.MQTTv5
        )
        return self.checked


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A subscription that the broker has accepted or refused."""

    topic: str
    code: int  # reason code


class Connection:
    """Connects, sends, receives.  `end` is set when the connection is over."""

    def __init__(
        self,
        settings: Mqtt,
        client_id: str,
        version: MQTTProtocolVersion,
        will: Outgoing,
        *,
        keep_alive_s: int,
    ) -> None:
        """Raise `UsageError` where a password or certificate file cannot be used."""
        self.end: ConnectionEnd | None = None
        self._unwritten: list[int] = []  # packet identifiers of QoS 0
        self._subscribing: dict[int, str] = {}  # topics, by packet identifier of the request
        self._unsubscribing: dict[int, str] = {}
        self.receive_maximum = _RECEIVE_MAXIMUM
        self.accepted = False
        self._max_packet_bytes: int | None = None
        self._settings = settings
        self._client_id = client_id
        self._keep_alive_s = keep_alive_s
        self._last_topic: str | None = None
        client = _CheckedClient(client_id, version)
        client.connect_timeout = _CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(0)  # the send queue limits the messages in flight
        if settings.username is not None:
            file = settings.password_file
            client.username_pw_set(settings.username, None if file is None else read_password(file))
        if settings.tls is not None:
            client.tls_set_context(tls_context(settings.tls))
        client.will_set(will.topic, will.payload, qos=will.qos, retain=will.retain)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        # with this callback set, paho leaves all writing to `flush`
        client.on_socket_register_write = _ignore
        self._client = client
        self._limits: Properties | None = None
        self._is_version_5 = version == MQTTProtocolVersion.MQTTv5
        if self._is_version_5:
            self._limits = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            # without a maximum packet size: a broker drops what is above, and mosquitto 2.0.11
            # goes on counting such a message with QoS 1 as in flight; the inbox limits the size
            self._limits.ReceiveMaximum = _COMMANDS_IN_FLIGHT

    def open(
        self, wakeup: socket.socket, clock: Callable[[], float], timeout_s: float
    ) -> ConnectionEnd | None:
        """Connect and wait for the CONNACK; return None when accepted, else why not."""
        deadline = clock() + timeout_s
        self._client.connect_timeout = min(_CONNECT_TIMEOUT_S, max(0.1, timeout_s))
        try:
            self._client.connect(
                self._settings.host,
                self._settings.port,
                keepalive=self._keep_alive_s,
                properties=self._limits,
            )
        except OSError as error:
            self.end = broker_diagnostics.connect_failed(error, self._settings)
            return self.end
        self.flush()
        while not self.accepted and self.end is None:
            left_s = deadline - clock()
            if left_s <= 0:
                self.end = broker_diagnostics.no_connack(
                    self._settings, "does not answer as an MQTT broker"
                )
            else:
                self.wait(wakeup, left_s)
        return self.end

    @property
    def has_unwritten_bytes(self) -> bool:
        """Whether the network has not yet accepted all bytes of the messages sent."""
        return self._client.want_write()

    def fits(self, message: Outgoing) -> bool:
        """Return whether a message is within the broker's maximum packet size.

        paho does not check it.
        """
        size = len(message.topic.encode()) + len(message.payload) + _PACKET_OVERHEAD_BYTES
        size += 0 if message.correlation is None else len(message.correlation) + _PROPERTY_BYTES
        return self._max_packet_bytes is None or size <= self._max_packet_bytes

    def send(self, message: Outgoing) -> int:
        """Encode a message, to be written by `flush`; return its packet identifier."""
        self._last_topic = message.topic
        packet_id = self._client.publish(
            message.topic,
            message.payload,
            qos=message.qos,
            retain=message.retain,
            properties=self._properties_of(message),
        ).mid
        if message.qos == 0:
            self._unwritten.append(packet_id)
        return packet_id

    def _properties_of(self, message: Outgoing) -> Properties | None:
        if message.correlation is None or not self._is_version_5:
            return None
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.CorrelationData = message.correlation
        return properties

    def subscribe(self, topic: str) -> None:
        """Request the messages on a topic, or commands, to be written by `flush`."""
        if self._client.checked is None:
            return
        if is_command_filter(topic):
            # a message that is published with retain is delivered with that mark at once, and none
            # of this client is
            options = SubscribeOptions(qos=1, noLocal=True, retainAsPublished=True)
            self._client.checked.inbox.filters.add(topic)
            _, packet_id = (
                self._client.subscribe(topic, options=options)
                if self._is_version_5
                else self._client.subscribe(topic, qos=1)
            )
        else:
            self._client.checked.inbox.topics.add(topic)
            _, packet_id = self._client.subscribe(topic, qos=0)
        self._expect(packet_id, topic, self._subscribing)

    def unsubscribe(self, topic: str) -> None:
        """End the messages on a topic, to be written by `flush`."""
        _, packet_id = self._client.unsubscribe(topic)
        self._expect(packet_id, topic, self._unsubscribing)

    def _expect(self, packet_id: int | None, topic: str, requests: dict[int, str]) -> None:
        if packet_id is not None and self._client.checked is not None:
            requests[packet_id] = topic
            self._client.checked.requests.add(packet_id)

    def take_received(self) -> list[Received]:
        """Return the newest message of each topic since the last call."""
        return [] if self._client.checked is None else self._client.checked.inbox.take()

    def take_commands(self) -> list[ReceivedCommand]:
        """Acknowledge and return the commands since the last call."""
        if self._client.checked is None:
            return []
        inbox = self._client.checked.inbox
        while inbox.unacknowledged:
            self._client.ack(inbox.unacknowledged.popleft(), 1)
        commands = list(inbox.commands)
        inbox.commands.clear()
        return commands

    def take_dropped_commands(self) -> int:
        """Return how many commands were not kept since the last call."""
        if self._client.checked is None:
            return 0
        inbox = self._client.checked.inbox
        dropped, inbox.dropped_commands = inbox.dropped_commands, 0
        return dropped

    def take_subscribed(self) -> list[Subscribed]:
        """Return what the broker has said to `subscribe` since the last call."""
        return [
            Subscribed(self._subscribing.pop(each.packet_id), each.code)
            for each in self._take_request_acknowledgements(self._subscribing)
        ]

    def take_unsubscribed(self) -> list[str]:
        """Return the topics of which the broker has ended the subscription since the last call.

        Commands that it had accepted before it may still deliver.
        """
        topics = [
            self._unsubscribing.pop(each.packet_id)
            for each in self._take_request_acknowledgements(self._unsubscribing)
        ]
        if self._client.checked is not None:
            self._client.checked.inbox.topics.difference_update(topics)
        return topics

    def _take_request_acknowledgements(
        self, requests: Mapping[int, str]
    ) -> list[RequestAcknowledgement]:
        checked = self._client.checked
        if checked is None or not checked.request_acknowledgements:
            return []
        received = checked.request_acknowledgements
        checked.request_acknowledgements = [
            each for each in received if each.packet_id not in requests
        ]
        return [each for each in received if each.packet_id in requests]

    def flush(self) -> None:
        """Write as much as the network accepts now."""
        self._client.loop_write()

    def take_acknowledgements(self) -> list[Acknowledgement]:
        """Return the acknowledgements since the last call.

        paho's callback is not used: for each message of QoS 0 it builds a set of properties, which
        takes a fifth of the time of sending it.
        """
        written: list[Acknowledgement] = []
        if self._unwritten and not self.has_unwritten_bytes and self.end is None:
            written = [Acknowledgement(packet_id) for packet_id in self._unwritten]
            self._unwritten.clear()
        if self._client.checked is not None:
            written += self._client.checked.acknowledgements
            self._client.checked.acknowledgements.clear()
        return written

    def wait(self, wakeup: socket.socket, timeout_s: float) -> None:
        """Wait for the network, for ``wakeup`` or for the timeout; process what was received."""
        sock = self._client.socket()
        if sock is None:
            self.end = self.end or self._lost(_UNSPECIFIED_ERROR)
            return
        received = isinstance(sock, CheckedSocket) and sock.has_received_bytes
        wait_s = 0.0 if received else min(self._keep_alive_s / _WAITS_PER_KEEP_ALIVE, timeout_s)
        write = selectors.EVENT_WRITE if self.has_unwritten_bytes else 0
        with selectors.PollSelector() as selector:
            selector.register(sock, selectors.EVENT_READ | write)
            selector.register(wakeup, selectors.EVENT_READ)
            ready = {key.fileobj: mask for key, mask in selector.select(wait_s)}
        if wakeup in ready:
            wakeup.recv(4096)
        if ready.get(sock, 0) & selectors.EVENT_READ or received:
            self._client.loop_read()
        if ready.get(sock, 0) & selectors.EVENT_WRITE:
            self.flush()
        self._client.loop_misc()  # keep alive

    def disconnect(
        self, wakeup: socket.socket, clock: Callable[[], float], deadline: float
    ) -> ConnectionEnd:
        """Send DISCONNECT, so that the broker discards the will message."""
        self.end = ConnectionEnd(EndCause.CLOSED, "stopped", "")
        self._client.disconnect()
        self.flush()
        while self.has_unwritten_bytes and self._client.socket() is not None and clock() < deadline:
            self.wait(wakeup, deadline - clock())
        return self.end

    def close(self) -> None:
        """Close the socket, whatever the state."""
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    def _on_connect(
        self,
        _client: Client,
        _userdata: Any,
        _flags: ConnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if code.is_failure:
            self.end = broker_diagnostics.connection_refused(code, self._settings, self._client_id)
            return
        self.accepted = True
        self.receive_maximum = min(
            _RECEIVE_MAXIMUM, getattr(properties, "ReceiveMaximum", _RECEIVE_MAXIMUM)
        )
        self._max_packet_bytes = getattr(properties, "MaximumPacketSize", None)

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: Any,
        flags: DisconnectFlags,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if self.end is not None:
            return
        checked = self._client.checked
        if checked is not None and checked.violation is not None:
            end = broker_diagnostics.protocol_violation(checked.violation)
            self.end = end if self.accepted else replace(end, cause=EndCause.NO_ANSWER)
        elif flags.is_disconnect_packet_from_server:
            received = None if checked is None else checked.disconnect_code
            self.end = broker_diagnostics.disconnected_by_broker(
                code.value if received is None else received,
                self._settings,
                self._client_id,
                self._last_topic,
            )
        elif not self.accepted:
            self.end = broker_diagnostics.no_connack(
                self._settings, "closed the connection without an answer"
            )
        else:
            self.end = self._lost(code.value)

    def _lost(self, code: int) -> ConnectionEnd:
        return broker_diagnostics.connection_lost(code, self._last_topic)


def _ignore(_client: Client, _userdata: Any, _sock: Any) -> None:
    pass
