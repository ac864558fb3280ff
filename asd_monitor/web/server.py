"""The HTTP server of the page: its socket, and its limits."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from asd_monitor.config.listen_address import host_and_port

MAX_CONNECTIONS = 200
_BACKLOG = 64
_HEAD_LIMIT_S = 10.0
_KEEP_ALIVE_S = 15
_MAX_HEAD_BYTES = 16_384
_STOP_S = 1


class ListenError(Exception):
    """The page cannot listen; text and remedy."""

    def __init__(self, text: str, remedy: str) -> None:
        super().__init__(f"{text}: {remedy}")
        self.text = text
        self.remedy = remedy


class BoundedProtocol(H11Protocol):
    """A connection on which the head of each request must arrive within a limit."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take data, and wait for the rest of a head."""
        super().data_received(data)
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """Answer a malformed request; where an answer has begun, or has no body, only close."""
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the wait."""
        self._stop_watching()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
            self._stop_watching()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(_HEAD_LIMIT_S, self._end)

    def _stop_watching(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end(self) -> None:
        self._deadline = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.close()


def listening_socket(listen: str) -> socket.socket:
    """Return a socket that listens.  Raises `ListenError`."""
    host, port = host_and_port(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise _listen_error(listen, error) from error
    listening.setblocking(False)  # noqa: FBT003 - of the standard library
    return listening


def _listen_error(listen: str, error: OSError) -> ListenError:
    if error.errno == errno.EADDRINUSE:
        return ListenError(
            f"the page cannot listen on {listen}: another program uses the port",
            "end that program (`ss -ltnp` names it), or choose another port in http.listen",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return ListenError(
            f"the page cannot listen on {listen}: this computer does not have the address",
            "choose an address of `ip -brief address` in http.listen",
        )
    return ListenError(
        f"the page cannot listen on {listen} ({error.strerror})",
        "choose another address, or a port from 1024 on, in http.listen",
    )


def page_server(app: ASGIApp) -> uvicorn.Server:
    """Return a server of one process, with bounds."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_STOP_S,
        )
    )
