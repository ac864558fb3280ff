"""Waiting for a condition that has no event, such as a message in a list."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

TIMEOUT_S = 30.0
"""Longest wait of a test, in s; far above what a loaded computer needs."""


async def until(condition: Callable[[], object], description: str = "") -> None:
    """Return as soon as a condition holds; raise AssertionError at the timeout."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():  # noqa: ASYNC110 - the condition has no event
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"condition not reached: {description or condition}") from None
