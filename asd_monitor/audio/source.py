"""Sources of sound: the interface that microphones, recordings and shared sound implement."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from asd_monitor.records import Block, MicrophoneState, Stream


@dataclass(frozen=True, slots=True)
class Opened:
    """The stream was opened, for the first time or again after an outage; blocks follow."""

    stream: Stream  # the same for all openings of one source
    channels: int  # of the device or file; the source delivers one of them
    name: str  # of the device or file, for display

    @property
    def rate_hz(self) -> int:
        """Sample rate of the stream."""
        return self.stream.rate_hz


@dataclass(frozen=True, slots=True)
class Outage:
    """The stream is interrupted until the next `Opened`."""

    reason: str  # one line: what, where, remedy
    state: MicrophoneState


SourceEvent = Opened | Block | Outage


class Source(Protocol):
    """A stream of mono sound in which every missing sample is accounted for.

    `events` is iterated once, by one task.  The first event is `Opened` or `Outage`.

    All blocks are of one `Stream`.  Each starts at or after the end of the previous one.  A later
    start is a gap: lost samples, an outage (its length by the monotonic clock), or the boundary of
    two files.  The first block may start beyond 0, where the device was already open for other
    sources; this is not a gap.  A microphone's iteration does not end by itself; that of a
    recording ends with its last file.

    The counters start at the first `Opened`.
    """

    @property
    def lost_samples(self) -> int:
        """Number of samples missing from the stream, outages included."""

    @property
    def gaps(self) -> int:
        """Number of gaps between consecutive blocks."""

    @property
    def restarts(self) -> int:
        """Number of times that the stream was opened again."""

    @property
    def drift_ppm(self) -> float:
        """Deviation of the device's sample clock from the monotonic clock, in ppm.

        Positive if the device is faster; 0.0 until it is known.
        """

    @property
    def is_paced(self) -> bool:
        """Whether the source delivers at a rate of its own rather than on demand."""

    def events(self) -> AsyncGenerator[SourceEvent]:
        """Iterate over openings, blocks and outages.

        Raises:
            UsageError: the source will never deliver (no file is readable).

        """

    async def close(self) -> None:
        """Release the device; `events` then ends.

        May be called in any state (never iterated, opening, delivering, in an outage, closed) and
        more than once.  Returns within a time limit that each source documents.
        """


class CountedSource:
    """Base of the sources that count gaps and lost samples from their blocks; see `Source`."""

    def __init__(self) -> None:
        self.lost_samples = 0
        self.gaps = 0
        self.restarts = 0
        self._end: int | None = None  # sample index one past the last counted block

    def _count(self, start: int, end: int) -> None:
        """Count the gap, if any, before the block from ``start`` to ``end``."""
        if self._end is not None and start > self._end:
            self.gaps += 1
            self.lost_samples += start - self._end
        self._end = end
