"""Of which stored blocks the sound is kept too: of one in each hour of the day.

Pure.  At most one block in an hour of evaluated sound, so that machines that begin together, each
with a phase of its own, go on at different times.
"""

from __future__ import annotations

from collections.abc import Iterable

from asd_monitor.commissioning.blocks import LiveBlock, hour_of_day

_FIRST_WITHIN_S = 900.0  # of evaluated sound, in which the machines of a box keep sound first
_EVERY_S = 3600.0  # of evaluated sound, at least


class SoundSchedule:
    """The hours of the day of which sound is kept, and when the next may be.

    Args:
        hours: The hours of the day (UTC) of which there is sound.
        phase: 0 to 1: when the machine begins among those of its box.

    """

    def __init__(self, hours: Iterable[int], phase: float) -> None:
        self._hours = set(hours)
        self._due_s = phase * _FIRST_WITHIN_S  # age of the commissioning

    def is_due(self, block: LiveBlock) -> bool:
        """Return whether the sound of this block is to be kept."""
        return block.age_s >= self._due_s and hour_of_day(block.time_s) not in self._hours

    def note_kept(self, block: LiveBlock) -> None:
        """Note that the sound of this block is kept."""
        self._hours.add(hour_of_day(block.time_s))
        self._due_s = block.age_s + _EVERY_S
