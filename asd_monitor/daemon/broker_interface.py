"""What the daemon uses of the session with the MQTT broker."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from asd_monitor.publish.event_queues import StoredEvent
from asd_monitor.publish.inbox import Received
from asd_monitor.publish.received_commands import ReceivedCommand
from asd_monitor.publish.shared_send_queue import Counters
from asd_monitor.publish.topics import Topics


class Broker(Protocol):
    """A session with the broker; `asd_monitor.publish.broker_session.BrokerSession` is one."""

    topics: Topics
    more_events: Callable[[], bool]
    """Whether events are stored that will be put soon."""
    is_configured: Callable[[str], bool]
    """Whether there is a machine of this id: refusals of others are not reported."""
    on_retained: Callable[[str, bytes], None]
    """Called with topic and payload of each retained message, in any thread."""

    @property
    def turns(self) -> int:
        """How often the session's thread has sent or waited."""

    @property
    def is_pausing(self) -> bool:
        """Whether the thread waits before another attempt to connect."""

    @property
    def counters(self) -> Counters:
        """Messages published, dropped and refused."""

    @property
    def connected(self) -> bool:
        """Whether the session is connected to the broker."""

    @property
    def refused_topics(self) -> Mapping[str, str]:
        """Why the broker refused the newest message on a topic, by topic."""

    @property
    def pending(self) -> int:
        """Messages that can be sent, or are not acknowledged."""

    def start(self) -> None:
        """Start to connect; return at once."""

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """Queue a message; return at once."""

    def answer(self, topic: str, payload: bytes, correlation: bytes | None) -> None:
        """Publish the answer to a command with QoS 1; return at once."""

    def put_events(self, events: Collection[StoredEvent]) -> None:
        """Publish events, in order for each topic, until each is settled; return at once."""

    def subscribe(self, topics: Collection[str], receive: Callable[[Received], None]) -> None:
        """Read these topics and no other; ``receive`` is called in any thread."""

    def read_commands(
        self, filters: Collection[str], receive: Callable[[ReceivedCommand], None]
    ) -> None:
        """Read the commands of these filters and no other; ``receive`` is called in any thread."""

    def wait_for(self, condition: Callable[[Any], bool], timeout_s: float) -> bool:
        """Block until a condition of the session holds; return False at the timeout."""

    def stop(self, timeout_s: float) -> None:
        """Publish the pending messages and disconnect; block until then."""
