"""The lifetime of a stream: its states, its identity and its counters.

    opening ──► delivering ◄──► interrupted        each of the three ──► closing ──► closed

The transitions are a table.  A step that the table does not contain raises and changes nothing.
Pure: the time of each step is an argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from asd_monitor.records import Stream


class StreamState(StrEnum):
    """State of a stream."""

    OPENING = "opening"
    DELIVERING = "delivering"
    INTERRUPTED = "interrupted"
    CLOSING = "closing"
    CLOSED = "closed"


class StreamStep(StrEnum):
    """What changes the state of a stream."""

    OPEN = "open"  # the device or file is open: blocks follow
    INTERRUPT = "interrupt"  # no sound until it is opened again
    CLOSE = "close"  # its end was requested
    RELEASE = "release"  # nothing is held any more


_S, _T = StreamState, StreamStep
TRANSITIONS: Mapping[tuple[StreamState, StreamStep], StreamState] = {
    (_S.OPENING, _T.OPEN): _S.DELIVERING,
    (_S.OPENING, _T.INTERRUPT): _S.INTERRUPTED,
    (_S.OPENING, _T.CLOSE): _S.CLOSING,
    (_S.OPENING, _T.RELEASE): _S.CLOSED,
    (_S.DELIVERING, _T.INTERRUPT): _S.INTERRUPTED,
    (_S.DELIVERING, _T.CLOSE): _S.CLOSING,
    (_S.DELIVERING, _T.RELEASE): _S.CLOSED,
    (_S.INTERRUPTED, _T.OPEN): _S.DELIVERING,
    (_S.INTERRUPTED, _T.INTERRUPT): _S.INTERRUPTED,  # for another reason
    (_S.INTERRUPTED, _T.CLOSE): _S.CLOSING,
    (_S.INTERRUPTED, _T.RELEASE): _S.CLOSED,
    (_S.CLOSING, _T.CLOSE): _S.CLOSING,
    (_S.CLOSING, _T.RELEASE): _S.CLOSED,
    (_S.CLOSED, _T.CLOSE): _S.CLOSED,
    (_S.CLOSED, _T.RELEASE): _S.CLOSED,
}
"""State after each step that is possible in a state."""


class StreamStateError(RuntimeError):
    """A step that is not possible in the state of the stream: a defect."""


class StreamLifetime:
    """A stream of sound from the first attempt to open its device until that is released.

    The counters begin with the first opening and are kept after the end.
    """

    def __init__(self) -> None:
        self.state = StreamState.OPENING
        self.since_s: float | None = None
        """Monotonic time of the last change of the state, in s; None before the first."""
        self.identity: Stream | None = None
        """Identity and rate; None before the first opening."""
        self.lost_samples = 0
        """Samples missing from the stream, those of interruptions included."""
        self.gaps = 0
        """Gaps between two consecutive blocks."""
        self.restarts = 0
        """Times that it was opened again."""
        self._end: int | None = None  # sample index one past the newest block

    @property
    def is_ending(self) -> bool:
        """Whether its end was requested or has come."""
        return self.state in (StreamState.CLOSING, StreamState.CLOSED)

    def open(self, rate_hz: int, now_s: float) -> Stream:
        """Open it, for the first time or again, and return its identity.

        Raises:
            StreamStateError: it delivers already, or is ending.
            ValueError: it had another rate before.

        """
        if self.identity is not None and self.identity.rate_hz != rate_hz:
            raise ValueError(f"opened again at {rate_hz} Hz instead of {self.identity.rate_hz} Hz")
        self._take(StreamStep.OPEN, now_s)
        if self.identity is None:
            self.identity = Stream(rate_hz)
        else:
            self.restarts += 1
        return self.identity

    def interrupt(self, now_s: float) -> None:
        """Interrupt it until it is opened again.  Raises StreamStateError if it is ending."""
        self._take(StreamStep.INTERRUPT, now_s)

    def close(self, now_s: float) -> None:
        """Request its end; possible in every state and more than once."""
        self._take(StreamStep.CLOSE, now_s)

    def release(self, now_s: float) -> None:
        """Note its end; possible in every state and more than once."""
        self._take(StreamStep.RELEASE, now_s)

    def begin_at(self, sample: int) -> None:
        """Count what is missing from this sample index on, also before the first block."""
        if self._end is None:
            self._end = sample

    def count(self, start: int, end: int) -> None:
        """Count the gap, if any, before the block from sample ``start`` to ``end``.

        Raises:
            StreamStateError: the stream does not deliver.

        """
        if self.state is not StreamState.DELIVERING:
            raise StreamStateError(f"a block while the stream is {self.state}")
        if self._end is not None and start > self._end:
            self.gaps += 1
            self.lost_samples += start - self._end
        self._end = end

    def _take(self, step: StreamStep, now_s: float) -> None:
        after = TRANSITIONS.get((self.state, step))
        if after is None:
            raise StreamStateError(f"{step} while the stream is {self.state}")
        if after is not self.state:
            self.state, self.since_s = after, now_s
