"""Blocks of one stream for each sampling rate."""

from __future__ import annotations

from functools import cache

from asd_monitor.audio.source import Opened
from asd_monitor.records import Block, Samples, Stream


@cache
def stream_at(rate_hz: int) -> Stream:
    """Return the stream of this rate, always the same one."""
    return Stream(rate_hz)


def block_at(start: int, samples: Samples, rate_hz: int = 16_000) -> Block:
    """Return a block of the stream of this rate."""
    return Block(stream_at(rate_hz), start, samples)


def described(opened: object) -> tuple[int, int, str]:
    """Return rate, channels and name of an opening."""
    assert isinstance(opened, Opened)
    return opened.rate_hz, opened.channels, opened.name
