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


@dataclass(slots=True)
class BoxRefits:
    """A refit, whose turn it is, and the thread of the stored blocks."""

    refit: Refit
    storing: WorkerThread = field(default_factory=lambda: WorkerThread("commissioning"))
    """The thread that reads and writes live blocks."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held during a refit."""
