"""The server of the page on a real socket: connections are held no longer than they are used."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from asd_monitor.daemon.page_protocol import LiveSound
from asd_monitor.web import server
from asd_monitor.web.server import (
    BoundedProtocol,
    PageServer,
    listening_socket,
    page_server,
)
from tests.doubles.page_client import PageClient, page_client
from tests.doubles.waiting import until

LOUD = LiveSound(
    "fan01",
    datetime(2026, 3, 2, tzinfo=UTC),
    rms_dbfs=-30.0,
    column_s=0.1,
    highest_hz=8000.0,
    columns="A" * 100_000,
)
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def client(tmp_path: Path) -> PageClient:
    return page_client(tmp_path)


@dataclass
class Served:
    """A page that is served."""

    port: int
    server: PageServer

    @property
    def connections(self) -> list[BoundedProtocol]:
        return [
            each
            for each in self.server.server_state.connections
            if isinstance(each, BoundedProtocol)
        ]

    @property
    def unread_bytes(self) -> int:
        """What its only browser has not read, beside the buffers of the system."""
        return sum(each.transport.get_write_buffer_size() for each in self.connections)


@asynccontextmanager
async def served(client: PageClient) -> AsyncIterator[Served]:
    """Serve a page."""
    serving = page_server(client.app)
    listening = listening_socket("127.0.0.1:0")
    task = asyncio.create_task(serving.serve([listening]))
    try:
        yield Served(int(listening.getsockname()[1]), serving)
    finally:
        client.streams.close()
        serving.should_exit = True
        await task


async def ask(port: int, request: bytes = HEALTH + b"\r\n") -> bytes:
    """Return the first line of an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await reader.readline()
    finally:
        writer.close()


async def is_ended(reader: asyncio.StreamReader) -> bool:
    """Wait until a connection is closed."""
    async with asyncio.timeout(10):
        with suppress(ConnectionError):
            await reader.read()
    return True


async def test_who_sends_the_rest_of_a_request_after_its_answer_is_not_waited_for(
    client: PageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_HEAD_LIMIT_S", 0.2)
    monkeypatch.setattr(server, "_KEEP_ALIVE_S", 600)
    async with served(client) as found:
        port = found.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEALTH + b"Content-Length: 1000\r\n\r\n")
        await reader.readuntil(b"ok\n")
        writer.write(b"x")
        assert await is_ended(reader)
        writer.close()


async def test_the_connection_that_is_idle_longest_makes_room(
    client: PageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 10)
    async with served(client) as found:
        port = found.port
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(30)]
        for _ in range(3):
            assert await ask(port) == b"HTTP/1.1 200 OK\r\n"
        assert await is_ended(idle[0][0])
        newest, writer = idle[-1]
        writer.write(HEALTH + b"\r\n")
        assert await newest.readline() == b"HTTP/1.1 200 OK\r\n"
        for _, writer in idle:
            writer.close()


async def test_a_form_that_does_not_arrive_makes_room(
    client: PageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 10)
    form = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
    async with served(client) as found:
        sent = [await asyncio.open_connection("127.0.0.1", found.port) for _ in range(9)]
        for _, writer in sent:
            writer.write(form)
        await until(lambda: all(each.idle_until_s for each in found.connections))
        await until(lambda: all(each.cycle is not None for each in found.connections))
        for _ in range(3):
            assert await ask(found.port) == b"HTTP/1.1 200 OK\r\n"
        assert await is_ended(sent[0][0])
        for _, writer in sent:
            writer.close()


async def test_an_open_page_makes_no_room(
    client: PageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 4)
    stream = b"GET /machines/fan01/stream HTTP/1.1\r\nHost: localhost\r\n"
    async with served(client) as found:
        reader, writer = await asyncio.open_connection("127.0.0.1", found.port)
        writer.write(stream + b"Content-Length: 100\r\n\r\n")  # that never comes
        await until(lambda: client.streams.count == 1)
        idle = [await asyncio.open_connection("127.0.0.1", found.port) for _ in range(9)]
        assert await ask(found.port) == b"HTTP/1.1 200 OK\r\n"
        assert client.streams.count == 1
        for _, each in idle:
            each.close()
        writer.close()
        await until(lambda: client.streams.count == 0)
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"


async def test_an_open_page_that_reads_nothing_gives_its_place_free(
    client: PageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_STALL_S", 0.1)
    async with served(client) as found:
        port = found.port
        browser = socket.socket()
        browser.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        browser.connect(("127.0.0.1", port))
        browser.sendall(b"GET /machines/fan01/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await until(lambda: client.streams.count == 1)

        def is_free() -> bool:
            client.live.take(LOUD)
            return client.streams.count == 0

        await until(is_free)
        browser.close()


async def test_who_reads_slowly_is_not_disconnected(client: PageClient, tmp_path: Path) -> None:
    version = tmp_path / "models" / "fan01" / "v1"
    version.mkdir(parents=True)
    (version / "manifest.json").write_text("{}")
    (version / "report.html").write_bytes(bytes(20 << 20))
    async with served(client) as page:
        reader, writer = await asyncio.open_connection("127.0.0.1", page.port)
        writer.write(b"GET /models/fan01/v1/report HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await until(lambda: page.unread_bytes > 0)
        (connection,) = page.connections
        unread = page.unread_bytes
        while page.unread_bytes == unread:
            assert await reader.read(1 << 20)
        connection._check_reading(unread)
        assert not connection.transport.is_closing()
        connection._check_reading(page.unread_bytes)  # nothing was read since
        assert connection.transport.is_closing()
        writer.close()
