"""Where received samples belong in time, and how many never came.

Theory of operation.  A device owes ``rate × time`` samples.  What it still owes when a
frame arrives is the *deficit*; late frames make it high for a while, lost samples for
ever.  So the floor of the deficit is followed, as far as two clocks may drift apart
(±500 ppm); a frame whose deficit lies above it is *suspect* and held back:

- a later frame is on the floor again: everything was only late, and is let go;
- the deficit no longer falls and stays above for the grace time (a silence counts little:
  it proves nothing): what is missing was lost.  The held frames up to the first with the
  final deficit may lie on either side of the loss or across it: they are dropped and count
  as lost.  The rest follows the gap.

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
class _Held:
    count: int
    time_ns: int
    deficit: float


class SampleClock:
    """Gives each frame its absolute sample index, at the price of holding back suspects.

    `lost_samples` and `gaps` count since the beginning, over `reopened` streams too.
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
        """By how much the device's clock is faster than ours; 0.0 in a stream's first minute."""
        self._rate = rate_hz / 1e9  # samples a nanosecond
        self._grace_ns = grace_s * 1e9
        self._creep = drift_ppm / 1e6 * self._rate
        self._tolerance = tolerance_s * rate_hz
        self._position = 0  # index of the next sample to be placed
        self._placed_ns: int | None = None  # when the last placed sample was read
        self._held: deque[_Held] = deque()
        self._begin()

    def _begin(self) -> None:
        self._first_ns: int | None = None
        self._owed_before = 0.0  # samples received (or given up) since the first frame
        self._floor = 0.0
        self._floor_ns = 0
        self._lowest = 0.0  # deficit among the held
        self._lowest_ns = 0
        self._waited_ns = 0.0  # since the lowest, while frames came
        self._settled: tuple[int, float] | None = None  # (time, floor) to measure drift from

    def reopened(self) -> None:
        """Begin another stream; the time until its first frame was not heard."""
        self._held.clear()
        self._begin()

    def push(self, count: int, time_ns: int) -> list[int | None]:
        """Take note of a frame read at this time; place the oldest frames held.

        Returns one entry for each frame let go, oldest first: the absolute index of its
        first sample, or None when the frame must be dropped.  Empty: it is held.
        """
        if self._first_ns is None:
            self._first_ns = self._floor_ns = time_ns
            self._owed_before = -float(count)
            self._skip_outage(count, time_ns)
        self._owed_before += count
        deficit = (time_ns - self._first_ns) * self._rate - self._owed_before
        self._held.append(_Held(count, time_ns, deficit))
        may_creep = self._creep * max(0, time_ns - self._floor_ns)
        if deficit <= self._floor + may_creep + self._tolerance:
            self._follow(deficit, may_creep, time_ns, (time_ns - self._first_ns) / 1e9)
            return self._let_go()
        if len(self._held) == 1 or deficit < self._lowest - self._tolerance:
            self._lowest_ns, self._waited_ns = time_ns, 0.0
            self._lowest = deficit
        elif len(self._held) > 1:
            self._waited_ns += min(time_ns - self._held[-2].time_ns, _STEADY_S * 1e9)
        self._lowest = min(self._lowest, deficit)
        if self._waited_ns < self._grace_ns:
            return []
        return self._give_up()

    def _skip_outage(self, count: int, time_ns: int) -> None:
        if self._placed_ns is not None:
            missed = max(1, round((time_ns - self._placed_ns) * self._rate) - count)
            self._position += missed
            self.lost_samples += missed
            self.gaps += 1

    def _follow(self, deficit: float, may_creep: float, time_ns: int, elapsed_s: float) -> None:
        self._floor = min(deficit, self._floor + may_creep)
        self._floor_ns = time_ns
        if self._settled is None:
            if elapsed_s > _SETTLED_AFTER_S:
                self._settled = time_ns, self._floor
        elif elapsed_s > _DRIFT_KNOWN_AFTER_S:
            since_ns, floor = self._settled
            owed = (time_ns - since_ns) * self._rate
            self.drift_ppm = (floor - self._floor) / owed * 1e6

    def _let_go(self) -> list[int | None]:
        starts: list[int | None] = []
        while self._held:
            frame = self._held.popleft()
            starts.append(self._position)
            self._position += frame.count
            self._placed_ns = frame.time_ns
        return starts

    def _give_up(self) -> list[int | None]:
        missing = round(self._lowest - self._floor)
        dropped: list[int | None] = []
        while self._held:
            frame = self._held.popleft()
            dropped.append(None)
            missing += frame.count
            if frame.deficit <= self._lowest + self._tolerance:
                break
        self._owed_before += round(self._lowest - self._floor)
        self._floor_ns = self._lowest_ns
        self._position += missing
        self.lost_samples += missing
        self.gaps += 1
        return dropped + self._let_go()
