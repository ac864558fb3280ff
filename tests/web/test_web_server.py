"""The server of the page on a real socket: connections are held no longer than they are used."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from asd_monitor.web import server
from asd_monitor.web.server import listening_socket, page_server
from tests.doubles.page_client import PageClient, page_client, window_of
from tests.doubles.waiting import until

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def client(tmp_path: Path) -> PageClient:
    return page_client(tmp_path)


@asynccontextmanager
async def served(client: PageClient) -> AsyncIterator[int]:
    """Serve a page; yield its port."""
    serving = page_server(client.app)
    listening = listening_socket("127.0.0.1:0")
    task = asyncio.create_task(serving.serve([listening]))
    try:
        yield int(listening.getsockname()[1])
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
    async with served(client) as port:
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
    async with served(client) as port:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(30)]
        for _ in range(3):
            assert await ask(port) == b"HTTP/1.1 200 OK\r\n"
        assert await is_ended(idle[0][0])
        newest, writer = idle[-1]
        writer.write(HEALTH + b"\r\n")
        assert await newest.readline() == b"HTTP/1.1 200 OK\r\n"
        for _, writer in idle:
            writer.close()


async def test_an_open_page_that_reads_nothing_gives_its_place_free(
    client: PageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_STALL_S", 0.1)
    async with served(client) as port:
        browser = socket.socket()
        browser.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        browser.connect(("127.0.0.1", port))
        browser.sendall(b"GET /machines/fan01/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await until(lambda: client.streams.count == 1)

        def is_free() -> bool:
            for _ in range(100):
                client.live.take(window_of("fan01"))
            return client.streams.count == 0

        await until(is_free)
        browser.close()


async def test_who_reads_slowly_gets_a_large_page_to_its_end(
    client: PageClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_STALL_S", 0.2)
    version = tmp_path / "models" / "fan01" / "v1"
    version.mkdir(parents=True)
    (version / "manifest.json").write_text("{}")
    (version / "report.html").write_bytes(bytes(20 << 20))
    loop = asyncio.get_running_loop()
    async with served(client) as port:
        browser = socket.socket()
        browser.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        browser.setblocking(False)
        await loop.sock_connect(browser, ("127.0.0.1", port))
        request = b"GET /models/fan01/v1/report HTTP/1.1\r\nHost: localhost\r\nConnection: close"
        await loop.sock_sendall(browser, request + b"\r\n\r\n")
        received, began_s = 0, loop.time()
        while data := await loop.sock_recv(browser, 1 << 16):
            received += len(data)
            await asyncio.sleep(0.002)  # the browser is slow
        assert loop.time() - began_s > 2 * server._STALL_S
        assert received > 20 << 20
        browser.close()
