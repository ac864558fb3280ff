"""Wall-clock time of a sample index.

A capture device delivers samples at a fixed rate.  They arrive late, sometimes in bursts after
seconds, and the device's clock differs from the system's by up to some hundred ppm.
``arrival − sample / rate`` is the time of sample 0 plus a delay that is never negative.  Its
running minimum estimates the time of sample 0; the minimum may rise at a limited rate, which
follows the drift of the device.  The offset between the wall clock and the monotonic clock is
added last and is the newest one observed: a step of the system clock (the first NTP answer after
boot) shifts all later times at once and leaves the sample axis unchanged.

A recording has its own clock: its first sample is placed at the time at which the daemon opens
it, and later samples follow at the nominal rate however fast the file is read.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_MAX_DRIFT = 1e-3  # s/s, the rate at which the offset may rise; sound cards stay below 500 ppm
_CLOCK_STEP_S = 0.5  # smallest change of wall − monotonic that counts as a step
_TIME_ERROR = 5  # TIME_ERROR of adjtimex(2): the clock is not synchronised


@dataclass(frozen=True, slots=True)
class Clocks:
    """Readings of the system clocks, in s."""

    monotonic_s: Callable[[], float] = time.monotonic
    wall_s: Callable[[], float] = time.time


class StreamClock:
    """Maps the sample indices of one stream to Unix time.

    Args:
        rate_hz: Nominal sample rate of the stream.
        recording: The stream is a file; its time runs at the nominal rate from the first sample
            on.

    """

    def __init__(self, rate_hz: int, *, recording: bool = False) -> None:
        self._rate_hz = rate_hz
        self._recording = recording
        self._offset_s: float | None = None  # monotonic time of sample 0
        self._updated_s = 0.0
        self._wall_minus_monotonic_s = 0.0
        self.steps = 0
        """Observed steps of the system clock."""

    def update(self, end: int, *, monotonic_s: float, wall_s: float) -> None:
        """Record that the samples before index ``end`` have arrived at these clock readings."""
        wall_minus_monotonic_s = wall_s - monotonic_s
        offset_s = monotonic_s - end / self._rate_hz
        if self._offset_s is None:
            self._offset_s = offset_s
            self._wall_minus_monotonic_s = wall_minus_monotonic_s
        elif self._recording:
            return
        else:
            if abs(wall_minus_monotonic_s - self._wall_minus_monotonic_s) > _CLOCK_STEP_S:
                self.steps += 1
            self._wall_minus_monotonic_s = wall_minus_monotonic_s
            risen_s = self._offset_s + _MAX_DRIFT * max(0.0, monotonic_s - self._updated_s)
            self._offset_s = min(offset_s, risen_s)
        self._updated_s = monotonic_s

    def wall_s(self, sample: int) -> float:
        """Return the Unix time of a sample index, in s.

        Raises ValueError before the first `update`.
        """
        if self._offset_s is None:
            raise ValueError("no sample has arrived yet")
        return self._offset_s + self._wall_minus_monotonic_s + sample / self._rate_hz


def clock_synced() -> bool:
    """Return whether the kernel reports a synchronised system clock (``adjtimex(2)``).

    Where the system call is forbidden, the flag file of systemd-timesyncd decides.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    timex = ctypes.create_string_buffer(512)  # all zero: modes = 0 reads and changes nothing
    status = libc.adjtimex(timex)
    if status < 0:
        return Path("/run/systemd/timesync/synchronized").exists()
    return bool(status != _TIME_ERROR)
