"""The session against a real mosquitto."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from random import random
from typing import Any

import pytest
from paho.mqtt.client import MQTTv5, MQTTv311
from structlog.testing import capture_logs

from asd_monitor.backoff import Backoff, doubling
from asd_monitor.errors import UsageError
from asd_monitor.publish.broker_settings import MqttSettings, TlsSettings
from asd_monitor.publish.session import Session
from tests.doubles.mosquitto import PATIENCE_S, Mosquitto, Subscriber, make_certificates

AVAILABILITY = "asd/box/edge/availability"
STATE = "asd/fan01/state"
EVENT = "asd/fan01/event"
SCORE = "asd/fan01/score"

MakeMosquitto = Callable[..., Mosquitto]


def quick() -> Backoff:
    return Backoff(doubling(0.02, 0.2), minimum_s=0.01, jitter=random)


@pytest.fixture
def make_session() -> Iterator[Callable[..., Session]]:
    """Return a function that makes a session for a port; all are stopped at the end."""
    made: list[Session] = []

    def make(
        port: int, *, start: bool = True, options: dict[str, Any] | None = None, **settings: Any
    ) -> Session:
        options = {"backoff": quick(), **(options or {})}
        session = Session(MqttSettings(box="edge", port=port, **settings), **options)
        made.append(session)
        if start:
            session.start()
        return session

    yield make
    for session in made:
        session.stop()


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    with capture_logs() as captured:
        yield captured


def wait(session: Session, condition: Callable[[Session], bool]) -> None:
    assert session.wait_for(condition, PATIENCE_S), session.counters


def errors(logs: list[Any]) -> list[str]:
    return [entry["event"] for entry in logs if entry["log_level"] == "error"]


def test_online_stands_and_a_message_of_each_kind_arrives(mosquitto, make_session) -> None:
    with Subscriber(mosquitto.port) as listener:
        session = make_session(mosquitto.port)
        listener.wait_for(AVAILABILITY, b"online")
        session.publish(SCORE, b"1", qos=0, retain=False)
        session.publish(EVENT, b"2", qos=1, retain=False)
        session.publish(STATE, b"3", qos=1, retain=True)
        for topic, payload in ((SCORE, b"1"), (EVENT, b"2"), (STATE, b"3")):
            listener.wait_for(topic, payload)
        wait(session, lambda s: s.counters.published == 4)
        assert session.connected
    with Subscriber(mosquitto.port) as late:
        late.wait_for(AVAILABILITY, b"online")
        late.wait_for(STATE, b"3")
        assert {m.topic for m in late.messages} == {AVAILABILITY, STATE}


def test_the_first_connection_is_retried_until_the_broker_is_there(
    make_mosquitto: MakeMosquitto, make_session, logs
) -> None:
    broker = make_mosquitto()
    tries = threading.Semaphore(0)
    backoff = quick()

    def count_tries() -> float:
        tries.release()
        return 0.5

    backoff.jitter = count_tries
    session = make_session(broker.port, options={"backoff": backoff})
    session.publish(EVENT, b"raised", qos=1, retain=False)
    session.publish(SCORE, b"late", qos=0, retain=False)
    for _ in range(4):
        assert tries.acquire(timeout=PATIENCE_S)
    assert not session.connected
    assert session.counters.dropped == 1
    told = [entry for entry in logs if entry["log_level"] == "error"]
    assert len(told) == 1, "said once, not with every try"
    assert "nothing listens" in told[0]["reason"]
    assert "mqtt.host" in told[0]["hint"]

    broker.start()
    wait(session, lambda s: s.counters.published == 2)
    assert session.counters.connects == 1
    assert session.counters.reconnects == 0


def test_a_broker_that_forgot_everything_gets_the_retained_state_again(
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
    session.publish(EVENT, b"raised", qos=1, retain=False)
    session.publish(SCORE, b"lost", qos=0, retain=False)
    mosquitto.start()
    wait(session, lambda s: s.counters.reconnects == 1 and s.counters.published == 7)

    with Subscriber(mosquitto.port) as listener:
        for topic, payload in (
            (AVAILABILITY, b"online"),
            (STATE, b"alarm"),
            ("asd/pump02/state", b"idle"),
        ):
            (message,) = listener.wait_for(topic)
            assert (message.payload, message.retain) == (payload, True)
    assert session.counters.dropped == 1
    assert "connection to the broker lost" in [entry["event"] for entry in logs]


def test_events_of_the_time_without_a_broker_come_once_and_in_order(
    mosquitto: Mosquitto, make_session
) -> None:
    session = make_session(mosquitto.port)
    wait(session, lambda s: s.connected)
    mosquitto.stop()
    wait(session, lambda s: not s.connected)
    for number in range(100):
        session.publish(EVENT, str(number).encode(), qos=1, retain=False)
    # the listener must be there before the session comes back
    gate = "asd/gate"
    mosquitto_listener = Subscriber(mosquitto.port)
    mosquitto.start()
    with mosquitto_listener as listener:
        session.publish(gate, b"", qos=1, retain=False)
        listener.wait_for(gate)
        came = [int(payload) for payload in listener.payloads(EVENT)]
    assert came == list(range(100 - len(came), 100))
    wait(session, lambda s: s.counters.published == 103)
    assert session.counters.dropped == 0


def test_the_queue_is_bounded_and_what_is_lost_is_counted(
    make_mosquitto: MakeMosquitto, make_session, logs
) -> None:
    broker = make_mosquitto()
    session = make_session(broker.port, options={"max_queued": 10})
    for number in range(25):
        session.publish(EVENT, str(number).encode(), qos=1, retain=False)
    assert session.counters.dropped == 15
    assert errors(logs).count("messages for the broker are lost: too many are waiting for it") == 1
    broker.start()
    wait(session, lambda s: s.counters.published == 11)


def test_a_wrong_password_is_told_once_and_mending_the_file_mends_it(
    make_mosquitto: MakeMosquitto, make_session, logs, tmp_path: Path
) -> None:
    broker = make_mosquitto(users={"edge": "right"}).start()
    secret = tmp_path / "password"
    secret.write_text("wrong\n")
    session = make_session(broker.port, username="edge", password_file=secret)
    broker.wait_for_log("not authorised", times=4)
    (told,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert told["reason"] in {"Not authorized", "Bad user name or password"}
    assert "mqtt.password_file" in told["hint"]
    assert "user edge" in told["hint"]
    assert "wrong" not in str(told), "the password itself is never told"

    secret.write_text("right\n")
    wait(session, lambda s: s.connected)


def test_a_topic_that_is_not_allowed_is_told_and_the_others_go_on(
    make_mosquitto: MakeMosquitto, make_session, logs
) -> None:
    broker = make_mosquitto(
        acl="topic readwrite asd/box/#\ntopic readwrite asd/fan01/event\ntopic read #\n"
    ).start()
    with Subscriber(broker.port) as listener:
        session = make_session(broker.port)
        for number in range(3):
            session.publish(STATE, b"normal", qos=1, retain=True)
            session.publish(EVENT, str(number).encode(), qos=1, retain=False)
            wait(session, lambda s, n=number: s.counters.refused == n + 1)
        listener.wait_for(EVENT, b"2")
        wait(session, lambda s: s.counters.published == 4)
    assert session.counters.reconnects == 0
    (told,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert told["topic"] == STATE
    assert told["reason"] == "Not authorized"
    assert STATE in told["hint"]


def test_a_message_that_is_too_large_for_the_broker_does_not_cost_the_connection(
    make_mosquitto: MakeMosquitto, make_session, logs
) -> None:
    broker = make_mosquitto(extra="max_packet_size 500").start()
    session = make_session(broker.port)
    session.publish(EVENT, b"x" * 1000, qos=1, retain=False)
    session.publish(EVENT, b"x", qos=1, retain=False)
    wait(session, lambda s: s.counters.refused == 1 and s.counters.published == 2)
    assert session.counters.reconnects == 0
    (told,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert told["reason"] == "Packet too large"


@pytest.mark.parametrize("version", [MQTTv311, MQTTv5])
def test_two_daemons_with_one_client_id_shout(
    mosquitto: Mosquitto, make_session, logs, version
) -> None:
    """mosquitto 2.0.11 tells nobody that his place was taken; later ones do so in MQTT 5."""
    both = [make_session(mosquitto.port, options={"versions": (version,)}) for _ in range(2)]
    for session in both:
        wait(session, lambda s: s.counters.reconnects >= 5)
    for session in both:
        session.stop()
    by_pattern = [e for e in logs if e["event"].startswith("the broker hangs up again and again")]
    told = [e for e in logs if e["event"] == "thrown off the broker by another client"]
    assert told or 1 <= len(by_pattern) <= 2, "from its pattern each of the two says it once"
    for entry in told + by_pattern:
        assert entry["log_level"] == "error"
        assert "asd-edge" in str(entry)
        assert "box" in entry["hint"]


def test_stop_delivers_what_is_pending_and_then_says_offline(
    mosquitto: Mosquitto, make_session
) -> None:
    with Subscriber(mosquitto.port) as listener:
        session = make_session(mosquitto.port)
        wait(session, lambda s: s.connected)
        for number in range(300):
            session.publish(EVENT, str(number).encode(), qos=1, retain=False)
        session.publish(STATE, b"stopped", qos=1, retain=True)
        session.publish(SCORE, b"last", qos=0, retain=False)
        session.stop()
        listener.wait_for(AVAILABILITY, b"offline")
        assert [int(p) for p in listener.payloads(EVENT)] == list(range(300))
        assert listener.payloads(STATE) == [b"stopped"]
        assert listener.payloads(SCORE) == [b"last"]
        assert [m.topic for m in listener.messages][-1] == AVAILABILITY
    assert session.counters.dropped == 0
    assert not session.connected
    mosquitto.wait_for_log("Client asd-edge disconnected")
    with Subscriber(mosquitto.port) as late:
        (message,) = late.wait_for(AVAILABILITY)
        assert (message.payload, message.retain) == (b"offline", True)
    session.publish(EVENT, b"too late", qos=1, retain=False)
    assert session.counters.dropped == 1


def test_stop_right_after_start_still_delivers(mosquitto: Mosquitto, make_session) -> None:
    session = make_session(mosquitto.port)
    session.publish(STATE, b"stopped", qos=1, retain=True)
    session.stop()
    with Subscriber(mosquitto.port) as late:
        late.wait_for(AVAILABILITY, b"offline")
        late.wait_for(STATE, b"stopped")


def test_stop_without_a_broker_ends_and_tells_what_is_lost(
    make_mosquitto: MakeMosquitto, make_session, logs
) -> None:
    session = make_session(make_mosquitto().port, options={"backoff": Backoff((600.0,))})
    session.publish(EVENT, b"x", qos=1, retain=False)
    session.publish(STATE, b"x", qos=1, retain=True)
    session.stop()
    assert not session._thread.is_alive()
    (told,) = [e for e in logs if e["event"] == "stopped before the broker had every message"]
    assert told["lost"] == 1


def test_a_session_that_was_never_started_can_be_stopped_and_stopped_again(make_session) -> None:
    session = make_session(1, start=False)
    session.stop()
    session.stop()


@pytest.mark.slow
def test_a_killed_process_is_offline_by_its_last_will(mosquitto: Mosquitto) -> None:
    script = (
        "import sys, threading\n"
        "from asd_monitor.publish.session import Session\n"
        "from asd_monitor.publish.broker_settings import MqttSettings\n"
        "Session(MqttSettings(box='edge', port=int(sys.argv[1]))).start()\n"
        "threading.Event().wait()\n"
    )
    with Subscriber(mosquitto.port) as listener:
        process = subprocess.Popen([sys.executable, "-c", script, str(mosquitto.port)])
        try:
            listener.wait_for(AVAILABILITY, b"online")
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(PATIENCE_S)
        listener.wait_for(AVAILABILITY, b"offline")
    with Subscriber(mosquitto.port) as late:
        (message,) = late.wait_for(AVAILABILITY)
        assert (message.payload, message.retain) == (b"offline", True)


def test_what_is_done_on_connecting_may_fail(mosquitto: Mosquitto, make_session, logs) -> None:
    calls: list[int] = []

    def on_connect() -> None:
        calls.append(1)
        raise RuntimeError("of the caller")

    session = make_session(mosquitto.port, options={"on_connect": on_connect})
    session.publish(EVENT, b"x", qos=1, retain=False)
    wait(session, lambda s: s.counters.published == 2)
    assert calls == [1]
    assert "what was to be done on connecting to the broker failed" in errors(logs)


def test_many_threads_may_publish_at_once(mosquitto: Mosquitto, make_session) -> None:
    with Subscriber(mosquitto.port, "asd/+/event") as listener:
        session = make_session(mosquitto.port)

        def work(machine: int) -> None:
            for number in range(100):
                session.publish(f"asd/m{machine}/event", str(number).encode(), qos=1, retain=False)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait(session, lambda s: s.counters.published == 801)
        listener.wait_until(lambda messages: len(messages) == 800)
        for machine in range(8):
            came = [int(p) for p in listener.payloads(f"asd/m{machine}/event")]
            assert came == list(range(100)), "each topic keeps its order"


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make_certificates(tmp_path_factory.mktemp("pem"))


class TestTls:
    def test_the_right_authority(self, make_mosquitto: MakeMosquitto, make_session, pem) -> None:
        broker = make_mosquitto(tls=pem).start()
        with Subscriber(broker.port, tls=pem) as listener:
            session = make_session(broker.port, tls=TlsSettings(ca=pem.ca))
            listener.wait_for(AVAILABILITY, b"online")
            for number in range(200):
                session.publish(EVENT, b"x" * 3000, qos=1, retain=False)
                session.publish(SCORE, str(number).encode(), qos=0, retain=False)
            wait(session, lambda s: s.counters.published == 401)
            session.stop()
            listener.wait_for(AVAILABILITY, b"offline")

    def test_a_client_certificate(self, make_mosquitto: MakeMosquitto, make_session, pem) -> None:
        broker = make_mosquitto(tls=pem, client_certificates=True).start()
        tls = TlsSettings(ca=pem.ca, cert=pem.client_cert, key=pem.client_key)
        wait(make_session(broker.port, tls=tls), lambda s: s.connected)

    # paho drops the socket of a failed handshake without closing it; it is closed when freed
    @pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
    def test_the_wrong_authority(
        self, make_mosquitto: MakeMosquitto, make_session, logs, pem, tmp_path: Path
    ) -> None:
        broker = make_mosquitto(tls=pem).start()
        other = make_certificates(tmp_path / "other")
        session = make_session(broker.port, tls=TlsSettings(ca=other.ca))
        broker.wait_for_log("New connection", times=3)
        assert session.counters.connects == 0
        session.stop()
        (told,) = [entry for entry in logs if entry["log_level"] == "error"]
        assert "not trusted" in told["reason"]
        assert "mqtt.tls.ca" in told["hint"]

    @pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
    def test_tls_where_the_broker_speaks_none_and_the_other_way_round(
        self, make_mosquitto: MakeMosquitto, make_session, logs, pem
    ) -> None:
        plain, secret = make_mosquitto().start(), make_mosquitto(tls=pem).start()
        sessions = [
            make_session(plain.port, tls=TlsSettings(ca=pem.ca)),
            make_session(secret.port),
        ]
        plain.wait_for_log("New connection", times=2)
        secret.wait_for_log("New connection", times=4)
        for session in sessions:
            session.stop()
            told = [e for e in logs if e["log_level"] == "error"]
            assert any(
                session.settings.address in e["broker"] and "TLS" in e["hint"] for e in told
            ), told

    def test_files_that_cannot_be_used(self, pem, tmp_path: Path) -> None:
        text = tmp_path / "text"
        text.write_text("no certificate")
        for tls, named in (
            (TlsSettings(ca=tmp_path / "absent"), "mqtt.tls.ca"),
            (TlsSettings(ca=text), "mqtt.tls.ca"),
            (TlsSettings(cert=tmp_path / "absent"), "mqtt.tls.cert"),
            (TlsSettings(cert=pem.client_cert), "mqtt.tls.key"),
            (TlsSettings(cert=pem.client_cert, key=pem.broker_key), "belong together"),
            (TlsSettings(cert=pem.client_cert, key=pem.encrypted_key), "without a passphrase"),
            (TlsSettings(key=pem.client_key), "mqtt.tls.cert"),
        ):
            with pytest.raises(UsageError, match=named) as error:
                Session(MqttSettings(box="edge", tls=tls))
            assert str(tls.key or tls.cert or tls.ca) in str(error.value)
            assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"box": "a/b"}, "'a/b' cannot be an id"),
        ({"box": "edge", "prefix": "asd/#"}, "prefix"),
        ({"box": "edge", "password_file": Path("/nowhere/at/all"), "username": "u"}, "/nowhere"),
        ({"box": "edge", "password_file": Path("/dev/null"), "username": "u"}, "empty"),
        ({"box": "edge", "password_file": Path("/dev/null")}, "mqtt.username"),
    ],
)
def test_settings_that_can_never_work_are_refused(settings, named) -> None:
    with pytest.raises(UsageError, match=named):
        Session(MqttSettings(**settings))


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
def test_what_can_not_be_published_raises(make_session, topic, payload, qos) -> None:
    with pytest.raises(ValueError, match=r"topic|QoS|bytes"):
        make_session(1, start=False).publish(topic, payload, qos=qos, retain=False)
