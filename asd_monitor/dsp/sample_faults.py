"""Faults of a converter or a file that single samples show, before any processing.

- unusable: not a number, infinite, or beyond any scale.  Files of floating-point samples contain
  such values, as after a transmission error; they are treated as lost samples, as a gap.
- clipped: at full scale.
- constant: equal for seconds, as from a muted or broken input; a microphone has noise of its own.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from asd_monitor.records import Block, Samples

Integers = npt.NDArray[np.intp]

CLIPPING_LEVEL = 0.9995
"""Absolute sample value from which a sample counts as clipped; full scale is 1."""
DEAD_CHANNEL_S = 2.0
"""Shortest run of equal samples of a dead channel."""
MAX_AMPLITUDE = 1e10
"""Largest usable amplitude, full scale 1: above the counts of 32-bit integers in files that are not
scaled, and so low that no feature overflows in single precision."""


def usable_runs(samples: Samples) -> list[tuple[int, int]]:
    """Return (first, past) of each run of usable samples of (n,) float32."""
    if not len(samples):
        return []
    if samples.max() <= MAX_AMPLITUDE and samples.min() >= -MAX_AMPLITUDE:
        return [(0, len(samples))]
    usable = np.concatenate(([False], np.abs(samples) <= MAX_AMPLITUDE, [False]))
    edges = np.flatnonzero(usable[1:] != usable[:-1])
    return [(int(first), int(past)) for first, past in edges.reshape(-1, 2)]


def equal_runs(samples: Samples) -> tuple[Integers, Integers]:
    """Return where each run of equal samples of (n,), n ≥ 1, begins, and one past its end."""
    edges = np.flatnonzero(samples[1:] != samples[:-1]) + 1
    return np.concatenate(([0], edges)), np.concatenate((edges, [len(samples)]))


def usable_parts(block: Block) -> list[Block]:
    """Return the block without its unusable samples: parts with gaps between them."""
    runs = usable_runs(block.samples)
    if runs == [(0, len(block.samples))]:
        return [block]
    return [block.part(block.start + first, block.start + past) for first, past in runs]
