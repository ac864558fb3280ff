"""The alarm score: the quantity that the alarm rule compares with the thresholds.

It is the median of the sustained scores of the windows in the last ten seconds of running
time, where a sustained score is −log10 of the probability that normal sound keeps a fused
score this high for that long.

- Windows overlap (2 s long, every 0.5 s), so that a single impact raises four or five
  consecutive scores.  These are less than half of the twenty in the span and leave the
  median unchanged; a mean or a maximum would follow them.
- A persistent fault fills more than half of the span after about six seconds.
- The median of normal windows varies much less than a single score, so that a fault too weak
  to be detected in one window is detected in the median.

With an even number of windows it is the lower median: a high alarm score needs more than half
of the span.  Windows without a score (before the start, lost in a gap) count as 0, so that
the first windows, which may all contain the same impact, cannot raise an alarm.  `full` is
false as long as the span contains such windows; a low alarm score is conclusive only if it is
true.  Idle windows are skipped and not part of the span: a machine that runs for a few seconds
at a time has an alarm score as well.  A new run after a long pause begins with an empty span
(`asd_monitor.alarm.state_machine`).
"""

from __future__ import annotations

import math
from collections import deque

ALARM_SPAN_S = 10.0


def span_windows(hop_s: float, span_s: float = ALARM_SPAN_S) -> int:
    """Return how many windows, one every ``hop_s`` seconds, the alarm score spans."""
    return max(1, round(span_s / hop_s))


def max_outliers(windows: int) -> int:
    """Return how many of the windows in a span may score high without raising the median."""
    return (windows - 1) // 2


class AlarmScore:
    """Running lower median of the sustained scores of one machine."""

    def __init__(self, hop_s: float, span_s: float = ALARM_SPAN_S) -> None:
        """Begin with an empty span of ``span_s`` seconds and a window every ``hop_s``."""
        self._size = span_windows(hop_s, span_s)
        self._scores: deque[float | None] = deque([None] * self._size, maxlen=self._size)

    @property
    def full(self) -> bool:
        """Whether every window in the span has a score."""
        return None not in self._scores

    def push(self, score: float, hops: int = 1) -> float:
        """Add the sustained score of the next window and return the alarm score.

        Args:
            score: sustained score, 0 … 12.
            hops: hops that the window stands for, 1 unless windows are skipped under load.

        Raises:
            ValueError: the score is NaN.

        """
        if math.isnan(score):
            raise ValueError("a window's score is not a number")
        self._scores.extend([score] * hops)
        return sorted(score or 0.0 for score in self._scores)[max_outliers(self._size)]

    def push_missing(self, windows: int) -> None:
        """Add windows without a score."""
        self._scores.extend([None] * min(windows, self._size))

    def reset(self) -> None:
        """Empty the span."""
        self.push_missing(self._size)
