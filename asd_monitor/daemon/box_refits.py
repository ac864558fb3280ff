"""What the commissionings of the machines of a box share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path

from asd_monitor.daemon.refit_child import RefitOutcome
from asd_monitor.worker_thread import WorkerThread

Refit = Callable[[str, Path, Path], Coroutine[None, None, RefitOutcome]]
"""(machine, models, state) → outcome: see `asd_monitor.daemon.refit_child.refit`."""


@dataclass(frozen=True, slots=True)
class CommissioningCounters:
    """Counts over all machines since the start of the daemon."""

    unread: int = 0
    """Times that stored live sound could not be read; it is tried again."""
    unstored_blocks: int = 0
    """Writes of live blocks that failed."""
    unstored_sounds: int = 0
    """Pieces of sound that could not be stored, or that were overwritten before."""
    skipped_windows: int = 0
    """Windows that were not sampled, since the model was exchanged while they were scored."""
    refits: int = 0
    failed_refits: int = 0


@dataclass(slots=True)
class BoxRefits:
    """A refit, whose turn it is, and the thread of the stored blocks."""

    refit: Refit
    storing: WorkerThread = field(default_factory=lambda: WorkerThread("commissioning"))
    """The thread that reads and writes live blocks."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held during a refit."""
    counters: CommissioningCounters = field(default_factory=CommissioningCounters)

    def count(
        self,
        *,
        unread: int = 0,
        unstored_blocks: int = 0,
        unstored_sounds: int = 0,
        skipped_windows: int = 0,
        refits: int = 0,
        failed_refits: int = 0,
    ) -> None:
        """Add to the counters."""
        now = self.counters
        self.counters = CommissioningCounters(
            now.unread + unread,
            now.unstored_blocks + unstored_blocks,
            now.unstored_sounds + unstored_sounds,
            now.skipped_windows + skipped_windows,
            now.refits + refits,
            now.failed_refits + failed_refits,
        )
