"""One connection to the broker: one paho client, used by one thread, never used again.

paho's own network thread is not used.  It reconnects without a pause when a broker hangs up
after accepting, dies of an exception in a callback while still calling itself connected,
and its queue calls refused messages published.  Here paho only speaks the protocol; what is
sent, what was answered and when to try again is decided by the session.
"""

from __future__ import annotations

import selectors
import socket
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from asd_monitor.publish import broker_faults
from asd_monitor.publish.backlog import Outgoing
from asd_monitor.publish.broker_faults import End, Ending
from asd_monitor.publish.broker_settings import MqttSettings, read_password, tls_context

_KEEPALIVE_S = 30
_CONNECT_TIMEOUT_S = 5.0
_WINDOW = 20  # QoS 1 messages in flight
_PACKET_OVERHEAD_BYTES = 10  # header, lengths, packet number, empty properties


@dataclass(frozen=True, slots=True)
class Answer:
    """The broker's word on a message (for QoS 0: that it was written)."""

    number: int
    code: ReasonCode


class Connection:
    """Opens a connection, sends, receives; `end` tells when and why it is over."""

    def __init__(
        self, settings: MqttSettings, version: MQTTProtocolVersion, will: Outgoing
    ) -> None:
        """Raise UsageError where a password or certificate file cannot be used."""
        self.end: End | None = None
        self.answers: deque[Answer] = deque()
        self.window = _WINDOW
        self._max_packet_bytes: int | None = None
        self.accepted = False
        self._settings = settings
        self._last_topic: str | None = None
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.client,
            protocol=version,
            reconnect_on_failure=False,
        )
        client.connect_timeout = _CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(0)  # the window is ours
        if settings.username is not None:
            client.username_pw_set(settings.username, read_password(settings))
        if settings.tls is not None:
            client.tls_set_context(tls_context(settings.tls))
        client.will_set(will.topic, will.payload, qos=will.qos, retain=will.retain)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        # with this set, paho leaves all writing to `flush`
        client.on_socket_register_write = _nothing
        self._client = client

    def open(self, wake: socket.socket, clock: Callable[[], float], timeout_s: float) -> End | None:
        """Connect and wait for the broker's yes; return None then, else why not."""
        deadline = clock() + timeout_s
        self._client.connect_timeout = min(_CONNECT_TIMEOUT_S, max(0.1, timeout_s))
        try:
            self._client.connect(self._settings.host, self._settings.port, keepalive=_KEEPALIVE_S)
        except OSError as error:
            self.end = broker_faults.unreachable(error, self._settings)
            return self.end
        self.flush()
        while not self.accepted and self.end is None:
            left_s = deadline - clock()
            if left_s <= 0:
                self.end = broker_faults.no_answer(
                    self._settings, "does not answer as a broker would"
                )
            else:
                self.wait(wake, left_s)
        return self.end

    @property
    def writing(self) -> bool:
        """Whether there are bytes that the network has not yet taken."""
        return self._client.want_write()

    def fits(self, message: Outgoing) -> bool:
        """Whether the broker takes packets of this size; paho does not look."""
        size = len(message.topic.encode()) + len(message.payload) + _PACKET_OVERHEAD_BYTES
        return self._max_packet_bytes is None or size <= self._max_packet_bytes

    def send(self, message: Outgoing) -> int:
        """Hand a message over, to be written by `flush`; return its packet number."""
        self._last_topic = message.topic
        return self._client.publish(
            message.topic, message.payload, qos=message.qos, retain=message.retain
        ).mid

    def flush(self) -> None:
        """Write as much as the network takes now."""
        self._client.loop_write()

    def wait(self, wake: socket.socket, timeout_s: float) -> None:
        """Wait for the network, for ``wake`` or at most a second; deal with what came."""
        sock = self._client.socket()
        if sock is None:
            self.end = self.end or broker_faults.broken(
                ReasonCode(PacketTypes.DISCONNECT, identifier=0x80)
            )
            return
        # what TLS has already decrypted makes no socket readable
        ready_s = 0.0 if isinstance(sock, ssl.SSLSocket) and sock.pending() else 1.0
        write = selectors.EVENT_WRITE if self.writing else 0
        with selectors.PollSelector() as selector:
            selector.register(sock, selectors.EVENT_READ | write)
            selector.register(wake, selectors.EVENT_READ)
            ready = {key.fileobj: mask for key, mask in selector.select(min(ready_s, timeout_s))}
        if wake in ready:
            wake.recv(4096)
        if ready.get(sock, 0) & selectors.EVENT_READ or ready_s == 0.0:
            self._client.loop_read()
        if ready.get(sock, 0) & selectors.EVENT_WRITE:
            self.flush()
        self._client.loop_misc()  # keep-alive

    def leave(self, wake: socket.socket, clock: Callable[[], float], deadline: float) -> End:
        """Say goodbye, so that the broker forgets the last will."""
        self.end = End(Ending.CLOSED, "stopped", "")
        self._client.disconnect()
        self.flush()
        while self.writing and self._client.socket() is not None and clock() < deadline:
            self.wait(wake, deadline - clock())
        return self.end

    def close(self) -> None:
        """Let go of the socket, whatever the state."""
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
        if broker_faults.is_refusal(code):
            self.end = broker_faults.refused(code, self._settings)
            return
        self.accepted = True
        self.window = min(_WINDOW, getattr(properties, "ReceiveMaximum", _WINDOW))
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
        if flags.is_disconnect_packet_from_server:
            self.end = broker_faults.hung_up(code, self._settings, self._last_topic)
        elif not self.accepted:
            self.end = broker_faults.no_answer(self._settings, "hung up without an answer")
        else:
            self.end = broker_faults.broken(code)

    def _on_publish(
        self,
        _client: Client,
        _userdata: Any,
        number: int,
        code: ReasonCode,
        _properties: Properties,
    ) -> None:
        self.answers.append(Answer(number, code))


def _nothing(_client: Client, _userdata: Any, _sock: Any) -> None:
    pass
