"""Whether the retained messages of a machine that is not monitored here are those of this box.

A machine may be monitored by another box meanwhile, under the same id and so on the same topics.
The `box` of its retained state says which box has published there last.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from asd_monitor.daemon.broker_interface import Broker
from asd_monitor.daemon.topic_readers import Subscribes
from asd_monitor.publish.inbox import Received

log = structlog.get_logger()


@dataclass(slots=True)
class _Awaited:
    """A machine whose retained state is awaited."""

    machine: str
    receive: Callable[[str], None]
    timer: asyncio.TimerHandle | None = None  # None: there is no connection


class RetainedStates:
    """Reads the retained states of machines, each until it has come.

    There is one subscription for each machine that is awaited, and it is given up some time after
    a connection.  All methods are called in the event loop.

    Args:
        broker: The session with the broker.
        reader: Reads the topics.
        limit_s: Time after a connection within which the broker sends what it has retained.

    """

    def __init__(self, broker: Broker, reader: Subscribes, *, limit_s: float) -> None:
        self._broker = broker
        self._reader = reader
        self._limit_s = limit_s
        self._awaited: dict[str, _Awaited] = {}  # by topic

    def request(self, machine: str, receive: Callable[[str], None]) -> None:
        """Call ``receive`` with the retained state of a machine, once, where it is of this box.

        A machine that is awaited already stays so, and its new ``receive`` is called.  Raises
        `UsageError` for an invalid id.
        """
        topic = self._broker.topics.state(machine)
        awaited = self._awaited.pop(topic, None)
        if awaited is not None and awaited.timer is not None:
            awaited.timer.cancel()
        self._awaited[topic] = awaited = _Awaited(machine, receive)
        if self._broker.connected:
            self._limit(topic, awaited)
        self._subscribe()

    def connected(self) -> None:
        """Begin the time limit of each machine that is awaited: there is a new connection."""
        for topic, awaited in self._awaited.items():
            self._limit(topic, awaited)

    def _limit(self, topic: str, awaited: _Awaited) -> None:
        if awaited.timer is not None:
            awaited.timer.cancel()
        loop = asyncio.get_running_loop()
        awaited.timer = loop.call_later(self._limit_s, self._give_up, topic)

    def _give_up(self, topic: str) -> None:
        if not self._broker.connected:  # the next connection begins another limit
            self._awaited[topic].timer = None
            return
        log.info(
            "the broker has no retained state of a machine that is not configured: nothing is"
            " published of it",
            machine=self._awaited.pop(topic).machine,
            hint=f"where there is one, let this client read {topic} (access rules of the broker)",
        )
        self._subscribe()

    def _subscribe(self) -> None:
        loop = asyncio.get_running_loop()

        def receive(received: Received) -> None:
            with contextlib.suppress(RuntimeError):  # the event loop is closed
                loop.call_soon_threadsafe(self._take, received)

        self._reader.subscribe(self._awaited.keys(), receive)

    def _take(self, received: Received) -> None:
        awaited = self._awaited.pop(received.topic, None)
        if awaited is None:
            return
        if awaited.timer is not None:
            awaited.timer.cancel()
        self._subscribe()
        box, state = _box_and_state(received.payload)
        if box == self._broker.topics.box and state is not None:
            awaited.receive(state)
            return
        log.info(
            "the retained state of a machine that is not configured is not of this box: nothing is"
            " published of it",
            machine=awaited.machine,
            box=box,
        )


def _box_and_state(payload: bytes | None) -> tuple[str | None, str | None]:
    """Return what a message of a state says; None where it says nothing."""
    try:
        message = json.loads(payload or b"null")
    except (ValueError, RecursionError):
        return None, None
    if not isinstance(message, dict):
        return None, None
    box, state = message.get("box"), message.get("state")
    return (box if isinstance(box, str) else None, state if isinstance(state, str) else None)
