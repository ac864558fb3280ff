"""The ends of shelves: alarms whose time is over are shown again.

How fast is said by `asd_monitor.daemon.shelf_pace`.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from asd_monitor.daemon.machine_registry import MachineRegistry
from asd_monitor.daemon.shelf_pace import ShelfPace


class ShelfExpiry:
    """Ends shelves while `run` runs.

    Args:
        registry: The machines.
        interval_s: Between two checks, in s.

    """

    def __init__(self, registry: MachineRegistry, *, interval_s: float) -> None:
        self.turns = 0
        """How often the shelves were checked."""
        self._registry = registry
        self._interval_s = interval_s
        self._pace = ShelfPace()

    async def run(self) -> None:
        """Check the shelves until cancelled, at once for the first time."""
        while True:
            over = self._registry.expired_shelves(datetime.now(UTC))
            for record in self._pace.due(over):
                await self._registry.expire_shelf(record.machine, self._pace)
            self.turns += 1
            await asyncio.sleep(self._interval_s)
