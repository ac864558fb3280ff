"""Topics at whose messages the broker closes the connection; pure.

To close the connection is the only refusal that MQTT 3.1.1 has for a message, and brokers do it in
MQTT 5 too.  They do not name the message.  Those that were sent and not confirmed become suspects:
in the next connection a message on a suspect topic is sent alone.  A topic whose message ends two
connections in a row that way is left out for a while, so that the others are published.  A network
that fails may look the same: the first pause is short, and a broker that cannot be reached, or
refuses the connection, between two such ends clears all topics.

A message is confirmed by the acknowledgement of it or of one sent after it, since a broker
processes the messages of a connection in order.

Where the cause is an event, the caller may set that one aside instead (`SuspectTopics.keep`): it
may be too large, and the others not.

A topic of which the broker acknowledges no message in time is left out too.  Topics that are left
out are tried again after the end of a connection that no message explains: the broker may have been
restarted with other access rules.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from asd_monitor.backoff import doubling

ENDS_TO_LEAVE_OUT = 2
_PAUSES_S = doubling(20.0, 6 * 3600.0)


@dataclass(frozen=True, slots=True)
class Closing:
    """What was known of the messages when the broker closed the connection."""

    unconfirmed: tuple[str, ...] = ()
    """Topics of the messages that may be the cause, in order."""
    cause: str | None = None
    """The topic whose message may be the cause: it was the only one in question."""
    left_out_s: float | None = None
    """For how long the topic of the cause is left out from now on; None: it is not."""
    confirmed: bool = False
    """Whether the broker accepted any message in this connection."""


@dataclass(slots=True)
class SuspectTopics:
    """Confirmed and unconfirmed messages of one connection, and what earlier ones have shown."""

    _unconfirmed: dict[str, int] = field(default_factory=dict)  # number of the newest, by topic
    _sent: int = 0
    _confirmed: int = 0  # number of the newest confirmed message
    _confirmed_before: int = 0  # at the begin of this connection
    _ends: dict[str, int] = field(default_factory=dict)  # of connections, by suspect topic
    _attempts: dict[str, int] = field(default_factory=dict)  # with the suspect sent alone
    _left_out: dict[str, float] = field(default_factory=dict)  # until when, by topic
    _pauses: dict[str, int] = field(default_factory=dict)  # so far, by topic
    _has_left_out: bool = False  # a topic, in this connection

    def sent(self, topic: str) -> int:
        """Note a message as sent; return its number."""
        self._sent += 1
        self._unconfirmed.pop(topic, None)
        self._unconfirmed[topic] = self._sent
        return self._sent

    def confirm(self, number: int) -> None:
        """Note that the broker has processed the messages up to a number."""
        self._confirmed = max(self._confirmed, number)
        while self._unconfirmed:
            topic = next(iter(self._unconfirmed))
            if self._unconfirmed[topic] > number:
                return
            del self._unconfirmed[topic]
            if topic in self._ends:
                del self._ends[topic]
                self._attempts.pop(topic, None)
                self._pauses.pop(topic, None)

    def confirm_all(self) -> None:
        """Treat all messages as processed, where nothing can be sent that would be acknowledged."""
        self.confirm(self._sent)

    @property
    def quiet(self) -> bool:
        """Whether every message sent is confirmed."""
        return not self._unconfirmed

    @property
    def sending_alone(self) -> bool:
        """Whether a message on a suspect topic is not confirmed yet."""
        return bool(self._ends) and any(topic in self._ends for topic in self._unconfirmed)

    def is_suspect(self, topic: str) -> bool:
        """Return whether a message on this topic has to be sent alone."""
        return topic in self._ends

    def attempts(self, topic: str) -> int:
        """Return how many connections ended while a message on this topic was sent alone."""
        return self._attempts.get(topic, 0)

    def is_left_out(self, topic: str) -> bool:
        """Return whether nothing is sent on this topic for now."""
        return topic in self._left_out

    def leave_out(self, topic: str, now_s: float) -> float:
        """Leave a topic out; return for how long, in s."""
        pauses = self._pauses.get(topic, 0)
        self._pauses[topic] = pauses + 1
        pause_s = _PAUSES_S[min(pauses, len(_PAUSES_S) - 1)]
        self._left_out[topic] = now_s + pause_s
        self._has_left_out = True
        self._ends.pop(topic, None)
        return pause_s

    def keep(self, topic: str) -> None:
        """Send on a topic that is left out: the message that was the cause is removed.

        It stays a suspect, which is left out at the next end that it causes.
        """
        del self._left_out[topic]
        self._pauses[topic] -= 1
        self._ends[topic] = ENDS_TO_LEAVE_OUT - 1

    def note_ignored(self, topic: str, number: int, now_s: float) -> bool:
        """Note that a message was not acknowledged in time; return whether its topic is left out.

        It is where the broker has confirmed a later message.  A message that was sent alone has
        none; there it counts as an end if the broker has confirmed others in this connection.
        """
        if self._confirmed < number:
            if topic not in self._ends or self._confirmed == self._confirmed_before:
                return False
            self._ends[topic] += 1
            if self._ends[topic] < ENDS_TO_LEAVE_OUT:
                return False
        self.leave_out(topic, now_s)
        return True

    def forget(self, topic: str) -> None:
        """Forget what earlier connections have shown of a topic."""
        for known in (self._ends, self._attempts, self._left_out, self._pauses):
            known.pop(topic, None)

    def try_again(self, now_s: float) -> list[str]:
        """Return the topics whose pause is over; they are suspects from here on."""
        over = [topic for topic, until_s in self._left_out.items() if until_s <= now_s]
        for topic in over:
            del self._left_out[topic]
            self._ends[topic] = ENDS_TO_LEAVE_OUT - 1
        return over

    @property
    def next_try_s(self) -> float | None:
        """When the next pause is over; None where no topic is left out."""
        return min(self._left_out.values(), default=None)

    def no_connection(self) -> None:
        """Note that no connection was established: no message is the cause of that.

        The ends before it count no longer, and no topic is left out.
        """
        self._ends = dict.fromkeys((*self._ends, *self._left_out), 0)
        self._left_out.clear()

    def close(self, now_s: float, *, by_broker: bool) -> Closing:
        """Note the end of a connection.

        One that the broker has not closed (no response, a takeover, the stop of this session)
        says nothing about a message.
        """
        unconfirmed = tuple(self._unconfirmed)
        confirmed = self._confirmed > self._confirmed_before
        has_left_out, self._has_left_out = self._has_left_out, False
        by_suspect = by_broker and bool(unconfirmed) and unconfirmed[0] in self._ends
        if not has_left_out and not by_suspect:
            self._left_out = dict.fromkeys(self._left_out, now_s)
        self._unconfirmed.clear()
        self._confirmed_before = self._confirmed = self._sent
        if not by_broker or not unconfirmed:
            return Closing(confirmed=confirmed)
        cause = unconfirmed[0]
        if cause not in self._ends:
            self._ends.update({t: self._ends.get(t, 0) for t in unconfirmed})
            return Closing(unconfirmed, confirmed=confirmed)
        self._attempts[cause] = self._attempts.get(cause, 0) + 1
        if not confirmed:  # it may refuse everything, or not have come to this message
            return Closing(unconfirmed, confirmed=False)
        self._ends[cause] += 1
        left_out_s = None
        if self._ends[cause] >= ENDS_TO_LEAVE_OUT:
            left_out_s = self.leave_out(cause, now_s)
            self._has_left_out = False  # the next connection is another one
        return Closing(unconfirmed, cause, left_out_s, confirmed=True)
