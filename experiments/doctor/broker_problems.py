"""Problems of the broker, planted in a real mosquitto or a server that is none."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from asd_monitor.wording import rfc3339
from benchmarks.mosquitto import free_port
from experiments.doctor.place import BOX, MACHINE, Examine, Place, problem
from tests.doubles.mosquitto import Certificates, Subscriber, make_certificates

RIGHTS = (
    f"user box\ntopic write asd/{MACHINE}/score\ntopic readwrite asd/{MACHINE}/state\n"
    f"topic write asd/{MACHINE}/alarm\ntopic write asd/{MACHINE}/event\n"
    f"topic write asd/box/{BOX}/#\ntopic read asd/box/{BOX}/selftest/echo\n"
)


def _host(**mqtt: Any) -> Examine:
    def examine(place: Place) -> Any:
        place.mqtt |= {"port": free_port(), **mqtt}
        return place.doctor()

    return examine


def _silent_server(place: Place) -> Any:
    with socket.create_server(("127.0.0.1", 0)) as server:
        place.mqtt |= {"host": "127.0.0.1", "port": server.getsockname()[1]}
        return place.doctor()


def _extra(line: str) -> Examine:
    def examine(place: Place) -> Any:
        place.start_broker(extra=line)
        return place.doctor()

    return examine


def _with_user(place: Place, *, acl: str = RIGHTS, password: str = "right", **mqtt: Any) -> Any:  # noqa: S107
    file = place.folder / "password"
    file.write_text(f"{password}\n")
    file.chmod(0o600)
    place.start_broker(users={"box": "right"}, acl=acl)
    place.mqtt |= {"username": "box", "password_file": file, **mqtt}
    return place.doctor()


def _without(right: str) -> Examine:
    """Return a plant of an access list that lacks one line."""

    def examine(place: Place) -> Any:
        if right not in RIGHTS:
            raise ValueError(right)
        return _with_user(place, acl=RIGHTS.replace(right, ""))

    return examine


def _anonymous(place: Place) -> Any:
    place.start_broker(users={"box": "right"}, acl=RIGHTS)
    return place.doctor()


def _tls(
    broker: Callable[[Certificates], Certificates],
    settings: Callable[[Certificates, Place], dict[str, Any] | None],
    **options: Any,
) -> Examine:
    """Return a plant of a broker with TLS, and the settings for it."""

    def examine(place: Place) -> Any:
        good = make_certificates(place.folder / "tls")
        place.start_broker(tls=broker(good), **options)
        place.mqtt |= {"tls": settings(good, place)}
        return place.doctor()

    return examine


def _trusts(good: Certificates, _: Place) -> dict[str, Any]:
    return {"ca": good.ca}


def _trusts_another(_: Certificates, place: Place) -> dict[str, Any]:
    return {"ca": make_certificates(place.folder / "other").ca}


def _tls_to_a_plain_port(place: Place) -> Any:
    place.start_broker()
    place.mqtt |= {"tls": {"ca": make_certificates(place.folder / "tls").ca}}
    return place.doctor()


def _message(kind: str, **fields: Any) -> bytes:
    return json.dumps({"schema": kind, "time": rfc3339(datetime.now(UTC)), **fields}).encode()


def _online_elsewhere(place: Place) -> Any:
    broker = place.start_broker()
    with Subscriber(broker.port) as client:
        client.publish(f"asd/box/{BOX}/availability", b"online", retain=True)
        client.publish(f"asd/box/{BOX}/status", _message("asd.status/2"), retain=True)
        return place.doctor()


def _machine_elsewhere(place: Place) -> Any:
    broker = place.start_broker()
    with Subscriber(broker.port) as client:
        state = _message("asd.state/2", box="hall-3", state="normal")
        client.publish(f"asd/{MACHINE}/state", state, retain=True)
        return place.doctor()


def _commands_unread(place: Place) -> Any:
    topics = f"asd/{MACHINE}/cmd/+"
    rights = f"{RIGHTS}topic write {topics}/response\ntopic write {topics}\n"
    return _with_user(place, acl=rights, commands=True)


BROKER = (
    problem("no broker listens", "broker connection", _host(host="127.0.0.1")),
    problem("an unknown host", "broker host", _host(host="broker.invalid")),
    problem("a server that is no broker", "broker session", _silent_server),
    problem(
        "a wrong password",
        "broker session",
        lambda place: _with_user(place, password="wrong"),  # noqa: S106
    ),
    problem("no user where one is required", "broker session", _anonymous),
    problem(
        "scores are not permitted", "broker topic", _without(f"topic write asd/{MACHINE}/score\n")
    ),
    problem(
        "the state is not permitted",
        "broker topic",
        _without(f"topic readwrite asd/{MACHINE}/state\n"),
    ),
    problem(
        "the alarm is not permitted", "broker topic", _without(f"topic write asd/{MACHINE}/alarm\n")
    ),
    problem(
        "events are not permitted", "broker topic", _without(f"topic write asd/{MACHINE}/event\n")
    ),
    problem(
        "the topics of the box are not permitted",
        "broker topic",
        _without(f"topic write asd/box/{BOX}/#\n"),
    ),
    problem(
        "the echo may not be read",
        "broker topic",
        _without(f"topic read asd/box/{BOX}/selftest/echo\n"),
    ),
    problem("commands may not be read", "broker topic", _commands_unread),
    problem("no retained messages", "broker retained", _extra("retain_available false")),
    problem("QoS 0 only", "broker qos", _extra("max_qos 0")),
    problem("a limit of message size", "broker size", _extra("message_size_limit 500")),
    problem("a limit of packet size", "broker size", _extra("max_packet_size 1000")),
    problem(
        "an expired certificate",
        "broker tls",
        _tls(lambda good: good.broker_certificate("expired", days=-1), _trusts),
    ),
    problem(
        "a certificate of another host",
        "broker tls",
        _tls(lambda good: good.broker_certificate("other", host="broker.example"), _trusts),
    ),
    problem("an unknown authority", "broker tls", _tls(lambda good: good, _trusts_another)),
    problem(
        "no client certificate where one is required",
        "broker tls|session",
        _tls(lambda good: good, _trusts, client_certificates=True),
    ),
    problem(
        "no TLS to a port with TLS",
        "broker session",
        _tls(lambda good: good, lambda _good, _place: None),
    ),
    problem("TLS to a port without", "broker tls", _tls_to_a_plain_port),
    problem("another daemon with this box id", "broker client_id", _online_elsewhere),
    problem("another box with this machine id", "broker machine_id", _machine_elsewhere),
)
"""Problems of the broker."""
