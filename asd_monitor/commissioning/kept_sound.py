"""How much sound of a span of time is kept: stored live blocks, and the sound of past alarms."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from asd_monitor.commissioning.blocks import BLOCK_S
from asd_monitor.commissioning.store import CommissioningStore
from asd_monitor.evidence.package_names import FOLDER, SOUND
from asd_monitor.names import time_of_alarm_id

_ID_RESOLUTION = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class KeptSound:
    """What is kept of a span."""

    blocks: int  # live blocks of ten seconds
    alarms: int  # with sound

    def __bool__(self) -> bool:
        """Return whether anything is kept."""
        return bool(self.blocks or self.alarms)


def kept_sound(state: Path, machine: str, begin: datetime, end: datetime) -> KeptSound:
    """Return what is kept of a machine's sound between two times.

    Alarms are counted by their ids, which contain the time, and the names of files: no package is
    read, since a machine can have thousands of them.

    Raises:
        CommissioningStoreError: the stored blocks cannot be read.

    """
    # at least half of a block, as where it is learned
    first_s, past_s = begin.timestamp() - BLOCK_S / 2, end.timestamp() - BLOCK_S / 2
    times_s = CommissioningStore(state / "commissioning" / machine).times_s()
    blocks = sum(first_s <= time_s < past_s for time_s in times_s)
    return KeptSound(blocks, _alarms_with_sound(state / FOLDER / machine, machine, begin, end))


def _alarms_with_sound(folder: Path, machine: str, begin: datetime, end: datetime) -> int:
    found = 0
    with suppress(OSError):  # there is no package
        for entry in folder.iterdir():
            raised = time_of_alarm_id(machine, entry.name)
            if raised is not None and begin - _ID_RESOLUTION < raised < end:
                found += (entry / SOUND).exists()
    return found
