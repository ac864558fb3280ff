"""Messages to be sent to the broker; pure: no threads, no network.

What happens to a message while there is no connection depends on its kind:

* retained: the newest of each topic is kept and sent after every connect
* event, QoS 1: kept, in order for each topic (`asd_monitor.publish.event_queues`)
* QoS 0, not retained: dropped
* answer, QoS 1: kept, the newest `max_answers`; one that the broker refuses is not sent again, nor
  is one that was in flight when it closed the connection

A retained message or an event that the broker refuses is sent again after a pause; an event that it
does not accept as it is, such as one that is too large, is removed.  So is one at which it closes
the connection, where another event waits behind it; but not two of a topic in a row, since the
topic itself may be forbidden.  Messages on topics that are left out
(`asd_monitor.publish.suspect_topics`) are kept, and those of QoS 0 refused before they are sent.

Retained messages go before answers, these before events, and messages on suspect topics are sent
last; each kind waits for a bounded number of the others.

Times are in s of one monotonic clock.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from asd_monitor.publish.event_queues import REFUSED_PAUSES_S, EventQueues, StoredEvent
from asd_monitor.publish.suspect_topics import Closing, SuspectTopics

CLOSED_AT_EVENT = "the broker closes the connection at this event"
_WITH_ANOTHER = 2  # events of a topic
_RETAINED_BEFORE_EVENT = 100  # messages, while an event is ready
_OTHERS_BEFORE_SUSPECT = 100  # messages, while one on a suspect topic is ready


class Acceptance(Enum):
    """What the broker's acknowledgement says of a message."""

    ACCEPTED = auto()
    REFUSED = auto()
    """It may be accepted later."""
    UNACCEPTABLE = auto()
    """It will never be accepted as it is."""


class Placement(Enum):
    """What becomes of a message that is published."""

    QUEUED = auto()
    LEFT_OUT = auto()
    """Its topic is left out: it is kept for later where it is retained, and else not sent."""
    DROPPED = auto()
    """There is no connection for it, or the oldest message of QoS 0 is dropped for it."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be published."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    event: StoredEvent | None = None
    correlation: bytes | None = None  # of MQTT 5

    @property
    def is_answer(self) -> bool:
        """Whether it is of QoS 1, and neither kept by the broker nor stored here."""
        return self.qos > 0 and not self.retain and self.event is None


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that is not acknowledged yet."""

    message: Outgoing
    number: int  # in the order of sending
    sent_s: float


@dataclass(frozen=True, slots=True)
class Ended:
    """What the end of a connection has changed."""

    dropped: int
    closing: Closing
    dropped_answers: int = 0
    removed: bool = False
    """Whether the event is removed at which the broker closes the connection."""


