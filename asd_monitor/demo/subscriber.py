"""An MQTT subscriber to all topics of the daemon, with a log of the messages."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from asd_monitor.errors import OperationError
from asd_monitor.publish.messages import Message, read
from asd_monitor.wording import rfc3339

_ANSWER_TIMEOUT_S = 10.0


class Subscriber:
    """Queues the messages below ``asd/``; a context manager.

    Each message is also written to `log` as a JSON line: arrival time, topic, QoS, retain flag,
    payload.  Raises OperationError on entry where the broker does not answer.
    """

    def __init__(self, host: str, port: int, log: Path) -> None:
        self.messages: queue.Queue[Message] = queue.Queue()
        self._log = log.open("w", encoding="utf-8")
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, "demo-subscriber", protocol=MQTTv311)
        self._client.on_connect = self._connected
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._message
        self._address = (host, port)

    def __enter__(self) -> Self:
        self._client.connect(*self._address)
        self._client.loop_start()
        if not self._subscribed.wait(_ANSWER_TIMEOUT_S):
            self._disconnect()
            raise OperationError(
                "the demonstration's broker does not answer: run the command again"
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._disconnect()

    def _disconnect(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._log.close()

    def _connected(self, client: Client, *_: Any) -> None:
        client.subscribe("asd/#", qos=1)

    def _message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        payload = message.payload.decode(errors="replace")
        try:
            document = json.loads(payload)
        except ValueError:  # the payload of availability is plain text
            document = payload
        line = {
            "arrived": rfc3339(datetime.now(UTC)),
            "topic": message.topic,
            "qos": message.qos,
            "retain": message.retain,
            "payload": document,
        }
        self._log.write(json.dumps(line, ensure_ascii=False) + "\n")
        # availability is no JSON message: it is in the log only
        with contextlib.suppress(ValueError):
            self.messages.put(read(bytes(message.payload)))
