"""Of which stored blocks the sound is kept too: spread over time and operating modes.

Pure.  At most one block in an hour, so that machines that begin together, each with a phase of its
own, go on at different times.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import inf

from asd_monitor.commissioning.blocks import LiveBlock, SoundMode, SoundPiece

_FIRST_WITHIN_S = 900.0  # of evaluated sound, in which the machines of a box keep sound first
_EVERY_S = 7200.0  # at least
_OF_RARE_MODES_EVERY_S = 3600.0  # at least


class SoundSchedule:
    """When the sound of a block is kept.

    Args:
        phase: 0 to 1: when the machine begins among those of its box.

    """

    def __init__(self, phase: float) -> None:
        self._first_s = phase * _FIRST_WITHIN_S  # age of the commissioning
        self._tried_s: float | None = None  # Unix time of the newest block that was chosen

    def is_due(self, block: LiveBlock, stored: Sequence[SoundPiece]) -> bool:
        """Return whether the sound of this block is to be kept beside the pieces that are."""
        if block.age_s < self._first_s:
            return False
        times_s = [piece.time_s for piece in stored]
        if self._tried_s is not None:
            times_s.append(self._tried_s)  # it is being written, or could not be
        is_rare = _is_rare(block.stratum.mode, stored)
        pause_s = _OF_RARE_MODES_EVERY_S if is_rare else _EVERY_S
        return all(abs(block.time_s - time_s) >= pause_s for time_s in times_s)

    def note_tried(self, block: LiveBlock) -> None:
        """Note that the sound of this block is being written."""
        self._tried_s = block.time_s


def most_redundant_piece(pieces: Sequence[SoundPiece]) -> int:
    """Return the index of the piece to delete first, of pieces in order of time.

    It is of the operating modes with the most pieces, and of these the one that is nearest to the
    piece before it, of whatever mode that is.  Of equal distances the first counts, so that the
    pieces that are left are evenly spread.
    """
    modes = [piece.mode for piece in pieces]
    most = max(modes.count(mode) for mode in modes)
    times_s = [piece.time_s for piece in pieces]
    apart_s = [inf, *(later - earlier for earlier, later in pairwise(times_s))]
    candidates = [number for number, mode in enumerate(modes) if modes.count(mode) == most]
    return min(candidates, key=apart_s.__getitem__)


def _is_rare(mode: SoundMode, stored: Sequence[SoundPiece]) -> bool:
    """Return whether a mode has fewer pieces than the others have on average."""
    modes = [piece.mode for piece in stored]
    return modes.count(mode) * len({*modes, mode}) < len(modes)
