"""How much sound of a span of time is kept: stored live blocks, and the sound of past alarms."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from asd_monitor.commissioning.blocks import BLOCK_S
from asd_monitor.commissioning.store import CommissioningStore
from asd_monitor.evidence.alarm_sound import alarm_sounds


@dataclass(frozen=True, slots=True)
class KeptSound:
    """What is kept of a span."""

    blocks: int  # live blocks of ten seconds
    alarms_s: float  # sound of alarms

    @property
    def seconds(self) -> float:
        """All of it, in s; sound that is in a block and in that of an alarm counts twice."""
        return self.blocks * BLOCK_S + self.alarms_s


def kept_sound(state: Path, machine: str, begin: datetime, end: datetime) -> KeptSound:
    """Return what is kept of a machine's sound between two times.

    Raises:
        CommissioningStoreError: the stored blocks cannot be read.

    """
    first_s, past_s = begin.timestamp(), end.timestamp()
    times_s = CommissioningStore(state / "commissioning" / machine).times_s()
    alarms_s = sum(each.overlap_s(begin, end) for each in alarm_sounds(state, machine))
    return KeptSound(sum(first_s - BLOCK_S < time_s < past_s for time_s in times_s), alarms_s)
