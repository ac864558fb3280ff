"""The checks of the broker, with a real mosquitto whose access rules, limits and TLS vary."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from paho.mqtt.client import MQTTv311

from asd_monitor.config.settings import Config
from asd_monitor.diagnosis.broker import BrokerExamination
from asd_monitor.diagnosis.findings import Finding, Result
from asd_monitor.wording import rfc3339
from benchmarks.mosquitto import free_port
from tests.doubles.mosquitto import Subscriber, make_certificates

pytestmark = pytest.mark.slow

BOX_RIGHTS = (
    "user box\ntopic write asd/fan01/score\ntopic readwrite asd/fan01/state\n"
    "topic write asd/fan01/alarm\ntopic write asd/fan01/event\ntopic write asd/box/edge-07/#\n"
    "topic read asd/box/edge-07/selftest/echo\n"
)
STATE, ALARM, EVENT = "asd/fan01/state", "asd/fan01/alarm", "asd/fan01/event"


def examine(config: Config, *, runs: bool = False, **options: Any) -> list[Finding]:
    return list(BrokerExamination(config, lambda: runs, lambda: datetime.now(UTC), **options).run())


def bad(findings: Sequence[Finding]) -> list[tuple[str, str, Result]]:
    """Return check, place and result of all that is not ok."""
    return [
        (each.check, each.where, each.result) for each in findings if each.result is not Result.OK
    ]


@pytest.fixture
def password_file(tmp_path: Any) -> Any:
    path = tmp_path / "password"
    path.write_text("right\n")
    return path


def with_acl(make_mosquitto: Any, acl: str) -> Any:
    return make_mosquitto(users={"box": "right"}, acl=acl).start()


def state_of(box: str, age_s: float) -> bytes:
    time = rfc3339(datetime.now(UTC) - timedelta(seconds=age_s))
    return json.dumps({"schema": "asd.state/2", "box": box, "time": time}).encode()


def test_nothing_is_wrong_and_nothing_is_left(mosquitto, make_config) -> None:
    with Subscriber(mosquitto.port) as everything:
        assert bad(examine(make_config(port=mosquitto.port))) == []
        everything.catch_up()
        ours = [m for m in everything.messages if m.topic.startswith("asd/")]
    with Subscriber(mosquitto.port) as later:
        later.catch_up()
        assert [m.topic for m in later.messages if m.retain] == []
    for message in ours:
        payload = bytes(message.payload)
        assert payload in (b"", b"offline") or json.loads(payload)["schema"] == "asd.probe/1"


def test_what_is_retained_stays_as_it_was(mosquitto, make_config) -> None:
    kept = {STATE: state_of("edge-07", 1e6), ALARM: b'{"schema":"asd.alarm/2","active":true}'}
    with Subscriber(mosquitto.port) as client:
        for topic, payload in kept.items():
            client.publish(topic, payload, retain=True)
        assert bad(examine(make_config(port=mosquitto.port))) == []
        client.catch_up()
        for topic, payload in kept.items():
            assert set(client.payloads(topic)) == {payload}
    with Subscriber(mosquitto.port) as later:
        later.catch_up()
        assert {m.topic: m.payload for m in later.messages if m.retain} == kept


def test_the_rights_of_the_documentation_suffice(
    make_mosquitto, make_config, password_file
) -> None:
    broker = with_acl(make_mosquitto, BOX_RIGHTS)
    config = make_config(port=broker.port, username="box", password_file=password_file)
    assert bad(examine(config)) == []


@pytest.mark.parametrize(
    ("missing", "topic"),
    [
        ("topic write asd/fan01/score\n", "asd/fan01/score"),
        ("topic readwrite asd/fan01/state\n", STATE),
        ("topic write asd/fan01/alarm\n", ALARM),
        ("topic write asd/fan01/event\n", EVENT),
        ("topic read asd/box/edge-07/selftest/echo\n", "asd/box/edge-07/selftest/echo"),
    ],
)
def test_a_topic_that_the_access_rules_drop_is_named(
    make_mosquitto, make_config, password_file, missing, topic
) -> None:
    broker = with_acl(make_mosquitto, BOX_RIGHTS.replace(missing, ""))
    config = make_config(port=broker.port, username="box", password_file=password_file)
    findings = examine(config)
    assert bad(findings) == [("topic", topic, Result.FAILED)]
    (finding,) = [each for each in findings if each.result is Result.FAILED]
    assert "access rules" in (finding.remedy or "")
    assert topic in (finding.remedy or "")


def test_mqtt_311_does_not_say_it_and_the_message_does_not_come_back(
    make_mosquitto, make_config, password_file
) -> None:
    rights = BOX_RIGHTS.replace(f"topic write {EVENT}\n", "") + f"topic readwrite {ALARM}\n"
    broker = with_acl(make_mosquitto, rights)
    config = make_config(port=broker.port, username="box", password_file=password_file)
    found = bad(examine(config, versions=(MQTTv311,)))
    assert ("topic", EVENT, Result.WARNING) in found
    assert ("topic", ALARM, Result.WARNING) not in found


def test_a_wrong_password_is_refused(make_mosquitto, make_config, password_file) -> None:
    broker = with_acl(make_mosquitto, BOX_RIGHTS)
    password_file.write_text("wrong\n")
    config = make_config(port=broker.port, username="box", password_file=password_file)
    (finding,) = [each for each in examine(config) if each.result is not Result.OK]
    assert (finding.check, finding.result) == ("session", Result.FAILED)
    assert "mqtt.password_file" in (finding.remedy or "")


@pytest.mark.parametrize(
    ("lines", "check"),
    [
        ("retain_available false", "retained"),
        ("max_qos 0", "qos"),
        ("message_size_limit 500", "size"),
    ],
)
def test_limits_of_the_broker_are_found(make_mosquitto, make_config, lines, check) -> None:
    broker = make_mosquitto(extra=lines).start()
    found = bad(examine(make_config(port=broker.port)))
    assert (check, Result.FAILED) in {(name, result) for name, _, result in found}


def test_a_running_daemon_s_retained_messages_are_left_alone(mosquitto, make_config) -> None:
    with Subscriber(mosquitto.port) as client:
        client.publish(STATE, state_of("edge-07", 1.0), retain=True)
        examine(make_config(port=mosquitto.port), runs=True)
        client.catch_up()
        assert len(client.payloads(STATE)) == 1
        assert client.payloads(ALARM) == []


def test_the_topics_of_a_machine_of_another_box_are_left_alone(mosquitto, make_config) -> None:
    config = make_config(("fan01", "fan02"), port=mosquitto.port)
    with Subscriber(mosquitto.port) as client:
        client.publish(STATE, state_of("hall-3", 1.0), retain=True)
        findings = examine(config)
        client.catch_up()
        touched = [m.topic for m in client.messages if m.topic.startswith("asd/fan01/")]
        others = [m.topic for m in client.messages if m.topic.startswith("asd/fan02/")]
    assert touched == [STATE]
    assert others
    assert ("machine_id", "fan01", Result.FAILED) in bad(findings)


def test_a_box_that_is_online_elsewhere_is_left_alone(mosquitto, make_config) -> None:
    status = json.dumps({"time": rfc3339(datetime.now(UTC))}).encode()
    with Subscriber(mosquitto.port) as client:
        client.publish("asd/box/edge-07/availability", b"online", retain=True)
        client.publish("asd/box/edge-07/status", status, retain=True)
        findings = examine(make_config(port=mosquitto.port))
        client.catch_up()
        touched = {m.topic for m in client.messages if m.topic.startswith("asd/fan01/")}
        assert len(client.payloads("asd/box/edge-07/availability")) == 1
    assert touched == set()
    assert ("client_id", "asd-edge-07", Result.FAILED) in bad(findings)


def test_commands_are_read(make_mosquitto, make_config, password_file) -> None:
    rights = BOX_RIGHTS + "topic write asd/fan01/cmd/+/response\ntopic write asd/fan01/cmd/+\n"
    broker = with_acl(make_mosquitto, rights)
    config = make_config(
        port=broker.port, username="box", password_file=password_file, commands=True
    )
    assert bad(examine(config)) == [("topic", "asd/fan01/cmd/ack", Result.WARNING)]
    broker.stop()
    broker.set_acl(rights + "topic read asd/fan01/cmd/+\n")
    broker.start()
    assert bad(examine(config)) == []


def test_certificates(make_mosquitto, make_config, tmp_path) -> None:
    good, other = make_certificates(tmp_path / "tls"), make_certificates(tmp_path / "other")
    host = good.broker_certificate("elsewhere", host="broker.example")
    expected = {"localhost": (good, good, None), "name": (host, good, "not of the name localhost"),
                "authority": (good, other, "the authority that issued")}  # fmt: skip
    for used, trusted, text in expected.values():
        broker = make_mosquitto(tls=used).start()
        findings = examine(make_config(port=broker.port, tls={"ca": trusted.ca}))
        failed = [each.what for each in findings if each.result is Result.FAILED]
        assert [text in each for each in failed if text] == ([True] if text else [])


def test_an_expired_certificate(make_mosquitto, make_config, tmp_path) -> None:
    expired = make_certificates(tmp_path / "tls").broker_certificate("expired", days=-1)
    broker = make_mosquitto(tls=expired).start()
    findings = examine(make_config(port=broker.port, tls={"ca": expired.ca}))
    assert any("has expired" in each.what for each in findings if each.result is Result.FAILED)


def test_a_certificate_that_ends_soon_is_warned_of(make_mosquitto, make_config, tmp_path) -> None:
    good = make_certificates(tmp_path / "tls")
    broker = make_mosquitto(tls=good).start()
    found = bad(examine(make_config(port=broker.port, tls={"ca": good.ca})))
    assert ("certificate", f"localhost:{broker.port}", Result.WARNING) in found


def test_no_broker_and_an_unknown_host(make_config) -> None:
    closed = bad(examine(make_config(port=free_port(), host="127.0.0.1")))
    assert [each[::2] for each in closed] == [
        ("connection", Result.FAILED),
        ("topic", Result.NOT_CHECKED),
    ]
    unknown = bad(examine(make_config(host="broker.invalid")))
    assert unknown[0][::2] == ("host", Result.FAILED)
