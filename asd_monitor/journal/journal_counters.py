"""What the journal has lost, rebuilt or given up since the start of the daemon."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JournalCounters:
    """Counts since the journal was opened."""

    dropped: int = 0
    """Entries given up: refused by SQLite, or too many while none can be written."""
    rebuilt: int = 0
    """Times that the file was made anew: removed, replaced or damaged while the daemon runs."""
    deleted_transitions: int = 0
    """Old transitions deleted since the journal was full."""
    damaged_events: int = 0
    """Events that were found damaged before they were published, and set aside."""
    malformed_requests: int = 0
    """Requests of people that could not be applied whatever they ask, and were refused."""
