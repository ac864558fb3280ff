"""Requests to read configuration and models again, and who waits for the outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from asd_monitor.daemon.config_reload import ReloadOutcome

MAX_WAITING = 100
"""Receivers of an outcome."""


class TooManyReloadsError(Exception):
    """So many outcomes of a reload are awaited that no more are."""


class ReloadRequests:
    """Reloads that are requested; one reload serves all that were requested before it begins.

    All methods are called in the event loop.
    """

    def __init__(self) -> None:
        self._requested = asyncio.Event()
        self._waiting: list[Callable[[ReloadOutcome], None]] = []

    def request(self) -> None:
        """Request a reload."""
        self._requested.set()

    def request_outcome(self, receive: Callable[[ReloadOutcome], None]) -> None:
        """Request a reload, and call ``receive`` with the outcome of one that begins later.

        Raises `TooManyReloadsError` where `MAX_WAITING` wait.
        """
        if len(self._waiting) >= MAX_WAITING:
            raise TooManyReloadsError
        self._waiting.append(receive)
        self._requested.set()

    async def next(self) -> int:
        """Wait for a request; return how many wait for the outcome of a reload that begins now."""
        await self._requested.wait()
        self._requested.clear()
        return len(self._waiting)

    def end(self, waiting: int, outcome: ReloadOutcome) -> None:
        """Pass the outcome on to those who waited at the begin."""
        receivers, self._waiting = self._waiting[:waiting], self._waiting[waiting:]
        for receive in receivers:
            receive(outcome)
