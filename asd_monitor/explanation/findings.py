"""A finding: what differs from the training sound, where, and by how much."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FindingKind(StrEnum):
    """What differs."""

    LEVEL = "level"  # the whole sound is louder or quieter
    TONE = "tone"  # a tone that is new, or more prominent than in training
    MISSING_TONE = "missing_tone"
    SPEED = "speed"  # all tones of the machine are shifted by one ratio
    IMPACTS = "impacts"  # at a regular rate
    IRREGULAR_IMPACTS = "irregular_impacts"
    MODULATION = "modulation"  # the level of a band rises and falls at a rate
    LOUD_BAND = "loud_band"
    QUIET_BAND = "quiet_band"
    GAPS = "gaps"  # short silence
    RHYTHM = "rhythm"  # the period of the machine's strokes is longer, shorter or irregular
    UNSPECIFIC = "unspecific"  # nothing of the above


@dataclass(frozen=True, slots=True)
class Finding:
    """What differs from the training sound, and its place in time and frequency."""

    kind: FindingKind
    strength: float
    """How far outside the range of the training sound, in units of what is a clear difference."""
    from_hz: float
    to_hz: float
    change_db: float = 0.0  # from the usual value of the training sound
    rate_hz: float | None = None  # of impacts, of modulation, of a rhythm
    harmonics: int = 1  # of a tone or of a rate, itself included
    sideband_hz: float | None = None  # distance of sidebands of a tone
    change_percent: float | None = None  # of speed or rhythm; None: it is irregular
    new: bool = False  # whether there is no such tone or rate in the training sound
    times_s: tuple[float, ...] = ()  # of impacts, from the start of the sound; none: throughout

    @property
    def place_hz(self) -> float:
        """The middle of its frequencies."""
        return (self.from_hz + self.to_hz) / 2.0
