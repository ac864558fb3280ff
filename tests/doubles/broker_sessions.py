"""Topics and waits of the tests of the session with the broker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from asd_monitor.publish.broker_session import BrokerSession
from asd_monitor.publish.event_queues import StoredEvent
from tests.doubles.mosquitto import PATIENCE_S

AVAILABILITY = "asd/box/edge/availability"
STATE = "asd/fan01/state"
EVENT = "asd/fan01/event"
SCORE = "asd/fan01/score"


def wait(session: BrokerSession, condition: Callable[[BrokerSession], bool]) -> None:
    """Wait until a condition on the session holds."""
    assert session.wait_for(condition, PATIENCE_S), session.counters


def put_event(
    session: BrokerSession,
    payload: bytes,
    topic: str = EVENT,
    settled: Callable[[str | None], None] = lambda _: None,
) -> None:
    """Publish an event of which nothing is stored; ``settled`` gets the outcome."""
    session.put_events([StoredEvent(topic, lambda: payload, settled)])


def errors(logs: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the log entries of level error."""
    return [entry for entry in logs if entry["log_level"] == "error"]
