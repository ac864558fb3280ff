"""The request to end the session with the broker, and the times by which it has to end."""

from __future__ import annotations

import math
import threading

_DRAIN_SHARE = 0.6  # of the time to stop is for pending messages, the rest for ``offline``


class StopRequest:
    """Made once, in any thread; the session's thread reads it, and waits for it."""

    def __init__(self) -> None:
        self.deadline_s = math.inf
        """When the session has to end."""
        self.drain_deadline_s = math.inf
        """Until when pending messages are sent; then ``offline`` alone is."""
        self._made = threading.Event()

    def make(self, now_s: float, timeout_s: float) -> None:
        """Request the end of the session within ``timeout_s``."""
        self.deadline_s = now_s + timeout_s
        self.drain_deadline_s = now_s + timeout_s * _DRAIN_SHARE
        self._made.set()

    @property
    def is_made(self) -> bool:
        """Whether the session is to end."""
        return self._made.is_set()

    def wait(self, seconds: float) -> None:
        """Block until the request is made, at most so long."""
        self._made.wait(seconds)
