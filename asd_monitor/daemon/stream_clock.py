"""Sample index → wall clock.

A microphone's samples are due at a fixed rate, but they arrive late, sometimes in
bursts after seconds, and the card's clock runs up to some hundred ppm fast or slow.
`arrival − sample / rate` is therefore the true offset plus a delay that is never
negative: the clock keeps the least of them and lets it rise slowly enough to follow the
card's drift.  The wall clock is added last, as it stands now, so that a step of the
system clock (the first NTP answer after boot) moves all later times at once and leaves
the sample axis as it was.

A recording has a clock of its own: its first sample is taken to sound when the daemon
opens it, and its time then runs as fast as it is read.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

_MAX_DRIFT = 1e-3  # s/s by which the offset may rise; cards stay below 500 ppm
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_STEP_S = 0.5  # the least change of wall − monotonic that counts as a step


class StreamClock:
    """The wall-clock times of one stream's samples.  All arguments are seconds."""

    def __init__(self, rate_hz: int, *, recording: bool = False) -> None:
        self._rate_hz = rate_hz
        self._recording = recording
        self._offset_s: float | None = None  # monotonic time of sample 0
        self._updated_s = 0.0
        self._wall_minus_monotonic_s = 0.0
        self.steps = 0
        """How often the system clock was seen to step."""

    def arrived(self, end: int, *, monotonic_s: float, wall_s: float) -> None:
        """Take note that the samples before index `end` have just arrived."""
        wall_minus_monotonic_s = wall_s - monotonic_s
        offset_s = monotonic_s - end / self._rate_hz
        if self._offset_s is None:
            self._offset_s = offset_s
            self._wall_minus_monotonic_s = wall_minus_monotonic_s
        elif self._recording:
            return
        else:
            if abs(wall_minus_monotonic_s - self._wall_minus_monotonic_s) > _STEP_S:
                self.steps += 1
            self._wall_minus_monotonic_s = wall_minus_monotonic_s
            risen_s = self._offset_s + _MAX_DRIFT * max(0.0, monotonic_s - self._updated_s)
            self._offset_s = min(offset_s, risen_s)
        self._updated_s = monotonic_s

    def wall_s(self, sample: int) -> float:
        """Return the Unix time at which `sample` sounded.

        Raises ValueError before the first arrival.
        """
        if self._offset_s is None:
            raise ValueError("no sample has arrived yet")
        return self._offset_s + self._wall_minus_monotonic_s + sample / self._rate_hz


def clock_synced() -> bool:
    """Return whether the system clock is disciplined, as the kernel tells (`adjtimex(2)`).

    Where asking is forbidden, systemd-timesyncd's mark is looked for; false when nobody knows.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    timex = ctypes.create_string_buffer(512)  # all zero: modes = 0 asks and changes nothing
    answer = libc.adjtimex(timex)
    if answer < 0:
        return Path("/run/systemd/timesync/synchronized").exists()
    return bool(answer != _TIME_ERROR)
