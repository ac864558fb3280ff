"""What the broker refuses, and settings that cannot work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from paho.mqtt.client import MQTTv5, MQTTv311

from asd_monitor.config.settings import Mqtt
from asd_monitor.errors import UsageError
from asd_monitor.publish.broker_session import BrokerSession
from tests.doubles.broker_sessions import EVENT, STATE, errors, wait
from tests.doubles.mosquitto import Mosquitto, Subscriber

MakeMosquitto = Callable[..., Mosquitto]


def test_a_wrong_password_is_logged_once_and_the_corrected_file_is_used(
    make_mosquitto: MakeMosquitto, make_session, logs, tmp_path: Path
) -> None:
    broker = make_mosquitto(users={"edge": "right"}).start()
    secret = tmp_path / "password"
    secret.write_text("wrong\n")
    session = make_session(broker.port, username="edge", password_file=secret)
    broker.wait_for_log("not authorised", times=4)
    (error,) = errors(logs)
    assert error["reason"] in {"Not authorized", "Bad user name or password"}
    assert "mqtt.password_file" in error["hint"]
    assert "user edge" in error["hint"]
    assert "wrong" not in str(error), "the password is logged"

    secret.write_text("right\n")
    wait(session, lambda s: s.connected)


def test_a_topic_without_permission_does_not_affect_the_others(
    make_mosquitto: MakeMosquitto, make_session, logs
) -> None:
    broker = make_mosquitto(
        acl="topic readwrite asd/box/#\ntopic readwrite asd/fan01/event\ntopic read #\n"
    ).start()
    with Subscriber(broker.port) as subscriber:
        session = make_session(broker.port)
        for number in range(3):
            session.publish(STATE, b"normal", qos=1, retain=True)
            session.publish(EVENT, str(number).encode(), qos=1, retain=False)
            wait(session, lambda s: s.counters.refused == number + 1)  # noqa: B023 - runs here
        subscriber.wait_for(EVENT, b"2")
        wait(session, lambda s: s.counters.published == 4)
    assert session.counters.reconnects == 0
    (error,) = errors(logs)
    assert error["topic"] == STATE
    assert error["reason"] == "Not authorized"
    assert STATE in error["hint"]


def test_a_message_above_the_maximum_packet_size_does_not_end_the_connection(
    make_mosquitto: MakeMosquitto, make_session, logs
) -> None:
    broker = make_mosquitto(extra="max_packet_size 500").start()
    session = make_session(broker.port)
    session.publish(EVENT, b"x" * 1000, qos=1, retain=False)
    session.publish(EVENT, b"x", qos=1, retain=False)
    wait(session, lambda s: s.counters.refused == 1 and s.counters.published == 2)
    assert session.counters.reconnects == 0
    (error,) = errors(logs)
    assert error["reason"] == "Packet too large"


@pytest.mark.parametrize("version", [MQTTv311, MQTTv5])
def test_two_sessions_with_one_client_id_are_logged_as_an_error(
    mosquitto: Mosquitto, make_session, logs, version
) -> None:
    """mosquitto 2.0.11 sends no DISCONNECT for a takeover; later versions do so in MQTT 5."""
    sessions = [make_session(mosquitto.port, options={"versions": (version,)}) for _ in range(2)]
    for session in sessions:
        wait(session, lambda s: s.counters.reconnects >= 5)
    for session in sessions:
        session.stop()
    repeated = [e for e in logs if e["event"].startswith("the broker repeatedly closes")]
    taken_over = [e for e in logs if e["event"] == "MQTT session taken over by another client"]
    assert taken_over or 1 <= len(repeated) <= 2, "not logged once by each session"
    for entry in taken_over + repeated:
        assert entry["log_level"] == "error"
        assert "asd-edge" in str(entry)
        assert "box" in entry["hint"]


@pytest.mark.parametrize(
    ("box", "settings", "message"),
    [
        ("a/b", {}, "'a/b' cannot be an id"),
        ("edge", {"password_file": "/nowhere/at/all", "username": "u"}, "/nowhere"),
        ("edge", {"password_file": "/dev/null", "username": "u"}, "empty"),
    ],
)
def test_settings_that_cannot_work_raise(box, settings, message) -> None:
    with pytest.raises(UsageError, match=message):
        BrokerSession(Mqtt(**settings), box)
