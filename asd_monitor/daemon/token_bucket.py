"""A bound of a rate that allows bursts; pure."""

from __future__ import annotations


class TokenBucket:
    """Holds tokens, of which each event takes one.

    Args:
        size: Events at once, after a pause.
        rate_hz: Events a second in the long run.

    """

    def __init__(self, size: float, rate_hz: float) -> None:
        self._size = size
        self._rate_hz = rate_hz
        self._tokens = size
        self._filled_s: float | None = None  # when `_tokens` was computed

    def take(self, now_s: float) -> bool:
        """Take a token; return whether there was one.  ``now_s`` is monotonic, in s."""
        if self._filled_s is not None:
            refill = self._rate_hz * max(0.0, now_s - self._filled_s)
            self._tokens = min(self._size, self._tokens + refill)
        self._filled_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
