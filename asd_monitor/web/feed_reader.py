"""Reads the feed of the daemon from a pipe, and asks by another for sound and reloads."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Collection

from asd_monitor.daemon.page_feed import MAX_WATCHED
from asd_monitor.daemon.page_protocol import PageSetup, read_line
from asd_monitor.web.live_state import LiveState

_MAX_LINE_BYTES = 4 << 20  # the status of a thousand machines has half a megabyte


async def open_feed() -> asyncio.StreamReader:
    """Return a reader of the standard input."""
    reader = asyncio.StreamReader(limit=_MAX_LINE_BYTES)
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    return reader


async def read_setup(reader: asyncio.StreamReader) -> PageSetup:
    """Return the first line.  Raises ValueError or TypeError where it is none."""
    setup = read_line(await reader.readline())
    if not isinstance(setup, PageSetup):
        raise TypeError("the feed does not begin with its setup")
    return setup


async def read_feed(reader: asyncio.StreamReader, live: LiveState) -> None:
    """Pass each line to the state, until the daemon closes the pipe."""
    while line := await reader.readline():
        try:
            content = read_line(line)
        except ValueError:
            live.malformed += 1
            continue
        if content is not None:
            live.take(content)


class Watching:
    """Asks the daemon for the sound of the machines that are looked at.

    While there are few machines, their sound is asked for at all times: so a page shows the last
    minute at once.
    """

    def __init__(self) -> None:
        self._viewers: dict[str, int] = {}
        self._asked: list[str] | None = None

    @property
    def asked(self) -> Collection[str]:
        """Machines whose sound is asked for."""
        return self._asked or ()

    def add(self, machine: str) -> None:
        """Note somebody who looks at a machine."""
        self._viewers[machine] = self._viewers.get(machine, 0) + 1

    def remove(self, machine: str) -> None:
        """Note that somebody looks at a machine no more."""
        self._viewers[machine] = self._viewers.get(machine, 0) - 1
        if self._viewers[machine] <= 0:
            del self._viewers[machine]

    def ask(self, configured: Collection[str]) -> None:
        """Ask for the sound of the machines, where that has changed."""
        wanted = [each for each in self._viewers if each in configured][:MAX_WATCHED]
        wanted += [each for each in configured if each not in wanted][: MAX_WATCHED - len(wanted)]
        if wanted != self._asked:
            self._asked = wanted
            _ask({"watched": wanted})


def ask_reload() -> None:
    """Ask the daemon to read configuration and models again."""
    _ask({"reload": True})


def _ask(what: dict[str, object]) -> None:
    with contextlib.suppress(BlockingIOError, BrokenPipeError):  # the daemon ends, or hangs
        os.write(1, json.dumps(what).encode() + b"\n")
