"""The topics that are read, and when one is not because too many messages arrive on it; pure.

A filter of commands is one of them.

A topic on which more than `RATE_HZ` messages a second arrive is given up for `PAUSE_S`, so that the
broker does not even send them.  Then it is read again: the newest message is never older than that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

RATE_HZ = 20.0  # messages of a few bytes a second, of each topic
BURST = 100.0  # messages above that rate
PAUSE_S = 5.0
REFUSED_S = 60.0  # before the next attempt to subscribe to a topic that the broker refused
ANSWER_LIMIT_S = 30.0
_CALM_S = 60.0  # a topic that was read this long has a new flood


@dataclass(slots=True)
class _Topic:
    tokens: float = BURST
    filled_s: float = -math.inf  # when `tokens` was computed
    subscribed_s: float | None = None  # None: not subscribed
    closing_s: float | None = None  # when the subscription was ended; None: that was answered
    not_before_s: float = -math.inf  # of the next subscription
    is_flooded: bool = False


@dataclass(frozen=True, slots=True)
class Changes:
    """Topics, each in one of the lists at most."""

    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()


class Subscriptions:
    """The wanted topics and the subscriptions of the present connection; times in s.

    Only `wanted` is used by other threads than that of the session.
    """

    def __init__(self) -> None:
        self.wanted: frozenset[str] = frozenset()
        """The topics to be read; replaced as a whole, in any thread."""
        self.next_due_s = -math.inf
        """When `changes` or `overdue` has something new, unless `wanted` is replaced before."""
        self._applied: frozenset[str] = frozenset()
        self._topics: dict[str, _Topic] = {}

    def connected(self) -> None:
        """Begin a connection, which has no subscription."""
        for topic in self._topics.values():
            topic.subscribed_s = topic.closing_s = None
        self.next_due_s = -math.inf

    def changes(self, now_s: float) -> Changes:
        """Return the topics that are to be subscribed or given up now."""
        wanted = self.wanted
        if wanted is self._applied and now_s < self.next_due_s:
            return Changes()
        self._applied = wanted
        changes = self._apply(wanted, now_s)
        self.next_due_s = self._next_due_s()
        return changes

    def _apply(self, wanted: frozenset[str], now_s: float) -> Changes:
        subscribe, unsubscribe = [], []
        for name in wanted - self._topics.keys():
            self._topics[name] = _Topic()
        for name, topic in list(self._topics.items()):
            is_due = name in wanted and now_s >= topic.not_before_s
            if topic.subscribed_s is not None and not is_due:
                topic.subscribed_s, topic.closing_s = None, now_s
                unsubscribe.append(name)
            elif is_due and topic.subscribed_s is None and topic.closing_s is None:
                topic.subscribed_s = now_s
                subscribe.append(name)
            elif name not in wanted and topic.closing_s is None:
                del self._topics[name]
        return Changes(tuple(subscribe), tuple(unsubscribe))

    def count(self, name: str, cost: float, now_s: float) -> bool:
        """Count messages on a topic; return whether they are too many for the first time in a row.

        The topic is given up then.
        """
        topic = self._topics.get(name)
        if topic is None or topic.subscribed_s is None:
            return False
        refill = RATE_HZ * (now_s - topic.filled_s)
        topic.tokens = min(BURST, topic.tokens + refill) - cost
        topic.filled_s = now_s
        if topic.tokens >= 0:
            return False
        is_new = not topic.is_flooded or now_s - topic.subscribed_s >= _CALM_S
        topic.is_flooded = True
        topic.tokens = BURST
        topic.not_before_s = now_s + PAUSE_S
        self.next_due_s = now_s
        return is_new

    def is_read(self, name: str, now_s: float) -> bool:
        """Return whether messages on this topic count."""
        topic = self._topics.get(name)
        return topic is not None and topic.subscribed_s is not None and now_s >= topic.not_before_s

    def given_up(self, name: str) -> None:
        """Note that the broker has confirmed the end of a subscription."""
        if name in self._topics:
            self._topics[name].closing_s = None
            self.next_due_s = -math.inf

    def refused(self, name: str, now_s: float) -> None:
        """Note that the broker has refused a subscription."""
        if name in self._topics:
            self._topics[name].subscribed_s = None
            self._topics[name].not_before_s = now_s + REFUSED_S
            self.next_due_s = self._next_due_s()

    def _next_due_s(self) -> float:
        due = [
            topic.not_before_s if topic.closing_s is None else topic.closing_s + ANSWER_LIMIT_S
            for topic in self._topics.values()
            if topic.subscribed_s is None
        ]
        return min(due, default=math.inf)

    def overdue(self, now_s: float) -> str | None:
        """Return a topic whose end of subscription the broker has not confirmed in time."""
        if now_s < self.next_due_s:
            return None
        for name, topic in self._topics.items():
            if topic.closing_s is not None and now_s - topic.closing_s >= ANSWER_LIMIT_S:
                return name
        return None