@dataclass(slots=True)
class SendQueue:
    """Messages not yet sent and messages not yet acknowledged; bounded."""

    max_live: int = 200  # QoS 0, where the network is slower than the messages come
    max_answers: int = 100  # the oldest beyond are dropped
    _topics: SuspectTopics = field(default_factory=SuspectTopics)
    _retained: dict[str, Outgoing] = field(default_factory=dict)  # newest, by topic
    _due: dict[str, None] = field(default_factory=dict)  # retained topics to be sent, in order
    _refused: dict[str, int] = field(default_factory=dict)  # how often in a row, by retained topic
    _refused_until_s: dict[str, float] = field(default_factory=dict)  # when they are due again
    events: EventQueues = field(default_factory=EventQueues)
    _live: deque[Outgoing] = field(default_factory=deque)
    _answers: deque[Outgoing] = field(default_factory=deque)
    _in_flight: dict[int, Sent] = field(default_factory=dict)  # by packet identifier
    _online: bool = False
    _without_event: int = 0  # messages sent since an event was, while one was ready
    _without_suspect: int = 0  # messages sent since one on a suspect topic was
    _causes: set[str] = field(default_factory=set)  # topics that are left out for their first event
    _unaccepted: set[str] = field(default_factory=set)  # topics whose last event was removed so

    def is_left_out(self, topic: str) -> bool:
        """Return whether messages on this topic are refused for now, without being sent."""
        return self._topics.is_left_out(topic)

    def put(self, message: Outgoing) -> Placement:
        """Add a message that is no event; return what becomes of it, or of the oldest one."""
        left_out = self.is_left_out(message.topic)
        if message.retain:
            self._retained[message.topic] = message
        if left_out:
            return Placement.LEFT_OUT
        if message.retain:
            self._due[message.topic] = None
            return Placement.QUEUED
        if message.is_answer:
            self._answers.append(message)
            return Placement.QUEUED if self._trim_answers() == 0 else Placement.DROPPED
        if not self._online:
            return Placement.DROPPED
        self._live.append(message)
        if len(self._live) <= self.max_live:
            return Placement.QUEUED
        self._live.popleft()
        return Placement.DROPPED

    def _trim_answers(self) -> int:
        """Drop the oldest answers where there are too many; return how many."""
        surplus = max(0, len(self._answers) - self.max_answers)
        for _ in range(surplus):
            self._answers.popleft()
        return surplus

    def connected(self, first: str) -> None:
        """Make all retained messages due again, that of the topic ``first`` before the others."""
        self._online = True
        self._refused_until_s.clear()
        self._due = {
            topic: None
            for topic in dict.fromkeys((first, *self._retained))
            if topic in self._retained and not self.is_left_out(topic)
        }

    def no_connection(self) -> None:
        """Note that no connection was established: see `SuspectTopics.no_connection`."""
        self._topics.no_connection()

    def disconnected(self, now_s: float, *, by_broker: bool) -> Ended:
        """Make the unacknowledged events due again; return what was dropped."""
        self._online = False
        live = sum(sent.message.qos == 0 for sent in self._in_flight.values())
        dropped = len(self._live) + live
        closing = self._topics.close(now_s, by_broker=by_broker)
        dropped_answers = self._end_answers(by_broker=by_broker)
        sent_event = any(
            sent.message.event is not None and sent.message.topic == closing.cause
            for sent in self._in_flight.values()
        )
        self.events.disconnected()
        self._in_flight.clear()
        self._live.clear()
        removed = False
        if sent_event and closing.left_out_s is not None and closing.cause is not None:
            self._causes.add(closing.cause)
            removed = self._remove_cause(closing.cause)
        if removed:
            closing = replace(closing, left_out_s=None)
        self._due = {topic: None for topic in self._due if not self.is_left_out(topic)}
        return Ended(dropped, closing, dropped_answers, removed)

    def _end_answers(self, *, by_broker: bool) -> int:
        """Keep the answers in flight, unless one may be why the connection ended.

        Then they are dropped, with what is known of their topics: whoever sends commands chooses
        these.  Returns how many are dropped.
        """
        in_flight = [sent.message for sent in self._in_flight.values() if sent.message.is_answer]
        if not by_broker:
            self._answers.extendleft(reversed(in_flight))
            return self._trim_answers()
        for message in in_flight:
            self._topics.forget(message.topic)
        return len(in_flight)

    def put_event(self, event: StoredEvent) -> bool:
        """Add an event; return whether the one for which its topic is left out was removed."""
        self.events.put(event)
        return self._remove_cause(event.topic)

    def _remove_cause(self, topic: str) -> bool:
        """Remove the event for which a topic is left out, where another waits behind it."""
        if (
            topic not in self._causes
            or topic in self._unaccepted
            or not self.is_left_out(topic)
            or self.events.count(topic) < _WITH_ANOTHER
        ):
            return False
        self._causes.discard(topic)
        self._unaccepted.add(topic)
        self._topics.keep(topic)
        self.events.settled(topic).settle(CLOSED_AT_EVENT)
        return True

    def take(self, receive_maximum: int, now_s: float) -> Outgoing | None:
        """Return the next message to send, None where there is none to send now.

        At most ``receive_maximum`` QoS 1 messages are in flight (MQTT 5, section 3.3.4).  A message
        on a suspect topic is sent alone.  `sent` must be called with the message before the next
        `take`.
        """
        self._make_due(now_s)
        message = self._next(receive_maximum)
        if self._topics.sending_alone or (message is not None and not self._may_send(message)):
            return self._take_barrier(receive_maximum, now_s)
        if message is None:
            return None
        self._count_turns(message)
        if isinstance(message, StoredEvent):
            event = self.events.begin(message.topic)
            return Outgoing(event.topic, event.render(), qos=1, retain=False, event=event)
        if message.is_answer:
            return self._answers.popleft()
        return self.take_retained(message.topic) if message.retain else self._live.popleft()

    def take_retained(self, topic: str) -> Outgoing | None:
        """Return the message due on this topic, however many messages are in flight."""
        if topic not in self._due:
            return None
        del self._due[topic]
        self._refused_until_s.pop(topic, None)
        return self._retained[topic]

    def sent(self, packet_id: int, message: Outgoing, now_s: float) -> None:
        """Note a message as in flight under its packet identifier."""
        number = self._topics.sent(message.topic)
        self._in_flight[packet_id] = Sent(message, number, now_s)

    def acknowledged(self, packet_id: int, now_s: float, acceptance: Acceptance) -> Outgoing | None:
        """Remove and return an acknowledged message (QoS 0: one written to the network).

        A retained message or an event that is refused is due again after a pause.
        """
        sent = self._in_flight.pop(packet_id, None)
        if sent is None:
            return None
        message, topic = sent.message, sent.message.topic
        if message.qos == 0:
            return message
        self._topics.confirm(sent.number)
        if message.event is not None:
            if acceptance is Acceptance.REFUSED:
                self.events.refuse(topic, now_s)
            else:
                self.events.settled(topic)
                self._causes.discard(topic)
                self._unaccepted.discard(topic)
        elif message.is_answer:
            pass  # whether it is accepted or not, it is not sent again
        elif acceptance is Acceptance.ACCEPTED:
            self._refused.pop(topic, None)
        elif topic not in self._due:
            times = self._refused[topic] = self._refused.get(topic, 0) + 1
            pause_s = REFUSED_PAUSES_S[min(times, len(REFUSED_PAUSES_S)) - 1]
            self._refused_until_s[topic] = now_s + pause_s
        return message

    def unsendable(self, message: Outgoing) -> None:
        """Remove an event that was taken and exceeds what the broker accepts."""
        if message.event is not None:
            self.events.settled(message.topic)

    @property
    def oldest_unacknowledged(self) -> Sent | None:
        """The QoS 1 message that has been in flight for longest."""
        return next((sent for sent in self._in_flight.values() if sent.message.qos > 0), None)

    def refuse_ignored(self, now_s: float) -> Outgoing | None:
        """Leave out the topic of the oldest message in flight where the broker ignores it alone.

        Return the message; None where the broker may have acknowledged nothing at all, see
        `SuspectTopics.note_ignored`.
        """
        oldest = self.oldest_unacknowledged
        if oldest is None:
            return None
        topic = oldest.message.topic
        if not self._topics.note_ignored(topic, oldest.number, now_s):
            return None
        if oldest.message.event is not None:
            self.events.interrupt(topic)
        elif oldest.message.is_answer:
            self._topics.forget(topic)
        self._in_flight = {
            key: sent for key, sent in self._in_flight.items() if sent.message.topic != topic
        }
        return oldest.message

    @property
    def next_due_s(self) -> float:
        """When the next refused message is due; infinity where there is none."""
        times = (*self._refused_until_s.values(), *self.events.next_due_s)
        left_out_s = self._topics.next_try_s
        return min((*times, math.inf if left_out_s is None else left_out_s))

    @property
    def unacknowledged(self) -> int:
        """QoS 1 messages in flight."""
        return sum(sent.message.qos > 0 for sent in self._in_flight.values())

    @property
    def pending(self) -> int:
        """Messages that can be sent, and messages not acknowledged."""
        events = self.events.pending(self.is_left_out)
        messages = len(self._due) + len(self._answers) + len(self._live)
        return messages + events + len(self._in_flight)

    def _next(self, receive_maximum: int) -> Outgoing | StoredEvent | None:
        """Return the next message: retained ones, answers, events, those of QoS 0."""
        if self.unacknowledged < receive_maximum:
            is_turn_of_event = self._without_event >= _RETAINED_BEFORE_EVENT
            is_turn_of_suspect = self._without_suspect >= _OTHERS_BEFORE_SUSPECT
            ready: list[str] = []
            if not self._due or is_turn_of_event or is_turn_of_suspect:
                ready = [topic for topic in self.events.ready if not self.is_left_out(topic)]
            if is_turn_of_suspect and (suspect := self._suspect(ready)) is not None:
                return self.events.first(suspect)
            if is_turn_of_suspect and (suspect := self._suspect(self._due)) is not None:
                return self._retained[suspect]
            if self._answers and not self._due:
                return self._answers[0]
            if ready and (is_turn_of_event or not self._due):
                return self.events.first(self._least_suspect(ready))
            if self._due:
                return self._retained[self._least_suspect(self._due)]
        return self._live[0] if self._live else None

    def _count_turns(self, message: Outgoing | StoredEvent) -> None:
        """Count a message that is sent before others that may be ready."""
        is_event = isinstance(message, StoredEvent)
        self._without_event = 0 if is_event else self._without_event + 1
        is_suspect = self._topics.is_suspect(message.topic)
        self._without_suspect = 0 if is_suspect else self._without_suspect + 1

    def _suspect(self, topics: Iterable[str]) -> str | None:
        """Return the suspect topic with the fewest attempts; None: none is suspect."""
        suspects = [topic for topic in topics if self._topics.is_suspect(topic)]
        return min(suspects, key=self._topics.attempts, default=None)

    def _least_suspect(self, topics: Iterable[str]) -> str:
        """Return the first topic that is not suspect, else the one with the fewest attempts."""
        topic = next((topic for topic in topics if not self._topics.is_suspect(topic)), None)
        return topic or min(topics, key=self._topics.attempts)

    def _may_send(self, message: Outgoing | StoredEvent) -> bool:
        return self._topics.quiet or not self._topics.is_suspect(message.topic)

    def _take_barrier(self, receive_maximum: int, now_s: float) -> Outgoing | None:
        """Return a message whose acknowledgement confirms all before it; None: wait for one."""
        if self.unacknowledged:
            return None
        accepted = (
            topic
            for topic in self._retained
            if not self._topics.is_suspect(topic) and not self.is_left_out(topic)
        )
        topic = next(accepted, None)
        if topic is None:
            self._topics.confirm_all()
            return self.take(receive_maximum, now_s)
        self._due.pop(topic, None)
        return self._retained[topic]

    def _make_due(self, now_s: float) -> None:
        self.events.make_due(now_s)
        if not self._refused_until_s and self._topics.next_try_s is None:
            return
        over = [topic for topic, until_s in self._refused_until_s.items() if until_s <= now_s]
        for topic in over:
            del self._refused_until_s[topic]
        for topic in (*over, *self._topics.try_again(now_s)):
            if topic in self._retained:
                self._due.setdefault(topic)
