"""Asks PulseAudio (or PipeWire in its place) which microphone really feeds a program.

A sound server moves a stream to another microphone when its own goes, tells nobody and
does not move it back.  So it is asked.  It may be absent, and it may hang: the asking is
done by a thread of its own and bounded in time; a thread that hangs holds up nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from dataclasses import dataclass
from typing import Any

try:
    import pulsectl
except OSError:  # what it raises without the libpulse library
    pulsectl = None

ANSWER_S = 3.0
_CLOSED = "the connection to the sound server was closed"


class SoundServerQueryError(Exception):
    """The sound server did not answer; one line tells why."""


class NoSoundServerError(SoundServerQueryError):
    """There is none to ask, or no library to ask it with."""


@dataclass(frozen=True, slots=True)
class Feed:
    """A source of the sound server."""

    name: str
    description: str
    rate_hz: int
    channels: int


@dataclass(frozen=True, slots=True)
class _Question:
    pid: int | None  # None: all sources
    answer: asyncio.Future[list[Feed]]
    loop: asyncio.AbstractEventLoop


class SoundServer:
    """One connection to the user's (or the environment's) sound server, made when asked."""

    def __init__(self) -> None:
        self._questions: queue.SimpleQueue[_Question | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._pending: set[asyncio.Future[list[Feed]]] = set()
        self._closed = False

    @property
    def is_askable(self) -> bool:
        """Whether the library is there to ask one with."""
        return pulsectl is not None

    async def feed_of(self, pid: int) -> Feed | None:
        """Return the source that this process records from; None: it records from none.

        Raises:
            NoSoundServerError: there is none.
            SoundServerQueryError: it gives no answer, or none in time.

        """
        found = await self._ask(pid)
        return found[0] if found else None

    async def sources(self) -> list[Feed]:
        """Return all sources; raises as `feed_of`."""
        return await self._ask(None)

    async def _ask(self, pid: int | None) -> list[Feed]:
        if self._closed:
            raise SoundServerQueryError(_CLOSED)
        if pulsectl is None:
            raise NoSoundServerError("libpulse is not installed: apt install libpulse0")
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="sound-server", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        question = _Question(pid, loop.create_future(), loop)
        self._questions.put(question)
        self._pending.add(question.answer)
        try:
            async with asyncio.timeout(ANSWER_S):
                return await question.answer
        except TimeoutError as error:
            raise SoundServerQueryError(
                f"the sound server does not answer within {ANSWER_S:g} s"
            ) from error
        finally:
            self._pending.discard(question.answer)

    def close(self) -> None:
        """Disconnect without waiting; what is being asked raises SoundServerQueryError at once."""
        if self._closed:
            return
        self._closed = True
        for answer in self._pending:
            _settle(answer, SoundServerQueryError(_CLOSED))
        if self._thread is not None:
            self._questions.put(None)

    def _work(self) -> None:
        connection: Any = None
        while question := self._questions.get():
            if question.answer.done():
                continue
            answer: list[Feed] | SoundServerQueryError
            try:
                connection = connection or _connect()
                answer = _look_up(connection, question.pid)
            except SoundServerQueryError as error:
                answer = error
            except (pulsectl.PulseError, pulsectl.PulseDisconnected) as error:
                answer = SoundServerQueryError(
                    f"the sound server broke off: {error or 'disconnected'}"
                )
                if connection is not None:
                    connection.close()
                connection = None
            with contextlib.suppress(RuntimeError):  # the loop closed, nobody waits any more
                question.loop.call_soon_threadsafe(_settle, question.answer, answer)
        if connection is not None:
            connection.close()


def _settle(future: asyncio.Future[list[Feed]], answer: list[Feed] | SoundServerQueryError) -> None:
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


def _look_up(connection: Any, pid: int | None) -> list[Feed]:
    sources = {each.index: _feed(each) for each in connection.source_list()}
    if pid is None:
        return list(sources.values())
    streams = [
        each
        for each in connection.source_output_list()
        if each.proplist.get("application.process.id") == str(pid)
    ]
    if any(each.source not in sources for each in streams):
        raise SoundServerQueryError("the sound server is changing its sources just now")
    return [sources[each.source] for each in streams]


def _feed(source: Any) -> Feed:
    sample = source.sample_spec
    return Feed(source.name, source.description or source.name, sample.rate, sample.channels)
