"""Subscribes to everything, as anybody's own program would, and keeps a log of it."""

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
from asd_monitor.publish.messages import Message, read, time_text

_ANSWER_WITHIN_S = 10.0


class Observer:
    """Collects the messages below ``asd/`` while its ``with`` lasts.

    Each message also becomes a line of `log`: arrival time, topic, QoS, retained, payload.
    Entering raises OperationError where the broker does not answer.
    """

    def __init__(self, host: str, port: int, log: Path) -> None:
        self.arrived: queue.Queue[Message] = queue.Queue()
        self._log = log.open("w", encoding="utf-8")
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, "demo-observer", protocol=MQTTv311)
        self._client.on_connect = self._connected
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._message
        self._address = (host, port)

    def __enter__(self) -> Self:
        self._client.connect(*self._address)
        self._client.loop_start()
        if not self._subscribed.wait(_ANSWER_WITHIN_S):
            self._leave()
            raise OperationError("the demonstration's broker does not answer; try again")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._log.close()

    def _connected(self, client: Client, *_: Any) -> None:
        client.subscribe("asd/#", qos=1)

    def _message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        payload = message.payload.decode(errors="replace")
        try:
            document = json.loads(payload)
        except ValueError:  # availability is plain text
            document = payload
        line = {
            "arrived": time_text(datetime.now(UTC)),
            "topic": message.topic,
            "qos": message.qos,
            "retain": message.retain,
            "payload": document,
        }
        self._log.write(json.dumps(line, ensure_ascii=False) + "\n")
        # what is no message of ours is in the log, and that is all there is to do with it
        with contextlib.suppress(ValueError):
            self.arrived.put(read(bytes(message.payload)))
