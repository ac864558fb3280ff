"""The check of the broker: a message that it has to return, and the topics that it refuses."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import Mapping

from asd_monitor.daemon.broker_interface import Broker
from asd_monitor.daemon.topic_readers import Subscribes
from asd_monitor.publish.inbox import Received
from asd_monitor.self_test.checks import Check, Result, not_possible
from asd_monitor.self_test.obstacle import Obstacle

LIMIT_S = 20.0
"""Within which the message has to come back."""
REPEAT_S = 2.0
"""Between two messages: one sent before the subscription is accepted is not returned."""
_NAMED_TOPICS = 3
_RECONNECT = "restore the connection to the broker; the log of the daemon has the cause"


class BrokerCheck:
    """Publishes a message to a topic of its own and waits for it.

    Args:
        broker: The session with the broker.
        reader: Reads the topic while the message is awaited.
        limit_s: Time within which the message has to come back.

    """

    def __init__(self, broker: Broker, reader: Subscribes, *, limit_s: float = LIMIT_S) -> None:
        self._broker = broker
        self._reader = reader
        self._limit_s = limit_s

    async def run(self) -> dict[str, Check]:
        """Return the result of each check, after the time limit at most."""
        return {"round_trip": await self._round_trip(), "publishing": self.publishing()}

    def publishing(self) -> Check:
        """Check that the broker accepts the messages on all topics, events among them."""
        refused = self._broker.refused_topics
        if not refused:
            return Check(Result.PASSED, numbers={"refused_topics": 0})
        return Check(
            Result.FAILED,
            f"the broker refuses messages: {_listed(refused)}",
            "correct the access rules or limits of the broker; its log names the rule",
            {"refused_topics": len(refused)},
        )

    async def _round_trip(self) -> Check:
        if not self._broker.connected:
            return not_possible(Obstacle("there is no connection to the broker", _RECONNECT))
        loop = asyncio.get_running_loop()
        topic, token = self._broker.topics.self_test_echo, secrets.token_hex(16)
        returned = asyncio.Event()

        def receive(received: Received) -> None:
            if received.payload is not None and token.encode() in received.payload:
                with contextlib.suppress(RuntimeError):  # the event loop is closed
                    loop.call_soon_threadsafe(returned.set)

        begun_s = loop.time()
        message = json.dumps({"token": token}).encode()
        self._reader.subscribe((topic,), receive)
        try:
            while not returned.is_set():
                left_s = begun_s + self._limit_s - loop.time()
                if left_s <= 0:
                    break
                self._broker.publish(topic, message, qos=0, retain=False)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(returned.wait(), min(REPEAT_S, left_s))
        finally:
            self._reader.subscribe((), receive)
        if returned.is_set():
            return Check(Result.PASSED, numbers={"round_trip_s": loop.time() - begun_s})
        if not self._broker.connected:
            return not_possible(Obstacle("the connection to the broker was lost", _RECONNECT))
        return Check(
            Result.FAILED,
            f"the broker has not returned a message on {topic} within {self._limit_s:g} s",
            f"let this client write and read {topic} (access rules of the broker), and check that "
            "the broker delivers messages",
        )


def _listed(refused: Mapping[str, str]) -> str:
    parts = [f"{topic} ({reason})" for topic, reason in list(refused.items())[:_NAMED_TOPICS]]
    more = len(refused) - len(parts)
    return ", ".join(parts) + (f" and {more} more" if more > 0 else "")
