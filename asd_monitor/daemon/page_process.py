"""The process of the page: started, fed, ended.

It has a lower priority than the monitoring, and an end of its own does not affect that: the
supervision starts it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import structlog

from asd_monitor import __version__
from asd_monitor.config.settings import Config, Http
from asd_monitor.daemon.failure_cause import FailureCause, StatedFailureError
from asd_monitor.daemon.page_feed import PageFeed
from asd_monitor.daemon.page_protocol import Beat, PageSetup
from asd_monitor.daemon.runtime_options import RuntimeOptions
from asd_monitor.daemon.training_child import end_process
from asd_monitor.errors import OperationError
from asd_monitor.extras import WEB, require_extra
from asd_monitor.parent_process import with_parent

log = structlog.get_logger()

_NICENESS = 10
_DATA_BYTES = 512 << 20
"""Limit of its private memory."""
_BEAT_S = 1.0
_READ_LIMIT_S = 30.0  # in which it must read what it was sent
_CLOSE_S, _TERMINATE_S, _KILL_S = 4.0, 1.0, 2.0
_STDERR_BYTES = 8192
PROGRAM = (sys.executable, "-m", "asd_monitor.web.child")


def page_setup(config: Config, http: Http, options: RuntimeOptions) -> PageSetup:
    """Return what the process is started with."""
    return PageSetup(
        listen=http.listen,
        token_file=None if http.token_file is None else str(http.token_file),
        state=str(options.state),
        models=str(options.models),
        config=None if options.config_path is None else str(options.config_path),
        box=config.box,
        version=__version__,
    )


class PageProcess:
    """The process of the page, which `run` starts and feeds.

    Args:
        setup: What it is started with.
        feed: What it is sent.
        is_connected: Whether the daemon is connected to the broker.
        machines: Ids of the configured machines.
        request_reload: Requests that configuration and models are read again.
        program: The command line.

    """

    def __init__(
        self,
        setup: PageSetup,
        feed: PageFeed,
        *,
        is_connected: Callable[[], bool],
        machines: Callable[[], Sequence[str]],
        request_reload: Callable[[], None],
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self.beats = 0
        """How often the process has read what it was sent."""
        self._setup = setup
        self._feed = feed
        self._is_connected = is_connected
        self._machines = machines
        self._request_reload = request_reload
        self._program = program

    async def run(self) -> None:
        """Start the process, and feed it until it ends; a cancellation ends it.

        Raises:
            StatedFailureError: It has ended, or cannot be started; with the remedy.

        """
        try:
            require_extra("http (the page)", WEB)
        except OperationError as error:
            self._feed.end()
            text, _, remedy = str(error).partition(": ")
            raise StatedFailureError(FailureCause(text, remedy)) from error
        process = await asyncio.create_subprocess_exec(
            *with_parent(self._program),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is sent to the daemon, which ends the child
        )
        with contextlib.suppress(OSError):  # a lower priority is forbidden in some containers
            os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
        with contextlib.suppress(OSError, ValueError):  # it has ended, or the limit is less
            hard = resource.prlimit(process.pid, resource.RLIMIT_DATA)[1]
            resource.prlimit(process.pid, resource.RLIMIT_DATA, (_DATA_BYTES, hard))
        try:
            await self._feed_until_end(process)
        finally:
            self._feed.end()
            await _end(process)

    async def _feed_until_end(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise ValueError("the streams must be pipes")
        self._feed.begin(asyncio.get_running_loop())
        writing = asyncio.create_task(self._write(process.stdin), name="page.feed")
        beating = asyncio.create_task(self._beat(), name="page.beat")
        errors = asyncio.create_task(_tail(process.stderr), name="page.stderr")
        reading = asyncio.create_task(self._read(process.stdout), name="page.watched")
        tasks = (writing, beating, errors, reading)
        try:
            await asyncio.wait((writing, errors), return_when=asyncio.FIRST_COMPLETED)
            if writing.done() and not errors.done():
                writing.result()  # it stands still, or its pipe is closed: the reason follows
            raise StatedFailureError(_cause(await errors, await process.wait()))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _write(self, pipe: asyncio.StreamWriter) -> None:
        """Write what the feed has until the pipe is closed.

        Raises:
            StatedFailureError: The process does not read.

        """
        pipe.write(self._setup.payload() + b"\n")
        with contextlib.suppress(ConnectionError):
            while True:
                await self._feed.wait()
                pipe.write(b"".join(line + b"\n" for line in self._feed.take()))
                try:
                    async with asyncio.timeout(_READ_LIMIT_S):
                        await pipe.drain()
                except TimeoutError as error:
                    text = f"the process of the page has read nothing for {_READ_LIMIT_S:g} s"
                    remedy = "it is started again; if that recurs, the computer is too busy"
                    raise StatedFailureError(FailureCause(text, remedy)) from error
                self.beats += 1

    async def _read(self, pipe: asyncio.StreamReader) -> None:
        """Read which machines are watched, and requests to reload; other lines are left out."""
        with contextlib.suppress(ValueError):  # a line that is too long: it goes on unchanged
            while line := await pipe.readline():
                with contextlib.suppress(ValueError):
                    match json.loads(line):
                        case {"watched": list() as machines}:
                            self._feed.watch([str(each) for each in machines])
                        case {"reload": True}:
                            self._request_reload()

    async def _beat(self) -> None:
        while True:
            beat = Beat(
                datetime.now(UTC),
                broker_connected=self._is_connected(),
                machines=list(self._machines()),
                dropped=self._feed.counters.dropped,
            )
            self._feed.put(beat.payload())
            await asyncio.sleep(_BEAT_S)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the process: the end of its feed suffices where it does not hang."""
    if process.stdin is not None:
        process.stdin.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE_S):
            await process.wait()
    if process.returncode is None:
        await end_process(process, terminate_s=_TERMINATE_S, kill_s=_KILL_S)


def _cause(errors: bytes, status: int) -> FailureCause:
    """Return why the process has ended: its last line may say so."""
    lines = errors.decode(errors="replace").strip().splitlines()
    last = lines[-1].strip() if lines else ""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        stated = json.loads(last)
        return FailureCause(str(stated["failed"]), str(stated["remedy"]))
    end = f"was ended by signal {-status}" if status < 0 else f"ended with code {status}"
    return FailureCause(
        f"the process of the page {end}{f': {last}' if last else ''}",
        "it is started again; if that recurs, please report it with the log",
    )


async def _tail(stream: asyncio.StreamReader) -> bytes:
    """Read a stream to its end; return the last part."""
    kept = b""
    while data := await stream.read(_STDERR_BYTES):
        kept = (kept + data)[-_STDERR_BYTES:]
    return kept
