"""Fixtures of the tests of the session with the broker."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from random import random
from typing import Any, Protocol

import pytest
from structlog.testing import capture_logs

from asd_monitor.backoff import Backoff, doubling
from asd_monitor.config.settings import Mqtt
from asd_monitor.publish.broker_session import BrokerSession


class MakeSession(Protocol):
    """Creates a session of the box ``edge`` with a broker on loopback, and starts it.

    ``options`` are keyword arguments of `BrokerSession`, ``settings`` those of `Mqtt`.
    """

    def __call__(
        self,
        port: int,
        *,
        start: bool = True,
        options: dict[str, Any] | None = None,
        **settings: Any,
    ) -> BrokerSession: ...


@pytest.fixture
def make_session() -> Iterator[MakeSession]:
    """Return a function that creates sessions; all are stopped at the end of the test."""
    sessions: list[BrokerSession] = []

    def make(
        port: int, *, start: bool = True, options: dict[str, Any] | None = None, **settings: Any
    ) -> BrokerSession:
        backoff = Backoff(doubling(0.02, 0.2), minimum_s=0.01, reset_after_s=30.0, jitter=random)
        mqtt = Mqtt(port=port, **settings)
        given = {"backoff": backoff, "takeover_pauses": Backoff((0.3,), jitter=random)}
        session = BrokerSession(mqtt, "edge", **{**given, **(options or {})})
        sessions.append(session)
        if start:
            session.start()
        return session

    yield make
    for session in sessions:
        session.stop(1.0)


@pytest.fixture
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    """Return the log entries of the test."""
    with capture_logs() as captured:
        yield captured
