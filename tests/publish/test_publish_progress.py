"""The progress of the session's thread, by which a session that hangs is recognised."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from asd_monitor.backoff import Backoff
from asd_monitor.config.settings import Mqtt
from asd_monitor.publish.broker_connection import Connection
from asd_monitor.publish.broker_session import BrokerSession
from tests.doubles.broker_sessions import wait
from tests.doubles.mosquitto import PATIENCE_S, Mosquitto

NOTHING_LISTENS = 1  # a port


def until(condition: Any) -> None:
    """Wait until a condition holds."""
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.005)


def test_an_idle_connection_advances(mosquitto: Mosquitto, make_session) -> None:
    session = make_session(mosquitto.port, options={"keep_alive_s": 1})
    wait(session, lambda s: s.connected and s.pending == 0)
    before = session.turns
    until(lambda: session.turns > before + 2)
    assert not session.is_pausing


def test_a_session_without_a_broker_pauses_and_advances() -> None:
    session = BrokerSession(Mqtt(port=NOTHING_LISTENS), "edge", backoff=Backoff((0.05,)))
    session.start()
    until(lambda: session.is_pausing)
    before = session.turns
    until(lambda: session.turns > before + 2)
    session.stop(1.0)


def test_a_connection_that_hangs_does_not_advance() -> None:
    gate = threading.Event()

    class HangingConnection(Connection):
        def open(self, *_: Any) -> Any:
            gate.wait()
            return super().open(*_)

    session = BrokerSession(Mqtt(port=NOTHING_LISTENS), "edge", connection_type=HangingConnection)
    session.start()
    until(lambda: session.turns == 1)
    time.sleep(0.2)
    assert session.turns == 1
    assert not session.is_pausing
    gate.set()
    session.stop(1.0)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_has_ended_does_not_advance() -> None:
    class EndingConnection(Connection):
        def open(self, *_: Any) -> Any:
            raise SystemExit

    session = BrokerSession(Mqtt(port=NOTHING_LISTENS), "edge", connection_type=EndingConnection)
    session.start()
    until(lambda: session.closed)
    session.stop(1.0)  # waits for the thread
    assert (session.turns, session.is_pausing) == (1, False)


def test_failures_of_the_session_itself_are_counted() -> None:
    class FailingConnection(Connection):
        def open(self, *_: Any) -> Any:
            raise RuntimeError("a fault")

    session = BrokerSession(
        Mqtt(port=NOTHING_LISTENS),
        "edge",
        backoff=Backoff((0.01,)),
        connection_type=FailingConnection,
    )
    session.start()
    until(lambda: session.counters.defects >= 2)
    session.stop(1.0)
