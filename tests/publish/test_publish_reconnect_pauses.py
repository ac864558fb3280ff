"""The pauses before the next attempt to connect."""

from __future__ import annotations

import itertools
import time

import pytest

from asd_monitor.backoff import Backoff
from asd_monitor.publish.reconnect_pauses import pauses_after_takeovers
from tests.doubles.fake_broker import CONNACK_5, DISCONNECT_TAKEN_OVER, ClientConnection, FakeBroker


def test_a_takeover_is_followed_by_growing_pauses(make_session, logs, monkeypatch) -> None:
    def behave(client: ClientConnection) -> None:
        client.sock.sendall(CONNACK_5)
        client.read()
        client.sock.sendall(DISCONNECT_TAKEN_OVER)
        client.serve()

    with FakeBroker(behave) as broker:
        session = make_session(broker.port, options={"takeover_pauses": None})
        # the pauses are waited for: here each is over at once
        monkeypatch.setattr(session._stop, "wait", lambda _: None)
        broker.wait_until(lambda: len(broker.clients) >= 6)
        session.stop(1.0)
    entries = [e for e in logs if e["event"] == "MQTT session taken over by another client"]
    pauses_s = [float(entry["next_try_s"]) for entry in entries]
    assert 10.0 <= pauses_s[0] <= 15.0, "alarms are to be published within 30 s"
    assert 20.0 <= pauses_s[1] <= 30.0
    assert all(40.0 <= pause_s <= 60.0 for pause_s in pauses_s[2:])
    assert "box:" in entries[0]["hint"]


def test_two_clients_of_one_id_take_over_from_each_other_at_most_once_in_40_s() -> None:
    """Of two sessions each connects after its pause, which ends the connection of the other."""
    pauses = [pauses_after_takeovers(), pauses_after_takeovers()]
    connected_s, now_s, client = [0.0, 0.0], 0.0, 0
    takeovers: list[float] = []
    for _ in range(200):
        other = 1 - client
        pause_s = pauses[other].delay_s(now_s - connected_s[other])
        takeovers.append(now_s)
        now_s += pause_s
        client, connected_s[other] = other, now_s
    gaps = [later - earlier for earlier, later in itertools.pairwise(takeovers)]
    assert all(gap >= 40.0 for gap in gaps[4:])


@pytest.mark.parametrize("last_packet", [b"", DISCONNECT_TAKEN_OVER])
def test_each_reconnect_waits_for_the_delay(make_session, last_packet) -> None:
    times: list[float] = []

    def behave(client: ClientConnection) -> None:
        times.append(time.monotonic())
        client.sock.sendall(CONNACK_5)
        client.read()
        client.sock.sendall(last_packet)

    with FakeBroker(behave) as broker:
        options = {"backoff": Backoff((0.1,)), "takeover_pauses": Backoff((0.1,))}
        session = make_session(broker.port, options=options)
        broker.wait_until(lambda: len(broker.clients) >= 4)
        session.stop(1.0)
    assert all(later - earlier >= 0.1 for earlier, later in itertools.pairwise(times[:4]))
