"""The alarm score: what the alarm rule compares with the thresholds.

It is the median of the windows' lasting scores of the last ten seconds in which the machine
ran: −log10 of the probability that normal sound keeps to so high a fused score for that long.
Why:

- Windows overlap (2 s long, every 0.5 s), so that one slammed door raises four or five
  in a row.  Of the twenty windows in ten seconds that is less than half, and the median
  does not see it; a mean or a maximum would.
- A fault that lasts fills more than half of them after some six seconds.
- A median over normal windows varies far less than one window does, so that a fault too
  faint for any single window stands out of it.

Idle windows are skipped: a pause adds no score, does not count as missed and does not reset
the median, so that a machine that runs for a few seconds at a time has an alarm score as well.

Of an even count the lower middle counts: an excess needs more than half.  What was not
heard (before a start, or within a gap) counts as score 0, so that the first windows, which
may all hold the same slam, cannot alarm, while a microphone that drops out now and then
is not deaf; `full` tells when that plays no part, and only then does a low score show that
all is well.
"""

from __future__ import annotations

import math
from collections import deque

SPAN_S = 10.0


class AlarmScore:
    """The median over the last seconds of one machine."""

    def __init__(self, hop_s: float, span_s: float = SPAN_S) -> None:
        self._size = max(1, round(span_s / hop_s))
        self._scores: deque[float | None] = deque([None] * self._size, maxlen=self._size)

    @property
    def full(self) -> bool:
        """Whether the whole span was heard."""
        return None not in self._scores

    def push(self, score: float, hops: int = 1) -> float:
        """Take the lasting score of the next window; return the alarm score.

        It stands for so many hops: where windows are passed over, nothing was missed.  Raises
        `ValueError` on a score that is not a number.
        """
        if math.isnan(score):
            raise ValueError("a window's score is not a number")
        self._scores.extend([score] * hops)
        return sorted(score or 0.0 for score in self._scores)[(self._size - 1) // 2]

    def miss(self, windows: int) -> None:
        """So many windows were not heard."""
        self._scores.extend([None] * min(windows, self._size))

    def reset(self) -> None:
        """Forget what was heard."""
        self.miss(self._size)
