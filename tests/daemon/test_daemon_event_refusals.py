"""Events that the broker refuses: set aside, tried again, and not in the way of others."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from asd_monitor.journal.journal_file import FILE_NAME
from tests.doubles.broker_sessions import wait
from tests.doubles.fake_broker import CONNACK_5, PUBLISH, ClientConnection, FakeBroker
from tests.doubles.mosquitto import PATIENCE_S
from tests.doubles.published_journal import Delivery


class RefusingBroker(FakeBroker):
    """A broker that answers the events for which ``code`` returns a reason code with it."""

    def __init__(self, code: Callable[[dict[str, Any]], int | None]) -> None:
        super().__init__(self._serve_client)
        self._code = code
        self.accepted: list[dict[str, Any]] = []

    def _serve_client(self, client: ClientConnection) -> None:
        client.sock.sendall(CONNACK_5)
        while (packet := client.read()) is not None:
            if packet[0] >> 4 != PUBLISH:
                continue
            packet_id = client.record_publish(*packet)
            assert packet_id is not None
            _, schema, text = packet[1].partition(b'{"schema"')
            message = json.loads(schema + text) if schema else {}
            code = self._code(message) if message else None
            if code is None:
                self.accepted += [message] if message else []
                client.acknowledge(packet_id)
            else:
                client.sock.sendall(bytes([0x40, 3]) + packet_id.to_bytes(2) + bytes([code]))


@pytest.mark.parametrize("code", [0x95, 0x99])
def test_an_event_that_is_not_accepted_is_set_aside_and_reported(tmp_path: Path, code: int) -> None:
    refuse = lambda message: code if message.get("why") == "bad" else None  # noqa: E731
    broker = RefusingBroker(refuse)
    with capture_logs() as logs, broker, Delivery(tmp_path, broker.port) as delivery:
        for why in ("one", "bad", "bad", "two"):
            delivery.record(why=why)
        delivery.record("pump02", why="three")
        wait(delivery.session, lambda s: s.counters.published == 4)
        delivery.until_published()
        delivery.journal.maintain()
        assert delivery.journal.outbox.figures.set_aside == 2
        assert delivery.session.counters.refused_events == 2
    accepted = [m["why"] for m in broker.accepted if m["machine"] == "fan01"]
    assert accepted == ["one", "two"]
    reported = [e for e in logs if "set aside" in e["event"] and e["log_level"] == "error"]
    assert [(e["machine"], e["seq"]) for e in reported] == [("fan01", 2)]
    database = sqlite3.connect(tmp_path / FILE_NAME)
    kept = database.execute("SELECT seq FROM outbox WHERE refusal NOT NULL ORDER BY seq").fetchall()
    database.close()
    assert kept == [(2,), (3,)]


@pytest.mark.parametrize("restarts", [False, True])
def test_events_that_were_set_aside_are_published_once_the_broker_is_corrected(
    tmp_path: Path, restarts: bool
) -> None:
    corrected = threading.Event()
    broker = RefusingBroker(lambda _: None if corrected.is_set() else 0x95)
    with capture_logs() as logs, broker:
        with Delivery(tmp_path, broker.port) as delivery:
            delivery.record(events=3)
            wait(delivery.session, lambda s: s.counters.refused_events == 3)
            delivery.journal.maintain()
            assert delivery.journal.outbox.figures.set_aside == 3
            if not restarts:
                corrected.set()
                begun_s = delivery.journal.clock.now_s()
                delivery.journal.clock.now_s = lambda: begun_s + 700.0
                until_tried_again(delivery, broker, 3)
        if restarts:
            corrected.set()
            with Delivery(tmp_path, broker.port) as delivery:
                until_tried_again(delivery, broker, 3)
    assert [m["seq"] for m in broker.accepted] == [1, 2, 3]
    assert {m["historical"] for m in broker.accepted} == {True}
    (hint,) = {entry["hint"] for entry in logs if "set aside" in entry["event"]}
    assert "limits" in hint


def until_tried_again(delivery: Delivery, broker: RefusingBroker, events: int) -> None:
    """Maintain the journal as the daemon does each second, until so many are accepted."""
    for number in range(events):
        delivery.journal.maintain()
        delivery.events.wake()
        wait(delivery.session, lambda _: len(broker.accepted) > number)  # noqa: B023 - runs here
        wait(delivery.session, lambda s: s.counters.published > number + 1)  # noqa: B023
        delivery.journal.maintain()
    assert delivery.journal.outbox.figures.set_aside == 0


@pytest.mark.parametrize("code", [0x80, 0x87, 0x97])
def test_a_refused_machine_does_not_hold_up_another_and_loses_nothing(
    tmp_path: Path, code: int
) -> None:
    open_gate = threading.Event()

    def refuse(message: dict[str, Any]) -> int | None:
        return None if open_gate.is_set() or message["machine"] != "fan01" else code

    started_s, fast = time.monotonic(), 20
    clock = lambda: started_s + fast * (time.monotonic() - started_s)  # noqa: E731
    limit_s = PATIENCE_S * fast
    broker = RefusingBroker(refuse)
    options = {"clock": clock, "acknowledgement_limit_s": limit_s}
    with broker, Delivery(tmp_path, broker.port, **options) as delivery:
        delivery.record(events=100)
        delivery.record("pump02", events=100)
        wait(delivery.session, lambda s: s.counters.published >= 101)
        assert delivery.journal.outbox.figures.waiting == 100
        wait(delivery.session, lambda s: s.counters.retried_events > 1)
        open_gate.set()
        wait(delivery.session, lambda s: s.counters.published >= 201)
    for machine in ("fan01", "pump02"):
        numbers = [m["seq"] for m in broker.accepted if m["machine"] == machine]
        assert numbers == list(range(1, 101))
