"""A client of the broker that publishes probes and sees what comes back; blocks, with time limits.

It has a client id of its own, since a second client with that of the daemon would end its session,
and no will: nothing is published where it ends.
"""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from asd_monitor.config.settings import Mqtt
from asd_monitor.diagnosis.bounded_connection import connect_in_time
from asd_monitor.publish.authentication import read_password, tls_context
from asd_monitor.publish.broker_diagnostics import (
    ConnectionEnd,
    connect_failed,
    connection_refused,
    disconnected_by_broker,
    is_failure,
    no_connack,
)

CONNECT_LIMIT_S = 5.0
_KEEP_ALIVE_S = 30


@dataclass(frozen=True, slots=True)
class Message:
    """A message that was received."""

    topic: str
    payload: bytes
    retained: bool  # kept by the broker from before the subscription


@dataclass(slots=True)
class BrokerLimits:
    """What the broker says of itself in its CONNACK."""

    retain_available: bool = True
    maximum_qos: int = 2
    maximum_packet_bytes: int | None = None


@dataclass(slots=True)
class _Seen:
    """What was received, guarded by the condition of the client."""

    messages: list[Message] = field(default_factory=list)
    published: dict[int, int] = field(default_factory=dict)  # reason code by packet identifier
    subscribed: dict[int, list[int]] = field(default_factory=dict)
    connack: ConnectionEnd | None = None
    is_connected: bool = False
    end: ConnectionEnd | None = None


class _BoundedClient(Client):
    """paho's client, with a limit of the time for the name of the broker, and an end."""

    def _create_socket_connection(self) -> socket.socket:  # paho looks the name up without a limit
        return connect_in_time(self.host, self.port, limit_s=self.connect_timeout)

    def close(self) -> None:
        """Close the sockets, also those of the thread, which paho keeps until it is collected."""
        self._reset_sockets()


class ProbeClient:
    """A connection to the broker; use it with ``with`` after `connect`."""

    def __init__(
        self,
        mqtt: Mqtt,
        box: str,
        *,
        version: MQTTProtocolVersion = MQTTv5,
        client_id: str | None = None,
    ) -> None:
        """Raise `UsageError` where a password or certificate file cannot be used."""
        self.limits = BrokerLimits()
        self.version = version
        self.client_id = client_id or f"asd-{box}-doctor-{secrets.token_hex(2)}"
        self._mqtt = mqtt
        self._seen = _Seen()
        self._changed = threading.Condition()
        client = _BoundedClient(
            CallbackAPIVersion.VERSION2,
            client_id=self.client_id,
            protocol=version,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_LIMIT_S
        if mqtt.username is not None:
            file = mqtt.password_file
            client.username_pw_set(mqtt.username, None if file is None else read_password(file))
        if mqtt.tls is not None:
            client.tls_set_context(tls_context(mqtt.tls))
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        self._client = client

    def connect(self) -> ConnectionEnd | None:
        """Connect; return None when accepted, else why not."""
        try:
            self._client.connect(self._mqtt.host, self._mqtt.port, keepalive=_KEEP_ALIVE_S)
        except OSError as error:
            self.close()
            return connect_failed(error, self._mqtt)
        self._client.loop_start()
        self._wait(lambda: self._seen.is_connected or self._seen.end is not None, CONNECT_LIMIT_S)
        with self._changed:
            if self._seen.is_connected:
                return None
            end = self._seen.connack or self._seen.end
        self.close()
        return end or no_connack(self._mqtt, "does not answer as an MQTT broker")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect and end the thread.  May be called in any state and more than once."""
        self._client.disconnect()
        self._client.loop_stop()
        self._client.close()

    @property
    def end(self) -> ConnectionEnd | None:
        """How the connection has ended; None: it has not."""
        with self._changed:
            return self._seen.end

    def messages(self, topic: str) -> list[Message]:
        """Return the messages received on a topic so far."""
        with self._changed:
            return [each for each in self._seen.messages if each.topic == topic]

    def subscribe(self, topics: Collection[str], limit_s: float) -> dict[str, int | None]:
        """Subscribe with QoS 1; return the reason code of each, None without an answer."""
        if not topics:
            return {}
        names = list(topics)
        _, packet_id = self._client.subscribe([(name, 1) for name in names])
        self._wait(lambda: packet_id in self._seen.subscribed, limit_s)
        with self._changed:
            codes = self._seen.subscribed.get(packet_id or -1, [])
        return {name: codes[n] if n < len(codes) else None for n, name in enumerate(names)}

    def unsubscribe(self, topic: str) -> None:
        """End a subscription, without waiting."""
        self._client.unsubscribe(topic)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Publish with QoS 1, without waiting; return the packet identifier."""
        return self._client.publish(topic, payload, qos=1, retain=retain).mid

    def acknowledged(self, packet_id: int, limit_s: float) -> int | None:
        """Return the reason code of a message that was published; None: there is none."""
        self._wait(lambda: packet_id in self._seen.published, limit_s)
        with self._changed:
            return self._seen.published.get(packet_id)

    def wait_for(self, condition: Callable[[], bool], limit_s: float) -> bool:
        """Wait for a condition of what was received; False at the limit or without connection."""
        return self._wait(condition, limit_s)

    def _wait(self, condition: Callable[[], bool], limit_s: float) -> bool:
        with self._changed:
            self._changed.wait_for(
                lambda: condition() or self._seen.end is not None, timeout=limit_s
            )
            return condition()

    def _on_connect(
        self, _client: Client, _data: Any, _flags: Any, code: Any, properties: Any
    ) -> None:
        with self._changed:
            if is_failure(code.value):
                self._seen.connack = connection_refused(code, self._mqtt, self.client_id)
                self._seen.end = self._seen.connack
            else:
                self._seen.is_connected = True
                self.limits = BrokerLimits(
                    bool(getattr(properties, "RetainAvailable", 1)),
                    int(getattr(properties, "MaximumQoS", 2)),
                    getattr(properties, "MaximumPacketSize", None),
                )
            self._changed.notify_all()

    def _on_disconnect(
        self, _client: Client, _data: Any, flags: Any, code: Any, _properties: Any
    ) -> None:
        with self._changed:
            if self._seen.end is None:
                if not self._seen.is_connected:
                    self._seen.end = no_connack(
                        self._mqtt, "closed the connection without an answer"
                    )
                else:
                    value = code.value if flags.is_disconnect_packet_from_server else 0x80
                    self._seen.end = disconnected_by_broker(value, self._mqtt, self.client_id, None)
            self._changed.notify_all()

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        received = Message(message.topic, bytes(message.payload), bool(message.retain))
        with self._changed:
            self._seen.messages.append(received)
            self._changed.notify_all()

    def _on_publish(
        self, _client: Client, _data: Any, packet_id: int, code: Any, _properties: Any
    ) -> None:
        with self._changed:
            self._seen.published[packet_id] = code.value
            self._changed.notify_all()

    def _on_subscribe(
        self, _client: Client, _data: Any, packet_id: int, codes: Any, _properties: Any
    ) -> None:
        with self._changed:
            self._seen.subscribed[packet_id] = [each.value for each in codes]
            self._changed.notify_all()
