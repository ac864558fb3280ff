"""What is sent and received on a connection to the broker, in which order, until it ends."""

from __future__ import annotations

from collections.abc import Callable

from asd_monitor.publish.broker_connection import Connection
from asd_monitor.publish.broker_diagnostics import (
    PACKET_TOO_LARGE,
    ConnectionEnd,
    EndCause,
    is_failure,
    not_acknowledged,
    reason_text,
)
from asd_monitor.publish.send_queue import Outgoing
from asd_monitor.publish.session_log import SessionLog
from asd_monitor.publish.shared_send_queue import Handed, SharedSendQueue
from asd_monitor.publish.stop_request import StopRequest
from asd_monitor.publish.topic_reader import TopicReader


class ConnectionLoop:
    """Sends and receives on one connection after another, in the session's thread."""

    def __init__(
        self,
        queue: SharedSendQueue,
        reader: TopicReader,
        log: SessionLog,
        stop: StopRequest,
        will: Outgoing,
        *,
        more_events: Callable[[], bool],
        clock: Callable[[], float],
        acknowledgement_limit_s: float,
    ) -> None:
        """Send the ``will`` message ``offline`` as the last one of a session that is stopped.

        ``more_events`` returns whether events are stored that will be put soon.
        """
        self.turns = 0
        """How often a message was sent or waited for."""
        self._queue = queue
        self._reader = reader
        self._log = log
        self._stop = stop
        self._will = will
        self._more_events = more_events
        self._clock = clock
        self._acknowledgement_limit_s = acknowledgement_limit_s
        self._is_offline = False  # the broker has accepted ``offline``

    def run(self, connection: Connection) -> ConnectionEnd:
        """Send and receive until the connection ends, or until all is sent after a stop request."""
        self._is_offline = False
        closing = False  # ``offline`` is put into the send queue, and alone is sent
        while connection.end is None:
            self.turns += 1
            if not closing and self._is_drained():
                closing = True
                self._queue.put(self._will)
            self._reader.subscribe(connection, self._clock())
            sent = self._send_offline(connection) if closing else self._send_next(connection)
            self._process_acknowledgements(connection)
            if sent or connection.end is not None:
                continue
            now_s = self._clock()
            if (unanswered := self._reader.unanswered(now_s)) is not None:
                return unanswered
            left_s = self._stop.deadline_s - now_s
            if closing and (left_s <= 0 or self._has_nothing_in_flight(connection)):
                return self._end_stopped(connection)
            oldest = self._queue.oldest_unacknowledged
            if oldest is not None:
                overdue_s = oldest.sent_s + self._acknowledgement_limit_s
                if now_s >= overdue_s:
                    return self._end_unacknowledged(oldest.message.topic)
                left_s = min(left_s, overdue_s - now_s)
            left_s = min(left_s, self._reader.next_due_s - now_s)
            if not (closing or connection.has_unwritten_bytes):  # else what is due is not sent now
                left_s = min(left_s, self._queue.next_due_s - now_s)
            connection.wait(self._queue.wakeup, max(0.0, left_s))
            self._process_acknowledgements(connection)
            self._reader.process_received(connection, self._clock())
        return connection.end

    def _has_nothing_in_flight(self, connection: Connection) -> bool:
        return self._queue.unacknowledged == 0 and not connection.has_unwritten_bytes

    def _end_stopped(self, connection: Connection) -> ConnectionEnd:
        """End the connection after a stop request.

        At a DISCONNECT the broker discards the will message ``offline``, at the end of a connection
        without one it publishes it: the first is sent only where ``offline`` is with the broker.
        """
        if self._is_offline:
            return connection.disconnect(self._queue.wakeup, self._clock, self._stop.deadline_s)
        self._log.offline_not_accepted()
        return ConnectionEnd(EndCause.CLOSED, "stopped", "")

    def _end_unacknowledged(self, topic: str) -> ConnectionEnd:
        """Return the end of a connection on which a message is not acknowledged.

        A topic of which the broker acknowledges no message, while it acknowledges others, is left
        out: the next connection would end the same way.
        """
        ignored = self._queue.refuse_ignored()
        if ignored is not None and ignored.is_answer:
            self._log.answer_refused(topic, "it is not acknowledged")
        elif ignored is not None:
            self._log.messages_ignored(topic, self._acknowledgement_limit_s)
        return not_acknowledged(topic, self._acknowledgement_limit_s)

    def _is_drained(self) -> bool:
        """Return whether the session is stopping and waits for no more pending messages."""
        if not self._stop.is_made:
            return False
        # in this order: events that are not counted as more are among the pending ones by then
        is_empty = not self._more_events() and self._queue.pending == 0
        return is_empty or self._clock() >= self._stop.drain_deadline_s

    def _send_next(self, connection: Connection) -> bool:
        """Send the next message; return whether there was one and the network was ready."""
        if connection.has_unwritten_bytes:
            return False
        return self._flush(connection, self._queue.send_next(connection))

    def _send_offline(self, connection: Connection) -> bool:
        """Send ``offline``; return whether it was due and the network was ready."""
        if connection.has_unwritten_bytes:
            return False
        return self._flush(connection, self._queue.send_retained(connection, self._will.topic))

    def _flush(self, connection: Connection, handed: Handed | None) -> bool:
        if handed is None:
            return False
        if handed.is_sent:
            connection.flush()
        else:
            self._log_refused(handed.message, PACKET_TOO_LARGE)
        return True

    def _log_refused(self, message: Outgoing, code: int) -> None:
        if message.is_answer:
            self._log.answer_refused(message.topic, reason_text(code))
        else:
            self._log.message_refused(message.topic, code)

    def _process_acknowledgements(self, connection: Connection) -> None:
        for acknowledgement in connection.take_acknowledgements():
            message = self._queue.acknowledge(acknowledgement.packet_id, acknowledgement.code)
            if message is None:
                continue
            if is_failure(acknowledgement.code):
                self._log_refused(message, acknowledgement.code)
            else:
                self._log.message_accepted(message.topic)
                self._is_offline |= message is self._will
