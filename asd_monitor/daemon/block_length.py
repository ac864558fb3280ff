"""The length of the blocks of a live stream, so that they serve its windows.

A block of a hop wakes the machine once for each window.  A window does not end with a block,
however: it consists of whole hops and the head of one more, and a resampler delays it.  The
length is therefore a fraction of a hop, the longest with which a window waits at most
`MAX_WAIT_S` for the end of its block.  That holds after a gap as well, since the windows begin
anew with a block.
"""

from __future__ import annotations

from asd_monitor.audio.source import MAX_BLOCK_S

MAX_WAIT_S = 0.1
_RESAMPLING_S = 0.02  # delay of the resampler, at most
_ROUNDING_S = 1e-6


def block_length_s(window_s: float, hop_s: float) -> float:
    """Return the length of the blocks, in s, for windows of this length every ``hop_s``.

    >>> block_length_s(1.984, 0.512)
    0.512
    >>> block_length_s(2.0, 0.5)
    0.1
    """
    parts = 1
    while True:
        block_s = hop_s / parts
        waits = (_wait_s(window_s, block_s), _wait_s(window_s + _RESAMPLING_S, block_s))
        if block_s <= MAX_WAIT_S + _ROUNDING_S:
            return block_s
        if block_s <= MAX_BLOCK_S + _ROUNDING_S and max(waits) <= MAX_WAIT_S:
            return block_s
        parts += 1


def _wait_s(window_s: float, block_s: float) -> float:
    """Return how long after its end a window's last block is complete."""
    return (_ROUNDING_S - window_s) % block_s
