"""Which blocks are dropped first where the space is full: the most redundant, then the oldest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from asd_monitor.commissioning.blocks import Stratum


@dataclass(frozen=True, slots=True)
class BlockEntry:
    """A stored block."""

    number: int
    time_s: float  # Unix time
    stratum: Stratum


def most_redundant(entries: Sequence[BlockEntry], count: int) -> list[int]:
    """Return the numbers of ``count`` blocks to drop, fewer where there are fewer.

    Of the operating condition with the most blocks, the one whose neighbours in time are nearest is
    dropped; of equal ones the oldest.
    """
    by_stratum: defaultdict[Stratum, list[BlockEntry]] = defaultdict(list)
    for entry in sorted(entries, key=lambda each: (each.time_s, each.number)):
        by_stratum[entry.stratum].append(entry)
    dropped = []
    for _ in range(min(count, len(entries))):
        fullest = max(by_stratum, key=lambda stratum: (len(by_stratum[stratum]), stratum))
        own = by_stratum[fullest]
        dropped.append(own.pop(_nearest(own)).number)
        if not own:
            del by_stratum[fullest]
    return dropped


def _nearest(own: Sequence[BlockEntry]) -> int:
    """Return the index of the block whose neighbours in time are nearest to each other."""
    if len(own) < 3:
        return 0
    spans = [after.time_s - before.time_s for before, after in zip(own, own[2:], strict=False)]
    return 1 + min(range(len(spans)), key=spans.__getitem__)
