"""The alarm score: what the alarm rule compares with the thresholds.

It is the median of the window scores of the last ten seconds, on their scale.  Why:

- Windows overlap (2 s long, every 0.5 s), so that one slammed door raises four or five
  in a row.  Of the twenty windows in ten seconds that is less than half, and the median
  does not see it; a mean or a maximum would.
- A fault that lasts fills more than half of them after some six seconds.
- A median over normal windows varies far less than one window does, so that a fault too
  faint for any single window stands out of it.

Of an even count the lower middle counts: an excess needs more than half.  What was not
heard yet (after a start or a gap) counts as score 0, so that the first windows, which may
all hold the same slam, cannot alarm; `full` tells when that no longer plays a part, and
only then does a low score show that all is well.
"""

from __future__ import annotations

import math
from collections import deque

SPAN_S = 10.0


class AlarmScore:
    """The median over the last seconds of one machine."""

    def __init__(self, hop_s: float, span_s: float = SPAN_S) -> None:
        self._size = max(1, round(span_s / hop_s))
        self._scores: deque[float] = deque(maxlen=self._size)

    @property
    def full(self) -> bool:
        """Whether the whole span was heard."""
        return len(self._scores) == self._size

    def push(self, score: float) -> float:
        """Take the score of the next window; return the alarm score.

        Raises `ValueError` on a score that is not a number.
        """
        if math.isnan(score):
            raise ValueError("a window's score is not a number")
        self._scores.append(score)
        missing = self._size - len(self._scores)
        middle = (self._size - 1) // 2
        return 0.0 if middle < missing else sorted(self._scores)[middle - missing]

    def reset(self) -> None:
        """Forget: after a gap what was heard says nothing of what is heard now."""
        self._scores.clear()
