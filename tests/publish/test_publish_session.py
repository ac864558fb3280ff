"""Publication through mosquitto: connects, reconnects, the queue, the will message."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from asd_monitor.backoff import Backoff
from tests.doubles.broker_sessions import AVAILABILITY, EVENT, SCORE, STATE, errors, put_event, wait
from tests.doubles.mosquitto import PATIENCE_S, Mosquitto, Subscriber

MakeMosquitto = Callable[..., Mosquitto]


def test_availability_and_a_message_of_each_kind_are_published(mosquitto, make_session) -> None:
    with Subscriber(mosquitto.port) as subscriber:
        session = make_session(mosquitto.port)
        subscriber.wait_for(AVAILABILITY, b"online")
        session.publish(SCORE, b"1", qos=0, retain=False)
        put_event(session, b"2")
        session.publish(STATE, b"3", qos=1, retain=True)
        for topic, payload in ((SCORE, b"1"), (EVENT, b"2"), (STATE, b"3")):
            subscriber.wait_for(topic, payload)
        wait(session, lambda s: s.counters.published == 4)
        assert session.connected
    with Subscriber(mosquitto.port) as late:
        late.wait_for(AVAILABILITY, b"online")
        late.wait_for(STATE, b"3")
        assert {m.topic for m in late.messages} == {AVAILABILITY, STATE}


def test_the_first_connection_is_retried_until_the_broker_runs(
    make_mosquitto: MakeMosquitto, make_session, logs
) -> None:
    broker = make_mosquitto()
    retries = threading.Semaphore(0)

    def count_retries() -> float:
        retries.release()
        return 0.5

    session = make_session(broker.port, options={"backoff": Backoff((0.02,), jitter=count_retries)})
    put_event(session, b"raised")
    session.publish(SCORE, b"late", qos=0, retain=False)
    for _ in range(4):
        assert retries.acquire(timeout=PATIENCE_S)
    assert not session.connected
    assert session.counters.dropped == 1
    (error,) = errors(logs)
    assert "no broker listens" in error["reason"]
    assert "mqtt.host" in error["hint"]

    broker.start()
    wait(session, lambda s: s.counters.published == 2)
    assert session.counters.connects == 1
    assert session.counters.reconnects == 0


def test_retained_messages_are_sent_again_to_a_broker_without_persistence(
    mosquitto: Mosquitto, make_session, logs
) -> None:
    session = make_session(mosquitto.port)
    session.publish(STATE, b"normal", qos=1, retain=True)
    session.publish("asd/pump02/state", b"idle", qos=1, retain=True)
    wait(session, lambda s: s.counters.published == 3)

    mosquitto.stop()
    wait(session, lambda s: not s.connected)
    session.publish(STATE, b"warning", qos=1, retain=True)
    session.publish(STATE, b"alarm", qos=1, retain=True)
    put_event(session, b"raised")
    session.publish(SCORE, b"lost", qos=0, retain=False)
    mosquitto.start()
    wait(session, lambda s: s.counters.reconnects == 1 and s.counters.published == 7)

    with Subscriber(mosquitto.port) as subscriber:
        for topic, payload in (
            (AVAILABILITY, b"online"),
            (STATE, b"alarm"),
            ("asd/pump02/state", b"idle"),
        ):
            (message,) = subscriber.wait_for(topic)
            assert (message.payload, message.retain) == (payload, True)
    assert session.counters.dropped == 1
    assert "connection to the broker lost" in [entry["event"] for entry in logs]


def test_events_queued_without_a_connection_are_published_once_and_in_order(
    mosquitto: Mosquitto, make_session
) -> None:
    session = make_session(mosquitto.port)
    wait(session, lambda s: s.connected)
    mosquitto.stop()
    wait(session, lambda s: not s.connected)
    for number in range(100):
        put_event(session, str(number).encode())
    mosquitto.start()
    # the session may reconnect before the subscriber does, which then misses the first events
    with Subscriber(mosquitto.port) as subscriber:
        put_event(session, b"100")
        subscriber.wait_for(EVENT, b"100")
        received = [int(payload) for payload in subscriber.payloads(EVENT)]
    assert received == list(range(101 - len(received), 101))
    wait(session, lambda s: s.counters.published == 103)
    assert session.counters.dropped == 0


def test_the_callback_is_called_after_every_connect(mosquitto: Mosquitto, make_session) -> None:
    calls = threading.Semaphore(0)
    session = make_session(mosquitto.port, options={"on_connect": calls.release})
    assert calls.acquire(timeout=PATIENCE_S)
    mosquitto.stop()
    wait(session, lambda s: not s.connected)
    mosquitto.start()
    assert calls.acquire(timeout=PATIENCE_S)


def test_an_exception_in_the_callback_does_not_end_the_session(
    mosquitto: Mosquitto, make_session, logs
) -> None:
    calls: list[int] = []

    def on_connect() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("of the caller")

    session = make_session(mosquitto.port, options={"on_connect": on_connect})
    put_event(session, b"x")
    wait(session, lambda s: s.counters.published == 2)
    assert calls == [1, 1]
    (error,) = errors(logs)
    assert error["event"] == "unexpected error in the MQTT session; reconnecting"


def test_several_threads_may_publish(mosquitto: Mosquitto, make_session) -> None:
    with Subscriber(mosquitto.port, "asd/+/event") as subscriber:
        session = make_session(mosquitto.port)

        def work(machine: int) -> None:
            for number in range(100):
                put_event(session, str(number).encode(), f"asd/m{machine}/event")

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait(session, lambda s: s.counters.published == 801)
        subscriber.wait_until(lambda messages: len(messages) == 800)
        for machine in range(8):
            received = [int(p) for p in subscriber.payloads(f"asd/m{machine}/event")]
            assert received == list(range(100)), "the order within a topic is lost"


@pytest.mark.slow
def test_the_will_message_of_a_killed_process_is_published(mosquitto: Mosquitto) -> None:
    script = (
        "import sys, threading\n"
        "from asd_monitor.config.settings import Mqtt\n"
        "from asd_monitor.publish.broker_session import BrokerSession\n"
        "BrokerSession(Mqtt(port=int(sys.argv[1])), 'edge').start()\n"
        "threading.Event().wait()\n"
    )
    with Subscriber(mosquitto.port) as subscriber:
        process = subprocess.Popen([sys.executable, "-c", script, str(mosquitto.port)])
        try:
            subscriber.wait_for(AVAILABILITY, b"online")
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(PATIENCE_S)
        subscriber.wait_for(AVAILABILITY, b"offline")
    with Subscriber(mosquitto.port) as late:
        (message,) = late.wait_for(AVAILABILITY)
        assert (message.payload, message.retain) == (b"offline", True)


@pytest.mark.parametrize(
    ("topic", "payload", "qos"),
    [
        ("", b"", 0),
        ("asd/+/state", b"", 1),
        ("asd/#", b"", 1),
        (STATE, b"", 2),
        (EVENT, bytes(2_000_000), 1),
    ],
)
def test_invalid_messages_raise(make_session, topic, payload, qos) -> None:
    with pytest.raises(ValueError, match=r"topic|QoS|bytes"):
        make_session(1, start=False).publish(topic, payload, qos=qos, retain=False)
