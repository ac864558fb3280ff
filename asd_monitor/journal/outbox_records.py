"""What the outbox of the journal says of the events that wait to be published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from asd_monitor.journal.alarm_records import Event

MAX_BYTES = 20 << 20  # some 50,000 events
MAX_AGE_S = 30 * 86_400.0  # of running time
LATE_S = 10.0
"""An event that is published later than this after it was recorded is historical."""
LOST = "lost"
"""Among the kinds of dropped events: those of any kind that were lost with the file."""


@dataclass(frozen=True, slots=True)
class WaitingEvent:
    """An event that is to be published; its number is None while it is not in the file."""

    event: Event
    recorded_s: float  # by the clock of `RunningClock`


@dataclass(frozen=True, slots=True)
class OutboxFigures:
    """What is in the outbox, and what has happened to events since the start of the daemon."""

    waiting: int = 0
    bytes: int = 0
    oldest_s: float | None = None  # reading of the monotonic clock; None: none waits
    set_aside: int = 0  # not accepted by the broker
    dropped: Mapping[str, int] = field(default_factory=dict)  # by kind, or `LOST`


@dataclass(frozen=True, slots=True)
class LeftEvents:
    """The events of one machine that are kept for the next run."""

    machine: str
    events: int
    first_seq: int
    last_seq: int


@dataclass(frozen=True, slots=True)
class Settled:
    """An event of which the outcome is known."""

    waiting: WaitingEvent
    refusal: str | None  # None: acknowledged


@dataclass(frozen=True, slots=True)
class OutboxChange:
    """What a transaction changes; it counts once the transaction is on the disk."""

    settled: tuple[Settled, ...]
    figures: OutboxFigures
    newest_number: int
    sequences: Mapping[str, int]
    """Numbers of the newest events that were written, by machine."""
    dropped: Mapping[str, int]
    """Events given up, by kind."""
    set_aside: int
