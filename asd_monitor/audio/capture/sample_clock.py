"""Absolute sample index of each received frame, and the number of lost samples.

Theory of operation.  A device with a correct clock has produced ``rate × time`` samples.  The
*deficit* of a frame is this number less the samples received, at the time when its last sample was
captured: when it was read, less the duration of the samples that then waited in the device's
buffer.  Other delays, such as those of a sound server, raise the deficit temporarily, lost samples
raise it permanently.  The lower envelope of the deficit, its *floor*, is therefore tracked, as fast
as two clocks may drift apart (±500 ppm).  A frame whose deficit lies above the floor by more than a
tolerance is *suspect* and held:

- A later frame returns to the floor: all held frames were only late, and are released.
- The deficit stops falling and stays above the floor for the grace time, in which a pause between
  two frames counts for at most `_STEADY_S`, since a pause proves nothing.  The difference is a
  loss.  The held frames up to the first with the final deficit may lie before, after or across
  it: they are dropped and count as lost.  The others follow the gap.

Pure: the time of each frame is an argument.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

GRACE_S = 1.0
DRIFT_PPM = 500.0
TOLERANCE_S = 0.03
_STEADY_S = 0.25
_DRIFT_KNOWN_AFTER_S = 60.0
_SETTLED_AFTER_S = 5.0


@dataclass(frozen=True, slots=True)
class _HeldFrame:
    count: int  # samples
    time_ns: int
    deficit: float  # samples


class SampleClock:
    """Assigns absolute sample indices to frames; suspect frames are delayed.

    `lost_samples` and `gaps` count from the first stream on, through `restart`.
    """

    def __init__(
        self,
        rate_hz: int,
        *,
        grace_s: float = GRACE_S,
        drift_ppm: float = DRIFT_PPM,
        tolerance_s: float = TOLERANCE_S,
    ) -> None:
        self.lost_samples = 0
        self.gaps = 0
        self.drift_ppm = 0.0
        """Deviation of the device's clock, in ppm, positive if it is faster; 0.0 in the first
        minute of a stream."""
        self._rate = rate_hz / 1e9  # samples per ns
        self._grace_ns = grace_s * 1e9
        self._max_drift = drift_ppm / 1e6 * self._rate  # samples per ns
        self._tolerance = tolerance_s * rate_hz  # samples
        self._position = 0  # index of the next sample to be placed
        self._placed_ns: int | None = None  # time of the last placed frame
        self._held: deque[_HeldFrame] = deque()
        self._begin()

    def _begin(self) -> None:
        self._first_ns: int | None = None
        self._received = 0.0  # samples received, or counted as lost, since the first frame
        self._floor = 0.0
        self._floor_ns = 0
        self._lowest = 0.0  # deficit of the held frames
        self._lowest_ns = 0
        self._steady_ns = 0.0  # since the lowest deficit, pauses limited
        self._drift_origin: tuple[int, float] | None = None  # (time, floor)

    def restart(self) -> None:
        """Start another stream; the time until its first frame is an outage."""
        self._held.clear()
        self._begin()

    def push(self, count: int, time_ns: int) -> list[int | None]:
        """Add a frame of ``count`` samples, the last captured at this monotonic time in ns.

        Returns one entry for each released frame, oldest first: the absolute index of its first
        sample, or None for a frame to be dropped.  Empty: the frame is held.
        """
        if self._first_ns is None:
            self._first_ns = self._floor_ns = time_ns
            self._received = -float(count)
            self._skip_outage(count, time_ns)
        self._received += count
        deficit = (time_ns - self._first_ns) * self._rate - self._received
        self._held.append(_HeldFrame(count, time_ns, deficit))
        drift = self._max_drift * max(0, time_ns - self._floor_ns)
        if deficit <= self._floor + drift + self._tolerance:
            self._track_floor(deficit, drift, time_ns, (time_ns - self._first_ns) / 1e9)
            return self._release()
        if len(self._held) == 1 or deficit < self._lowest - self._tolerance:
            self._lowest_ns, self._steady_ns = time_ns, 0.0
            self._lowest = deficit
        elif len(self._held) > 1:
            self._steady_ns += min(time_ns - self._held[-2].time_ns, _STEADY_S * 1e9)
        self._lowest = min(self._lowest, deficit)
        if self._steady_ns < self._grace_ns:
            return []
        return self._count_loss()

    def _skip_outage(self, count: int, time_ns: int) -> None:
        if self._placed_ns is not None:
            missing = max(1, round((time_ns - self._placed_ns) * self._rate) - count)
            self._position += missing
            self.lost_samples += missing
            self.gaps += 1

    def _track_floor(self, deficit: float, drift: float, time_ns: int, elapsed_s: float) -> None:
        self._floor = min(deficit, self._floor + drift)
        self._floor_ns = time_ns
        if self._drift_origin is None:
            if elapsed_s > _SETTLED_AFTER_S:
                self._drift_origin = time_ns, self._floor
        elif elapsed_s > _DRIFT_KNOWN_AFTER_S:
            origin_ns, floor = self._drift_origin
            expected = (time_ns - origin_ns) * self._rate
            self.drift_ppm = (floor - self._floor) / expected * 1e6

    def _release(self) -> list[int | None]:
        starts: list[int | None] = []
        while self._held:
            frame = self._held.popleft()
            starts.append(self._position)
            self._position += frame.count
            self._placed_ns = frame.time_ns
        return starts

    def _count_loss(self) -> list[int | None]:
        loss = round(self._lowest - self._floor)
        missing = loss
        dropped: list[int | None] = []
        while self._held:
            frame = self._held.popleft()
            dropped.append(None)
            missing += frame.count
            if frame.deficit <= self._lowest + self._tolerance:
                break
        self._received += loss
        self._floor_ns = self._lowest_ns
        self._position += missing
        self.lost_samples += missing
        self.gaps += 1
        return dropped + self._release()
