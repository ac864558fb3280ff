"""Signals to children: one that has ended is left for asyncio to collect."""

from __future__ import annotations

import asyncio
import signal

import pytest

from asd_monitor.child_signals import send_signal

TIMEOUT_S = 20.0
ROUNDS = 40  # of a race, which a few lose where the signal collects the child
TIMES = 300  # which take longer than the end of the child


async def test_a_child_keeps_its_status_when_a_signal_is_sent_again_as_it_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(ROUNDS):
        child = await asyncio.create_subprocess_exec("sleep", "1000")
        for _ in range(TIMES):
            send_signal(child, signal.SIGKILL)
        async with asyncio.timeout(TIMEOUT_S):
            assert await child.wait() == -signal.SIGKILL
        send_signal(child, signal.SIGKILL)  # without effect
    assert "Unknown child" not in caplog.text
