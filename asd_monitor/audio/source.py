"""What a source of sound is: the one shape behind microphones, files and the daemon's socket."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from asd_monitor.records import Block, MicrophoneState


@dataclass(frozen=True, slots=True)
class Opened:
    """The stream began, or began anew after an outage; blocks follow."""

    rate_hz: int  # the same for the whole life of a source
    channels: int  # that the device or file has; one of them is heard
    name: str  # of the device or file, for people


@dataclass(frozen=True, slots=True)
class Outage:
    """From now on nobody hears, until the next `Opened`; one line tells why."""

    reason: str
    state: MicrophoneState


Event = Opened | Block | Outage


class Source(Protocol):
    """A stream of sound that never lies about what it did not hear.

    `events` is iterated once, by one task.  The first event is `Opened` or `Outage`.
    Each block starts at or after the end of the one before; where it starts later there
    is a gap: lost samples, an outage (by the monotonic clock), or the boundary of two
    files.  The first one starts beyond 0 where others have heard the device before, which is
    no gap.  A microphone never ends; a file ends the iteration at its end.

    What the counters say counts from the first `Opened`.
    """

    @property
    def lost_samples(self) -> int:
        """Samples that the device should have given and nobody heard, outages included."""

    @property
    def gaps(self) -> int:
        """Places where two blocks that follow each other do not join."""

    @property
    def restarts(self) -> int:
        """Times that the stream was opened again."""

    @property
    def drift_ppm(self) -> float:
        """By how much the device's clock is faster than ours (0.0 until that is known)."""

    @property
    def keeps_pace(self) -> bool:
        """Whether it has a pace of its own; a recording may also go as fast as it is heard."""

    def events(self) -> AsyncGenerator[Event]:
        """Iterate over what happens.

        Raises:
            UsageError: nothing can be heard however long one waits (no file is readable).

        """

    async def close(self) -> None:
        """Release the device; `events` then ends.

        It may be called in any state (never iterated, opening, delivering, in an outage,
        closed) and more than once, and returns within a limit that the source states.
        """
