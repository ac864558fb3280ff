"""The queue between the threads that publish and the thread of the session."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from asd_monitor.publish.broker_connection import Connection
from asd_monitor.publish.broker_diagnostics import PACKET_TOO_LARGE, acceptance_of, reason_text
from asd_monitor.publish.event_queues import StoredEvent
from asd_monitor.publish.send_queue import Acceptance, Outgoing, Placement, SendQueue, Sent
from asd_monitor.publish.suspect_topics import Closing


@dataclass(frozen=True, slots=True)
class Counters:
    """Counts since the start of the session."""

    published: int = 0  # QoS 1: acknowledged by the broker; QoS 0: written to the network
    refused: int = 0  # by the broker, or on a topic that is left out since it does not accept it
    dropped: int = 0  # QoS 0 without a connection, or where the network was too slow; answers
    connects: int = 0
    reconnects: int = 0
    refused_events: int = 0  # among the refused; each is sent again or was set aside
    retried_events: int = 0  # refused events that were sent again
    superseded: int = 0  # received messages that were not read, since a newer one had arrived
    unread: int = 0  # received messages on a topic with too many, which pauses
    oversized: int = 0  # received messages that were too large
    paused_topics: int = 0  # pauses of topics with too many messages
    refused_subscriptions: int = 0
    dropped_commands: int = 0  # that arrived at once with too many
    dropped_answers: int = 0  # to commands, among the dropped
    refused_answers: int = 0  # among the refused
    defects: int = 0  # failures of asd-monitor in the session


@dataclass(frozen=True, slots=True)
class Handed:
    """A message that was handed to the connection."""

    message: Outgoing
    is_sent: bool  # false: it exceeds the broker's maximum packet size, and counts as refused


class SharedSendQueue:
    """A `SendQueue` with counters, safe for several threads; wakes the thread that sends.

    ``wakeup`` becomes readable when there is something new for that thread.
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.counters = Counters()
        self.connected = False
        self.closed = False
        self.wakeup, self._wakeup_sender = socket.socketpair()
        self.wakeup.settimeout(0.0)
        self._wakeup_sender.settimeout(0.0)
        self._queue = SendQueue()
        self._lock = threading.RLock()
        self._change = threading.Condition(self._lock)

    def put(self, message: Outgoing) -> None:
        """Add a message that is no event; after `close` it is dropped."""
        with self._lock:
            placement = Placement.DROPPED if self.closed else self._queue.put(message)
            if placement is Placement.LEFT_OUT:
                self._count(refused=1, refused_answers=int(message.is_answer))
            elif placement is Placement.DROPPED:
                self._count(dropped=1, dropped_answers=int(message.is_answer))
            self.wake()

    def put_events(self, events: Iterable[StoredEvent]) -> None:
        """Add events, in order; after `close` they stay where they are stored."""
        with self._lock:
            if not self.closed:
                for event in events:
                    if self._queue.put_event(event):
                        self._count(refused=1, refused_events=1)
                self.wake()

    def wake(self) -> None:
        """Wake the thread that waits for ``wakeup``."""
        try:
            self._wakeup_sender.send(b"\0")
        except BlockingIOError:
            pass  # the thread has wake-ups enough to read
        except OSError:
            if not self.closed:
                raise

    def open_connection(self, first: str) -> None:
        """Make all retained messages due again, that of the topic ``first`` before the others."""
        with self._lock:
            self.connected = True
            self._queue.connected(first)
            self._count(connects=1)

    def no_connection(self) -> None:
        """Note that no connection was established: no message is the cause of that."""
        with self._lock:
            self._queue.no_connection()

    def close_connection(self, *, by_broker: bool) -> Closing:
        """Make the unacknowledged messages due again; return what is known of the cause."""
        with self._lock:
            self.connected = False
            ended = self._queue.disconnected(self._clock(), by_broker=by_broker)
            self._count(
                dropped=ended.dropped + ended.dropped_answers, dropped_answers=ended.dropped_answers
            )
            if ended.removed:
                self._count(refused=1, refused_events=1)
            return ended.closing

    def send_next(self, connection: Connection) -> Handed | None:
        """Hand the next message to the connection; None where there is none to send now."""
        with self._lock:
            message = self._queue.take(connection.receive_maximum, self._clock())
            return None if message is None else self._hand(message, connection)

    def send_retained(self, connection: Connection, topic: str) -> Handed | None:
        """Hand the message due on a topic to the connection, however many are in flight."""
        with self._lock:
            message = self._queue.take_retained(topic)
            return None if message is None else self._hand(message, connection)

    def _hand(self, message: Outgoing, connection: Connection) -> Handed:
        is_sent = connection.fits(message)
        if is_sent:
            self._queue.sent(connection.send(message), message, self._clock())
        else:
            self._queue.unsendable(message)
            self._note_acceptance(message, Acceptance.UNACCEPTABLE, PACKET_TOO_LARGE)
        return Handed(message, is_sent)

    def acknowledge(self, packet_id: int, code: int) -> Outgoing | None:
        """Remove and return an acknowledged message; None: there is none of that identifier."""
        acceptance = acceptance_of(code)
        with self._lock:
            message = self._queue.acknowledged(packet_id, self._clock(), acceptance)
            if message is not None:
                self._note_acceptance(message, acceptance, code)
            return message

    def _note_acceptance(self, message: Outgoing, acceptance: Acceptance, code: int) -> None:
        event = message.event
        if event is not None and acceptance is not Acceptance.REFUSED:
            event.settle(None if acceptance is Acceptance.ACCEPTED else reason_text(code))
        accepted = acceptance is Acceptance.ACCEPTED
        self._count(
            published=int(accepted),
            refused=int(not accepted),
            refused_events=int(event is not None and not accepted),
            refused_answers=int(message.is_answer and not accepted),
        )

    def refuse_ignored(self) -> Outgoing | None:
        """Leave out the topic of the oldest message if the broker has acknowledged later ones.

        Return the message, which counts as refused; None where it has not.
        """
        with self._lock:
            message = self._queue.refuse_ignored(self._clock())
            if message is not None:
                self._count(refused=1, refused_answers=int(message.is_answer))
            return message

    def count_received(
        self,
        *,
        superseded: int = 0,
        unread: int = 0,
        oversized: int = 0,
        paused_topics: int = 0,
        refused_subscriptions: int = 0,
        dropped_commands: int = 0,
        defects: int = 0,
    ) -> None:
        """Add to the counters of what the session has received, and of its failures."""
        with self._lock:
            now = self.counters
            self.counters = replace(
                now,
                superseded=now.superseded + superseded,
                unread=now.unread + unread,
                oversized=now.oversized + oversized,
                paused_topics=now.paused_topics + paused_topics,
                refused_subscriptions=now.refused_subscriptions + refused_subscriptions,
                dropped_commands=now.dropped_commands + dropped_commands,
                defects=now.defects + defects,
            )

    @property
    def oldest_unacknowledged(self) -> Sent | None:
        """The QoS 1 message that has been in flight for longest."""
        with self._lock:
            return self._queue.oldest_unacknowledged

    @property
    def next_due_s(self) -> float:
        """When the next refused message is to be sent again; infinity where there is none."""
        with self._lock:
            return self._queue.next_due_s

    def close(self) -> None:
        """Accept no more messages; events stay where they are stored."""
        with self._lock:
            if self.closed:
                return
            self.closed = True
            self.wakeup.close()
            self._wakeup_sender.close()
            self._change.notify_all()

    @property
    def pending(self) -> int:
        """Messages that can be sent, and messages not acknowledged."""
        with self._lock:
            return self._queue.pending

    @property
    def unacknowledged(self) -> int:
        """QoS 1 messages in flight."""
        with self._lock:
            return self._queue.unacknowledged

    def wait_for(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Block until a condition holds, tested after every change; False at the timeout."""
        with self._change:
            return self._change.wait_for(condition, timeout_s)

    def _count(
        self,
        *,
        published: int = 0,
        refused: int = 0,
        dropped: int = 0,
        connects: int = 0,
        refused_events: int = 0,
        dropped_answers: int = 0,
        refused_answers: int = 0,
    ) -> None:
        now = self.counters
        self.counters = replace(
            now,
            published=now.published + published,
            refused=now.refused + refused,
            dropped=now.dropped + dropped,
            connects=now.connects + connects,
            reconnects=max(0, now.connects + connects - 1),
            refused_events=now.refused_events + refused_events,
            dropped_answers=now.dropped_answers + dropped_answers,
            refused_answers=now.refused_answers + refused_answers,
            retried_events=self._queue.events.retried,
        )
        self._change.notify_all()
