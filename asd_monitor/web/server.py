"""The HTTP server of the page: its socket, and its limits."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from asd_monitor.config.listen_address import host_and_port

MAX_CONNECTIONS = 200
_BACKLOG = 64
_HEAD_LIMIT_S = 10.0
_STALL_S = 20.0  # in which a browser must have read something of what waits for it
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
    """A connection that is held no longer than it is used.

    The head of each request must arrive within a limit, and so must what follows an answer that did
    not wait for the rest of its request.  Who does not read an answer is disconnected.  Where there
    are too many connections, the one that has been idle longest, or whose body has been awaited
    longest, is closed.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._body_until_s: float | None = None

    @property
    def idle_until_s(self) -> float | None:
        """When it is closed without a request, on the clock of the loop; None: it is used."""
        timer = self._deadline or self.timeout_keep_alive_task
        if timer is not None:
            return timer.when()
        return self._body_until_s if self._awaits_body else None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request; there may be another connection less."""
        super().connection_made(transport)
        self._watch()
        if len(self.connections) >= MAX_CONNECTIONS:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Take data, and wait for the rest of a head."""
        super().data_received(data)
        self._watch()

    def pause_writing(self) -> None:
        """Wait until the browser has read; it must read something within a limit."""
        super().pause_writing()
        self._watch_reading(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Go on writing."""
        _cancel(self._stall)
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer a malformed request; where an answer has begun, or has no body, only close."""
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the waits."""
        _cancel(self._deadline)
        _cancel(self._stall)
        super().connection_lost(exc)

    @property
    def _awaits_request(self) -> bool:
        """Whether nothing is done before more of this request, or the next one, arrives."""
        state = self.conn.their_state
        is_answered = self.cycle is not None and self.cycle.response_complete
        return state is h11.IDLE or (state is h11.SEND_BODY and is_answered)

    @property
    def _awaits_body(self) -> bool:
        """Whether a request is not complete, and nothing was answered yet."""
        is_begun = self.cycle is not None and self.cycle.response_started
        return self.conn.their_state is h11.SEND_BODY and not is_begun

    def _watch(self) -> None:
        if not self._awaits_body:
            self._body_until_s = None
        elif self._body_until_s is None:
            self._body_until_s = self.loop.time() + _HEAD_LIMIT_S
        if not self._awaits_request or self.transport.is_closing():
            _cancel(self._deadline)
            self._deadline = None
        elif self._deadline is None:
            self._deadline = self.loop.call_later(_HEAD_LIMIT_S, self._end)

    def _end(self) -> None:
        self._deadline = None
        if self._awaits_request and not self.transport.is_closing():
            self.transport.close()

    def _make_room(self) -> None:
        idle = [
            (each.idle_until_s, each.transport)
            for each in self.connections
            if isinstance(each, BoundedProtocol) and each is not self
        ]
        waiting = [
            (until_s, transport)
            for until_s, transport in idle
            if until_s is not None and not transport.is_closing()
        ]
        if waiting:
            min(waiting, key=lambda each: each[0])[1].abort()

    def _watch_reading(self, unread: int) -> None:
        self._stall = self.loop.call_later(_STALL_S, self._check_reading, unread)

    def _check_reading(self, unread: int) -> None:
        left = self.transport.get_write_buffer_size()
        if left >= unread:
            self.transport.abort()
        else:
            self._watch_reading(left)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


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


class PageServer(uvicorn.Server):
    """A server that leaves signals to its process: it would end that before all is written."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def page_server(app: ASGIApp) -> PageServer:
    """Return a server of one process, with bounds."""
    return PageServer(
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
