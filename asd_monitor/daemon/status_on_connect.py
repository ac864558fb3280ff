"""The status of the box after each connect, at which the broker has an older one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable


class StatusOnConnect:
    """Publishes after each connect; `note` is called in the thread of the broker session."""

    def __init__(self) -> None:
        self._connected = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self) -> None:
        """Take connects from now on; called in the event loop before the session starts."""
        self._loop = asyncio.get_running_loop()

    def note(self) -> None:
        """Note a connect.  May be called in any thread, also after the end of the event loop."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the event loop is closed
                self._loop.call_soon_threadsafe(self._connected.set)

    async def run(self, publish: Callable[[], None]) -> None:
        """Call ``publish`` after each connect.  It runs until cancelled."""
        while True:
            await self._connected.wait()
            self._connected.clear()
            publish()
