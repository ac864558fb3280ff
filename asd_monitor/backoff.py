"""How long to wait before the next try to reach the broker; pure.

Full jitter: a random share of a range that doubles with every failure, so that many boxes
do not come back in step.  The range shrinks again only when a connection has held, for a
broker that accepts and hangs up at once would else be asked without a pause.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import random


@dataclass(slots=True)
class Backoff:
    """Counts failures; ``random`` gives numbers in [0, 1)."""

    first_s: float = 1.0
    longest_s: float = 30.0
    shortest_s: float = 0.1
    held_s: float = 30.0  # a connection that lasted this long was a good one
    random: Callable[[], float] = random
    failures: int = 0

    def after_failure(self) -> float:
        """Return the seconds to wait after a connection did not come about."""
        range_s = min(self.longest_s, self.first_s * 2.0 ** min(self.failures, 60))
        self.failures += 1
        return max(self.shortest_s, self.random() * range_s)

    def after_loss(self, lasted_s: float) -> float:
        """Return the seconds to wait after a connection ended that had lasted."""
        if lasted_s >= self.held_s:
            self.failures = 0
        return self.after_failure()

    def after_takeover(self) -> float:
        """Return the seconds to wait after another client has taken our place.

        Long at once: each return throws the other one out, and it will come back too.
        """
        self.failures += 1
        return self.longest_s * (1.0 + self.random())
