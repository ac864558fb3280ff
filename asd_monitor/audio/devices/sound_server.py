"""Queries to PulseAudio, or PipeWire in its place: which source a process records from.

A sound server moves a stream to another microphone when its own is unplugged, without notice to
the program, and does not move it back.  Its routing must therefore be queried.  The server may be
absent or hang: queries run in a thread of their own with a time limit, and a thread that hangs
blocks nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from dataclasses import dataclass
from typing import Any

from asd_monitor.audio.devices.shared_libraries import found_by_loader

try:
    with found_by_loader({"libpulse": "libpulse.so.0"}):
        import pulsectl
except OSError:  # raised where the libpulse library is not installed
    pulsectl = None

ANSWER_LIMIT_S = 3.0
_CLOSED = "the connection to the sound server was closed"


class SoundServerQueryError(Exception):
    """The sound server did not answer; the message is the cause, one line."""


class NoSoundServerError(SoundServerQueryError):
    """There is no sound server, or no library to query it."""


@dataclass(frozen=True, slots=True)
class ServerSource:
    """A source of the sound server, in PulseAudio's sense: an input that streams record from."""

    name: str
    description: str
    rate_hz: int
    channels: int


@dataclass(frozen=True, slots=True)
class _Query:
    pid: int | None  # None: all sources
    answer: asyncio.Future[list[ServerSource]]
    loop: asyncio.AbstractEventLoop


class SoundServer:
    """One connection to the user's (or the environment's) sound server, opened by a query."""

    def __init__(self) -> None:
        self._queries: queue.SimpleQueue[_Query | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._pending: set[asyncio.Future[list[ServerSource]]] = set()
        self._closed = False

    @property
    def has_library(self) -> bool:
        """Whether the client library libpulse is installed."""
        return pulsectl is not None

    async def source_of_process(self, pid: int) -> ServerSource | None:
        """Return the source that a process records from; None if it records from none.

        Raises:
            NoSoundServerError: there is no sound server.
            SoundServerQueryError: no answer within `ANSWER_LIMIT_S`, or the query failed.

        """
        sources = await self._query(pid)
        return sources[0] if sources else None

    async def sources(self) -> list[ServerSource]:
        """Return all sources; raises as `source_of_process`."""
        return await self._query(None)

    async def _query(self, pid: int | None) -> list[ServerSource]:
        if self._closed:
            raise SoundServerQueryError(_CLOSED)
        if pulsectl is None:
            raise NoSoundServerError("libpulse is not installed: apt install libpulse0")
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="sound-server", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        query = _Query(pid, loop.create_future(), loop)
        self._queries.put(query)
        self._pending.add(query.answer)
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                return await query.answer
        except TimeoutError as error:
            raise SoundServerQueryError(
                f"the sound server does not answer within {ANSWER_LIMIT_S:g} s"
            ) from error
        finally:
            self._pending.discard(query.answer)

    def close(self) -> None:
        """Disconnect without waiting; pending queries raise SoundServerQueryError at once."""
        if self._closed:
            return
        self._closed = True
        for answer in self._pending:
            _set_answer(answer, SoundServerQueryError(_CLOSED))
        if self._thread is not None:
            self._queries.put(None)

    def _work(self) -> None:
        connection: Any = None
        while query := self._queries.get():
            if query.answer.done():
                continue
            answer: list[ServerSource] | SoundServerQueryError
            try:
                connection = connection or _connect()
                answer = _query_sources(connection, query.pid)
            except SoundServerQueryError as error:
                answer = error
            except (pulsectl.PulseError, pulsectl.PulseDisconnected) as error:
                answer = SoundServerQueryError(
                    f"the connection to the sound server failed: {error or 'disconnected'}"
                )
                if connection is not None:
                    connection.close()
                connection = None
            with contextlib.suppress(RuntimeError):  # the event loop is closed
                query.loop.call_soon_threadsafe(_set_answer, query.answer, answer)
        if connection is not None:
            connection.close()


def _set_answer(
    future: asyncio.Future[list[ServerSource]], answer: list[ServerSource] | SoundServerQueryError
) -> None:
    if future.done():
        return
    if isinstance(answer, SoundServerQueryError):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def _connect() -> Any:
    connection = pulsectl.Pulse("asd-monitor", connect=False)
    try:
        connection.connect(autospawn=False)  # its timeout would always be waited for in full
    except pulsectl.PulseError as error:
        connection.close()
        raise NoSoundServerError("no sound server answers") from error
    return connection


def _query_sources(connection: Any, pid: int | None) -> list[ServerSource]:
    sources = {each.index: _source(each) for each in connection.source_list()}
    if pid is None:
        return list(sources.values())
    streams = [
        each
        for each in connection.source_output_list()
        if each.proplist.get("application.process.id") == str(pid)
    ]
    if any(each.source not in sources for each in streams):
        raise SoundServerQueryError("the sound server changed its sources during the query")
    return [sources[each.source] for each in streams]


def _source(info: Any) -> ServerSource:
    sample = info.sample_spec
    return ServerSource(info.name, info.description or info.name, sample.rate, sample.channels)
