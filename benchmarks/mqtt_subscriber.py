"""A client that passes the messages on a topic filter to a function."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from asd_monitor.errors import OperationError

PATIENCE_S = 30.0


class MqttSubscriber:
    """Subscribes to a broker on loopback within a ``with``."""

    def __init__(
        self,
        port: int,
        topics: str,
        on_message: Callable[[MQTTMessage], None],
        client: Client | None = None,
    ) -> None:
        """Call ``on_message`` in the client's thread; ``client`` may have credentials set."""
        self._port = port
        self._subscribed = threading.Event()
        self._client = client or Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe(topics, qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _client, _data, message: on_message(message)

    def __enter__(self) -> Self:
        self._client.connect("localhost", self._port)
        self._client.loop_start()
        if not self._subscribed.wait(PATIENCE_S):
            raise OperationError(f"the broker on port {self._port} accepts no subscription")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()
