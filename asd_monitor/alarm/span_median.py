"""The evidence of ten seconds: the shortest time scale of the alarm score.

It is the median of the evidence of the windows in the last ten seconds of running time.

- Windows overlap (2 s long, every 0.5 s), so that a single impact raises the evidence of four or
  five consecutive ones.  These are less than half of the twenty in the span and leave the
  median unchanged; a mean or a maximum would follow them.
- A persistent fault fills more than half of the span after about six seconds.
- The median of normal windows varies much less than a single score, so that a fault too weak
  to be detected in one window is detected in the median.

With an even number of windows it is the lower median: high evidence needs more than half of the
span.  Windows without a score (before the start, lost in a gap) count as −inf, so that
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
    """Return how many windows, one every ``hop_s`` seconds, the span has."""
    return max(1, round(span_s / hop_s))


def max_outliers(windows: int) -> int:
    """Return how many of the windows in a span may score high without raising the median."""
    return (windows - 1) // 2


class SpanMedian:
    """Running lower median of the evidence of one machine."""

    def __init__(self, hop_s: float, span_s: float = ALARM_SPAN_S) -> None:
        """Begin with an empty span of ``span_s`` seconds and a window every ``hop_s``."""
        self._size = span_windows(hop_s, span_s)
        self._evidence: deque[float] = deque([-math.inf] * self._size, maxlen=self._size)

    @property
    def full(self) -> bool:
        """Whether every window in the span has a score."""
        return -math.inf not in self._evidence

    def push(self, evidence: float, hops: int = 1) -> float:
        """Add the next window and return the median; −inf as long as most windows are missing.

        Args:
            evidence: that of the window.
            hops: hops that the window stands for, 1 unless windows are skipped under load.

        Raises:
            ValueError: the evidence is not a finite number.

        """
        if not math.isfinite(evidence):
            raise ValueError("a window's score is not a number")
        self._evidence.extend([evidence] * hops)
        return sorted(self._evidence)[max_outliers(self._size)]

    def push_missing(self, windows: int) -> None:
        """Add windows without a score."""
        self._evidence.extend([-math.inf] * min(windows, self._size))

    def reset(self) -> None:
        """Empty the span."""
        self.push_missing(self._size)
