"""Connections whose time is limited, with that of a name server that does not answer."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from asd_monitor.diagnosis import bounded_connection, broker_reach, probe_client
from asd_monitor.diagnosis.bounded_connection import connect_in_time
from asd_monitor.diagnosis.broker_reach import connection_error
from asd_monitor.diagnosis.probe_client import ProbeClient


@pytest.fixture
def name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Names are looked up when this event is set; the limits are short."""
    answers, look_up = threading.Event(), socket.getaddrinfo

    def delayed(*arguments: Any, **options: Any) -> Any:
        answers.wait(30)
        return look_up(*arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", delayed)
    monkeypatch.setattr(bounded_connection, "RESOLVE_LIMIT_S", 0.1)
    for module in (broker_reach, probe_client):
        monkeypatch.setattr(module, "CONNECT_LIMIT_S", 0.1)
    yield answers
    answers.set()


def test_a_name_server_that_does_not_answer_is_not_awaited(
    name_server: threading.Event, make_config: Any
) -> None:
    mqtt = make_config(host="localhost", port=1).mqtt
    begun_s = time.monotonic()
    assert isinstance(connection_error(mqtt), TimeoutError)
    end = ProbeClient(mqtt, "edge-07").connect()
    assert end is not None
    assert end.reason.endswith("does not answer")
    assert time.monotonic() - begun_s < 25


def test_a_connection_that_comes_too_late_is_closed(name_server: threading.Event) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        with pytest.raises(TimeoutError):
            connect_in_time("localhost", server.getsockname()[1], limit_s=0.1)
        name_server.set()
        connection, _ = server.accept()
        with connection:
            connection.settimeout(30)
            assert connection.recv(1) == b""


def test_a_name_that_is_none_and_a_port_without_a_server_are_errors() -> None:
    with pytest.raises(socket.gaierror):
        connect_in_time("a" * 64 + ".example", 1883, limit_s=1.0)
    with pytest.raises(ConnectionRefusedError):
        connect_in_time("127.0.0.1", 1, limit_s=1.0)
