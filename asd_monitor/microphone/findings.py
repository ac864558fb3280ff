"""What is found wrong with a microphone, and the condition that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from asd_monitor.records import MicrophoneState


class FindingKind(StrEnum):
    """What is found in the captured sound."""

    DROPOUTS = "dropouts"  # runs of equal samples
    CLIPPING = "clipping"  # samples at full scale
    HUM = "hum"  # of the mains, and the rest of the sound is lower than ever
    COVERED = "covered"  # high frequencies are lower than ever, low ones are not
    LEVEL = "level"  # the same change at all frequencies
    RESPONSE = "response"  # another frequency response than before an interruption of the capture


NEVER_HOLDS = frozenset({FindingKind.CLIPPING, FindingKind.LEVEL})
"""Findings that a louder machine explains as well: they do not delay its alarm."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A change of the captured sound that a microphone explains."""

    kind: FindingKind
    certain: bool  # a fault; otherwise the microphone is degraded
    text: str  # for the engineer: what was measured, and what to look at
    excludes_machine: bool = False
    """Whether no fault of a machine has this effect.  A certain finding of which that is not known
    is a fault for a limited time, so that it suppresses no alarm for ever."""

    @property
    def is_suspicion(self) -> bool:
        """Whether it can delay an alarm."""
        return self.kind not in NEVER_HOLDS


@dataclass(frozen=True, slots=True)
class MicrophoneCondition:
    """State of a microphone by its sound, and why; without a reason it is `ok`."""

    state: MicrophoneState = MicrophoneState.OK
    reason: str | None = None

    @property
    def is_fault(self) -> bool:
        """Whether the sound is not evaluated."""
        return self.state is MicrophoneState.FAULT
