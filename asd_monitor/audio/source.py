"""Sources of sound: the interface that microphones, recordings and shared sound implement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from asd_monitor.audio.stream import StreamLifetime
from asd_monitor.records import Block, MicrophoneState, Stream

BLOCK_S = 0.1
"""Length of a block where the receiver asks for no other, in s."""
MAX_BLOCK_S = 0.512
"""Longest block that is asked for, in s."""


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


class Receiver(Protocol):
    """Takes the sound of one source.

    All methods but `room` return at once.  The first call is `opened` or `interrupted`; `write`
    is called between `opened` and the next `interrupted` only.
    """

    def opened(self, opened: Opened) -> None:
        """Take note of the opening; blocks follow."""

    def write(self, block: Block) -> None:
        """Take a block, which may start after the end of the previous one (a gap)."""

    def interrupted(self, outage: Outage) -> None:
        """Take note of an outage, or of another reason of it."""

    async def room(self, samples: int) -> None:
        """Wait until a block of so many samples can be written without a loss.

        Awaited by recordings only: a device does not wait.
        """


class Source(Protocol):
    """A stream of mono sound in which every missing sample is accounted for.

    All blocks are of one `Stream`.  Each starts at or after the end of the previous one.  A later
    start is a gap: lost samples, an outage (its length by the monotonic clock), or the boundary of
    two files.  The first block may start beyond 0, where the device was already open for other
    sources; this is not a gap.
    """

    @property
    def stream(self) -> StreamLifetime:
        """State and counters of the stream."""

    @property
    def drift_ppm(self) -> float:
        """Deviation of the device's sample clock from the monotonic clock, in ppm.

        Positive if the device is faster; 0.0 until it is known.
        """

    @property
    def is_paced(self) -> bool:
        """Whether the source delivers at a rate of its own rather than on demand."""

    async def run(self, receiver: Receiver) -> None:
        """Deliver to the receiver until `close`; a recording ends after its last file.

        It is called once.  A cancellation releases the device as `close` does.

        Raises:
            UsageError: the source will never deliver (no file is readable).

        """

    async def close(self) -> None:
        """Release the device; `run` then ends and delivers nothing more.

        May be called in any state (never run, opening, delivering, interrupted, closed) and more
        than once.  Returns within a time limit that each source documents.
        """
