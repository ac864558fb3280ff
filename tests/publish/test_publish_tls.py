"""TLS to mosquitto: authorities, client certificates, files that cannot be used."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asd_monitor.config.settings import Mqtt, Tls
from asd_monitor.errors import UsageError
from asd_monitor.publish.authentication import tls_context
from asd_monitor.publish.broker_session import BrokerSession
from tests.doubles.broker_sessions import AVAILABILITY, SCORE, errors, put_event, wait
from tests.doubles.mosquitto import Certificates, Mosquitto, Subscriber, make_certificates

MakeMosquitto = Callable[..., Mosquitto]

# paho does not close the socket of a failed handshake; it is closed when freed
unclosed_socket = pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("pem"))


def test_a_trusted_broker(make_mosquitto: MakeMosquitto, make_session, pem) -> None:
    broker = make_mosquitto(tls=pem).start()
    with Subscriber(broker.port, tls=pem) as subscriber:
        session = make_session(broker.port, tls=Tls(ca=pem.ca))
        subscriber.wait_for(AVAILABILITY, b"online")
        for number in range(200):
            put_event(session, b"x" * 3000)
            session.publish(SCORE, str(number).encode(), qos=0, retain=False)
        wait(session, lambda s: s.counters.published == 401)
        session.stop()
        subscriber.wait_for(AVAILABILITY, b"offline")


def test_a_client_certificate(make_mosquitto: MakeMosquitto, make_session, pem) -> None:
    broker = make_mosquitto(tls=pem, client_certificates=True).start()
    tls = Tls(ca=pem.ca, cert=pem.client_cert, key=pem.client_key)
    wait(make_session(broker.port, tls=tls), lambda s: s.connected)


@unclosed_socket
def test_an_untrusted_broker(
    make_mosquitto: MakeMosquitto, make_session, logs, pem, tmp_path: Path
) -> None:
    broker = make_mosquitto(tls=pem).start()
    other = make_certificates(tmp_path / "other")
    session = make_session(broker.port, tls=Tls(ca=other.ca))
    broker.wait_for_log("New connection", times=3)
    assert session.counters.connects == 0
    session.stop()
    (error,) = errors(logs)
    assert "not trusted" in error["reason"]
    assert "mqtt.tls.ca" in error["hint"]


@unclosed_socket
@pytest.mark.parametrize(
    ("name", "host", "days", "reason"),
    [
        ("expired", "localhost", -1, "certificate has expired"),
        ("other", "other.example", 2, "Hostname mismatch"),
    ],
)
def test_a_certificate_that_does_not_fit_is_refused(
    make_mosquitto: MakeMosquitto, make_session, logs, pem, *, name, host, days, reason
) -> None:
    broker = make_mosquitto(tls=pem.broker_certificate(name, host=host, days=days)).start()
    session = make_session(broker.port, tls=Tls(ca=pem.ca))
    broker.wait_for_log("New connection", times=3)
    assert session.counters.connects == 0
    session.stop()
    (error,) = errors(logs)
    assert reason in error["reason"]
    assert "mqtt.host the name in it" in error["hint"]


@unclosed_socket
def test_a_missing_client_certificate_is_logged_with_the_remedy(
    make_mosquitto: MakeMosquitto, make_session, logs, pem
) -> None:
    broker = make_mosquitto(tls=pem, client_certificates=True).start()
    session = make_session(broker.port, tls=Tls(ca=pem.ca))
    broker.wait_for_log("peer did not return a certificate", times=3)
    assert session.counters.connects == 0
    session.stop()
    assert any("client certificate" in error["hint"] for error in errors(logs)), errors(logs)


def test_tls_before_1_2_is_never_used(pem, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the computer's OpenSSL is configured to allow it."""
    real = ssl.create_default_context

    def permissive(**options: Any) -> ssl.SSLContext:
        context = real(**options)
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        return context

    monkeypatch.setattr(ssl, "create_default_context", permissive)
    context = tls_context(Tls(ca=pem.ca))
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED


@unclosed_socket
def test_files_that_are_replaced_are_used_at_the_next_connect(
    make_mosquitto: MakeMosquitto, make_session, tmp_path: Path
) -> None:
    """The authority of the broker, the client's certificate, its key and the password change."""
    pem, other = make_certificates(tmp_path / "pem"), make_certificates(tmp_path / "other")
    password = tmp_path / "password"
    password.write_text("old\n")
    broker = make_mosquitto(tls=pem, client_certificates=True, users={"edge": "old"}).start()
    session = make_session(
        broker.port,
        tls=Tls(ca=pem.ca, cert=pem.client_cert, key=pem.client_key),
        username="edge",
        password_file=password,
    )
    wait(session, lambda s: s.connected)
    broker.stop()
    wait(session, lambda s: not s.connected)
    for mine, others in (
        (pem.ca, other.ca),
        (pem.broker_cert, other.broker_cert),
        (pem.broker_key, other.broker_key),
        (pem.client_cert, other.client_cert),
        (pem.client_key, other.client_key),
    ):
        shutil.copy(others, mine)
    broker.set_users({"edge": "new"})
    password.write_text("new\n")
    broker.start()
    wait(session, lambda s: s.connected and s.counters.connects == 2)


@unclosed_socket
def test_tls_on_one_side_only_is_logged(
    make_mosquitto: MakeMosquitto, make_session, logs, pem
) -> None:
    plain, secret = make_mosquitto().start(), make_mosquitto(tls=pem).start()
    sessions = [make_session(plain.port, tls=Tls(ca=pem.ca)), make_session(secret.port)]
    plain.wait_for_log("New connection", times=2)
    secret.wait_for_log("New connection", times=4)
    for session in sessions:
        session.stop()
        assert any(
            session.settings.address in error["broker"] and "TLS" in error["hint"]
            for error in errors(logs)
        ), errors(logs)


def test_files_that_cannot_be_used_raise(pem, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no certificate")
    for tls, message in (
        (Tls(ca=tmp_path / "absent"), "mqtt.tls.ca"),
        (Tls(ca=text), "mqtt.tls.ca"),
        (Tls(cert=tmp_path / "absent"), "mqtt.tls.cert"),
        (Tls(cert=pem.client_cert), "mqtt.tls.key"),
        (Tls(cert=pem.client_cert, key=pem.broker_key), "belong together"),
        (Tls(cert=pem.client_cert, key=pem.encrypted_key), "without a passphrase"),
    ):
        with pytest.raises(UsageError, match=message) as error:
            BrokerSession(Mqtt(tls=tls), "edge")
        assert str(tls.key or tls.cert or tls.ca) in str(error.value)
        assert "\n" not in str(error.value)
