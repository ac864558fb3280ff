"""The heartbeat: states and status of the box are published again at a fixed interval."""

from __future__ import annotations

import asyncio

from asd_monitor.daemon.box_status import BoxStatus
from asd_monitor.daemon.machine_registry import MachineRegistry


class Heartbeat:
    """Publishes while `run` runs.

    Args:
        registry: The machines, whose states are published.
        box_status: Publishes the status of the box.
        interval_s: Time between two heartbeats, in s.

    """

    def __init__(
        self, registry: MachineRegistry, box_status: BoxStatus, *, interval_s: float
    ) -> None:
        self.turns = 0
        """How many heartbeats there were."""
        self._registry = registry
        self._box_status = box_status
        self._interval_s = interval_s

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            for supervised in self._registry.machines.values():
                supervised.repeat_state()
            self._box_status.publish()
            self.turns += 1
