"""A session with the broker that keeps all messages in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any

from asd_monitor.publish.event_queues import StoredEvent
from asd_monitor.publish.inbox import Received
from asd_monitor.publish.received_commands import ReceivedCommand, command_filter
from asd_monitor.publish.shared_send_queue import Counters
from asd_monitor.publish.topics import Topics


class MemoryBroker:
    """Stands in for `BrokerSession`; every message is delivered at once."""

    def __init__(self, box: str = "testbox") -> None:
        self.topics = Topics("asd", box)
        self.counters = Counters()
        self.connected = True
        self.turns = 0
        self.is_pausing = True
        self.pending = 0
        self.refused: dict[str, str] = {}
        """Topics of which messages are taken and not delivered, and why."""
        self.more_events: Callable[[], bool] = lambda: False
        self.is_configured: Callable[[str], bool] = lambda _: True
        self.on_retained: Callable[[str, bytes], None] = lambda _topic, _payload: None
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.retained: dict[str, dict[str, Any]] = {}
        self.stopped = False
        self.topics_read: frozenset[str] = frozenset()
        self.command_filters: frozenset[str] = frozenset()
        self.answers: list[tuple[str, dict[str, Any], bytes | None]] = []
        """Topic, message and correlation data of each answer."""

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        message = self._content(topic, payload)
        self.sent.append((topic, message))
        if retain:
            self.retained[topic] = message
            if message is None:
                del self.retained[topic]
            self.on_retained(topic, payload)
        elif topic not in self.refused:
            self.receive(topic, payload)

    def _content(self, topic: str, payload: bytes) -> Any:
        """Return a message: an object, or the bytes of a picture; None: it is removed."""
        if not payload:
            return None
        return payload if topic.endswith("/picture") else json.loads(payload)

    def put_events(self, events: Collection[StoredEvent]) -> None:
        for event in events:
            self.publish(event.topic, event.render(), qos=1, retain=False)
            event.settle(None)

    @property
    def refused_topics(self) -> dict[str, str]:
        """What is refused on topics of the box and of configured machines."""
        machines = {topic: self.topics.machine(topic) for topic in self.refused}
        return {
            topic: reason
            for topic, reason in self.refused.items()
            if (machine := machines[topic]) is None or self.is_configured(machine)
        }

    def start(self) -> None:
        """Do nothing: it is always connected."""

    def stop(self, timeout_s: float) -> None:
        self.stopped = True

    def subscribe(self, topics: Collection[str], receive: Callable[[Received], None]) -> None:
        added = frozenset(topics) - self.topics_read
        self.topics_read = frozenset(topics)
        self._receive = receive
        for topic in added & self.retained.keys():
            self.receive(topic, json.dumps(self.retained[topic]).encode(), retained=True)

    def read_commands(
        self, filters: Collection[str], receive: Callable[[ReceivedCommand], None]
    ) -> None:
        self.command_filters = frozenset(filters)
        self._receive_command = receive

    def command(self, topic: str, payload: bytes = b"", **received: Any) -> None:
        """Deliver a command on a topic below the prefix where the daemon reads it."""
        command = ReceivedCommand(f"asd/{topic}", payload, **{"retained": False, **received})
        if command_filter(command.topic) in self.command_filters:
            self._receive_command(command)

    def answer(self, topic: str, payload: bytes, correlation: bytes | None) -> None:
        self.answers.append((topic, json.loads(payload), correlation))

    def receive(self, topic: str, payload: bytes, *, retained: bool = False) -> None:
        """Deliver a message to the daemon where it reads the topic."""
        if topic in self.topics_read:
            self._receive(Received(topic, payload, retained))

    def wait_for(self, condition: Any, timeout_s: float) -> bool:
        return bool(condition(self))

    def messages(self, topic: str) -> list[dict[str, Any]]:
        """Return the messages on a topic below the prefix, in order."""
        return [message for where, message in self.sent if where == f"asd/{topic}"]

    def state(self, machine: str) -> dict[str, Any]:
        """Return the retained state of a machine; empty before the first."""
        return self.retained.get(f"asd/{machine}/state", {})

    def alarm(self, machine: str) -> dict[str, Any]:
        """Return the retained alarm condition of a machine; empty before the first."""
        return self.retained.get(f"asd/{machine}/alarm", {})

    def transitions(self, machine: str) -> list[tuple[str, str]]:
        """Return (from, to) of the events of a machine, in order."""
        return [(m["from"], m["to"]) for m in self.messages(f"{machine}/event")]
