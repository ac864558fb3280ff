"""How often a token may be tried: bounded for each address, and for all together."""

from __future__ import annotations

from collections import OrderedDict, deque

FAILURES = 8
"""Wrong tokens of one address within `WITHIN_S`."""
ALL_FAILURES = 64
"""Wrong tokens of all addresses within `WITHIN_S`."""
WITHIN_S = 60.0
_MAX_ADDRESSES = 1024


class Attempts:
    """Counts wrong tokens; times are those of a monotonic clock, in s."""

    def __init__(self) -> None:
        self._of_address: OrderedDict[str, deque[float]] = OrderedDict()
        self._of_all: deque[float] = deque(maxlen=ALL_FAILURES)

    def wait_s(self, address: str, now_s: float) -> float:
        """Return how long an address has to wait for its next attempt, in s; 0: it need not."""
        own = self._of_address.get(address, deque())
        return max(_wait_s(own, FAILURES, now_s), _wait_s(self._of_all, ALL_FAILURES, now_s))

    def note_failure(self, address: str, now_s: float) -> None:
        """Count a wrong token."""
        own = self._of_address.setdefault(address, deque(maxlen=FAILURES))
        self._of_address.move_to_end(address)
        if len(self._of_address) > _MAX_ADDRESSES:
            self._of_address.popitem(last=False)
        own.append(now_s)
        self._of_all.append(now_s)


def _wait_s(failures: deque[float], most: int, now_s: float) -> float:
    return 0.0 if len(failures) < most else max(0.0, failures[0] + WITHIN_S - now_s)
