"""The session with the broker, through which every message is published and received.

A thread of its own owns the connection.  Other threads put messages into the outbox and never
wait.  The thread reconnects without limit: MQTT 5 first, then 3.1.1 where the broker does not
support it, then a delay (see `backoff`).

After every connect ``online`` and the newest message of each retained topic are sent, then the
events that wait.  If the connection breaks, the broker publishes the will message ``offline``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from random import random

import structlog
from paho.mqtt.client import MQTTv5, MQTTv311
from paho.mqtt.enums import MQTTProtocolVersion

from asd_monitor.backoff import Backoff, doubling
from asd_monitor.config.settings import Mqtt
from asd_monitor.errors import UsageError
from asd_monitor.publish.authentication import check_certificates, check_password
from asd_monitor.publish.broker_connection import Connection
from asd_monitor.publish.broker_diagnostics import (
    PACKET_TOO_LARGE,
    ConnectionEnd,
    EndCause,
    is_failure,
    not_acknowledged,
    not_answered,
)
from asd_monitor.publish.event_queues import StoredEvent
from asd_monitor.publish.inbox import Received
from asd_monitor.publish.messages import OFFLINE, ONLINE
from asd_monitor.publish.outbox import Outgoing
from asd_monitor.publish.session_log import SessionLog
from asd_monitor.publish.shared_outbox import Counters, SharedOutbox
from asd_monitor.publish.subscriptions import ANSWER_LIMIT_S, Subscriptions
from asd_monitor.publish.suspect_topics import Closing
from asd_monitor.publish.topics import Topics, check_topic

log = structlog.get_logger()

_CONNACK_TIMEOUT_S = 10.0
_KEEP_ALIVE_S = 30
_ACKNOWLEDGEMENT_LIMIT_S = 30.0
_MAX_PAYLOAD_BYTES = 1_000_000
_DRAIN_SHARE = 0.6  # of the time to stop is for pending messages, the rest for ``offline``


class BrokerSession:
    """Publishes messages; all methods but `stop` may be called in any thread and event loop.

    ``on_connect`` is called in the session's thread after every connect.
    """

    def __init__(
        self,
        settings: Mqtt,
        box: str,
        *,
        on_connect: Callable[[], None] | None = None,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
        versions: Sequence[MQTTProtocolVersion] = (MQTTv5, MQTTv311),
        keep_alive_s: int = _KEEP_ALIVE_S,
        acknowledgement_limit_s: float = _ACKNOWLEDGEMENT_LIMIT_S,
        connection_type: type[Connection] = Connection,
    ) -> None:
        """Raise `UsageError` for settings that cannot work (ids, prefix, files)."""
        self.topics = Topics(settings.prefix, box)
        self.more_events: Callable[[], bool] = lambda: False
        """Whether events are stored that will be put soon: a stop waits for them."""
        self.settings = settings
        check_password(settings)
        check_certificates(settings)
        self._client_id = f"asd-{box}"
        self._will = Outgoing(self.topics.availability, OFFLINE, qos=1, retain=True)
        self._on_connect = on_connect
        self._backoff = backoff or Backoff(
            doubling(1.0, 30.0), minimum_s=0.1, reset_after_s=30.0, jitter=random
        )
        self._clock = clock
        self._versions = versions
        self._keep_alive_s = keep_alive_s
        self._acknowledgement_limit_s = acknowledgement_limit_s
        self._connection_type = connection_type
        self._outbox = SharedOutbox(clock=clock)
        self._subscriptions = Subscriptions()
        self._receive: Callable[[Received], None] = _ignore
        self._stopping = threading.Event()
        self._deadline = self._drain_deadline = float("inf")  # of the stop
        self._log = SessionLog(settings, self._client_id, stable_s=self._backoff.reset_after_s)
        self._connected_s: float | None = None  # duration of the last connection
        self._closing = Closing()  # of the last connection
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    def start(self) -> None:
        """Start to connect; return at once.  After `stop` it has no effect."""
        if self.closed:
            return
        self._put(replace(self._will, payload=ONLINE))
        self._thread.start()

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """Send a retained message, or one of QoS 0 that is lost without a connection.

        Raises ValueError for an invalid topic, a QoS other than 0 and 1, a message of QoS 1 that is
        not retained (see `put_events`), and a payload above one megabyte.
        """
        check_topic(topic)
        if qos not in (0, 1):
            raise ValueError(f"QoS {qos} is not supported: use 0 or 1")
        if qos and not retain:
            raise ValueError(f"a message of QoS 1 for {topic} is not stored: use put_events")
        if len(payload) > _MAX_PAYLOAD_BYTES:
            raise ValueError(
                f"a payload of {len(payload)} bytes for {topic} is too large: "
                f"at most {_MAX_PAYLOAD_BYTES}"
            )
        self._put(Outgoing(topic, payload, qos, retain))

    def put_events(self, events: Collection[StoredEvent]) -> None:
        """Publish events with QoS 1, in order for each topic, until each is settled.

        Raises ValueError for an invalid topic.
        """
        for event in events:
            check_topic(event.topic)
        self._outbox.put_events(events)

    def subscribe(self, topics: Collection[str], receive: Callable[[Received], None]) -> None:
        """Read these topics and no other, from now on and after every connect.

        ``receive`` is called in the session's thread with the newest message of a topic; messages
        that arrive together with a newer one are left out.  A topic with too many messages is read
        every few seconds (`asd_monitor.publish.subscriptions`).

        Raises ValueError for an invalid topic.
        """
        for topic in topics:
            check_topic(topic)
        self._receive = receive
        self._subscriptions.wanted = frozenset(topics)
        if not self.closed:
            self._outbox.wake()

    @property
    def connected(self) -> bool:
        """Whether the session is connected to the broker."""
        return self._outbox.connected

    @property
    def closed(self) -> bool:
        """Whether the session has ended: its thread sends nothing more."""
        return self._outbox.closed

    @property
    def counters(self) -> Counters:
        """The counts so far."""
        return self._outbox.counters

    @property
    def refused_topics(self) -> Mapping[str, str]:
        """Why the broker refused the newest message on a topic, by topic."""
        return self._log.refused_topics

    @property
    def pending(self) -> int:
        """Messages that can be sent, and messages not acknowledged."""
        return self._outbox.pending

    def wait_for(self, condition: Callable[[BrokerSession], bool], timeout_s: float) -> bool:
        """Block until a condition holds, tested after every change; False at the timeout."""
        return self._outbox.wait_for(lambda: condition(self), timeout_s)

    def stop(self, timeout_s: float = 5.0) -> None:
        """Publish the pending messages, then ``offline``, and disconnect; blocks until then.

        It returns at the latest 1 s after the timeout.  Without a connection there is one more
        attempt.  An event loop calls it in a thread.
        """
        if self._thread.ident is None:
            self._close()
            return
        now = self._clock()
        self._deadline = now + timeout_s
        self._drain_deadline = now + timeout_s * _DRAIN_SHARE
        self._stopping.set()
        self._outbox.wake()
        self._thread.join(timeout_s + 1.0)
        if self._thread.is_alive():
            log.warning("disconnecting from the broker timed out", broker=self.settings.address)

    def _put(self, message: Outgoing) -> None:
        self._outbox.put(message)

    # the session's thread

    def _run(self) -> None:
        try:
            while True:
                last_attempt = self._stopping.is_set()
                self._connected_s, self._closing = None, Closing()
                end = self._attempt()
                if last_attempt or end.cause is EndCause.CLOSED:
                    break
                delay_s = self._delay_s(end)
                self._log.connection_ended(end, self._connected_s, delay_s, self._closing)
                self._stopping.wait(delay_s)
                if self._stopping.is_set() and end.cause is EndCause.TAKEN_OVER:
                    break  # the other client keeps the session
        finally:
            self._close()

    def _delay_s(self, end: ConnectionEnd) -> float:
        if end.cause is EndCause.TAKEN_OVER:
            return self._backoff.takeover_delay_s()
        return self._backoff.delay_s(self._connected_s or 0.0)

    def _attempt(self) -> ConnectionEnd:
        """Connect and publish until the connection ends; return its end."""
        try:
            return self._attempt_versions()
        except UsageError as error:  # a file has become unusable since the start
            return ConnectionEnd(EndCause.REFUSED, str(error), "")
        except Exception as error:  # the session must survive a defect in the protocol code
            log.exception("unexpected error in the MQTT session; reconnecting")
            return ConnectionEnd(
                EndCause.LOST, f"{type(error).__name__}: {error}", "please report this"
            )

    def _attempt_versions(self) -> ConnectionEnd:
        first, *others = self._versions
        end = self._attempt_version(first)
        for version in others:
            if end.cause is not EndCause.UNSUPPORTED_VERSION:
                break
            end = self._attempt_version(version)
        return end

    def _attempt_version(self, version: MQTTProtocolVersion) -> ConnectionEnd:
        connection = self._connection_type(
            self.settings, self._client_id, version, self._will, keep_alive_s=self._keep_alive_s
        )
        try:
            left_s = min(_CONNACK_TIMEOUT_S, self._deadline - self._clock())
            failure = connection.open(self._outbox.wakeup, self._clock, left_s)
            if failure is not None:
                return failure
            since = self._clock()
            self._note_connected(version)
            try:
                return self._serve(connection)
            finally:
                self._connected_s = self._clock() - since
                by_broker = (
                    connection.end is not None and connection.end.cause is EndCause.CLOSED_BY_BROKER
                )
                self._closing = self._outbox.close_connection(by_broker=by_broker)
        finally:
            connection.close()

    def _note_connected(self, version: MQTTProtocolVersion) -> None:
        self._subscriptions.connected()
        self._outbox.open_connection(first=self.topics.availability)
        self._log.connected(version)
        if self._on_connect is None:
            return
        try:
            self._on_connect()
        except Exception:  # a defect of the caller must not end the connection
            log.exception("the on_connect callback of the MQTT session failed")

    def _serve(self, connection: Connection) -> ConnectionEnd:
        """Send and receive until the connection ends, or until all is sent after `stop`."""
        closing = False  # ``offline`` is put into the outbox, and alone is sent
        while connection.end is None:
            if not closing and self._is_drained():
                closing = True
                self._put(self._will)
            self._change_subscriptions(connection)
            sent = self._send_next(connection, closing=closing)
            self._process_acknowledgements(connection)
            if sent or connection.end is not None:
                continue
            now_s = self._clock()
            if (unanswered := self._subscriptions.overdue(now_s)) is not None:
                return not_answered(unanswered, ANSWER_LIMIT_S)
            left_s = self._deadline - now_s
            if closing and (left_s <= 0 or self._outbox.unacknowledged == 0):
                return connection.disconnect(self._outbox.wakeup, self._clock, self._deadline)
            oldest = self._outbox.oldest_unacknowledged
            if oldest is not None:
                overdue_s = oldest.sent_s + self._acknowledgement_limit_s
                if now_s >= overdue_s:
                    return self._end_unacknowledged(oldest.message.topic)
                left_s = min(left_s, overdue_s - now_s)
            due_s = min(self._outbox.next_due_s, self._subscriptions.next_due_s)
            left_s = min(left_s, due_s - now_s)
            connection.wait(self._outbox.wakeup, max(0.0, left_s))
            self._process_acknowledgements(connection)
            self._process_received(connection)
        return connection.end

    def _end_unacknowledged(self, topic: str) -> ConnectionEnd:
        """Return the end of a connection on which a message is not acknowledged.

        A topic of which the broker acknowledges no message, while it acknowledges others, is left
        out: the next connection would end the same way.
        """
        if self._outbox.refuse_ignored() is not None:
            self._log.messages_ignored(topic, self._acknowledgement_limit_s)
        return not_acknowledged(topic, self._acknowledgement_limit_s)

    def _is_drained(self) -> bool:
        """Return whether the session is stopping and waits for no more pending messages."""
        if not self._stopping.is_set():
            return False
        # in this order: events that are not counted as more are among the pending ones by then
        is_empty = not self.more_events() and self.pending == 0
        return is_empty or self._clock() >= self._drain_deadline

    def _send_next(self, connection: Connection, *, closing: bool) -> bool:
        """Send the next message; return whether there was one and the network was ready."""
        if connection.has_unwritten_bytes:
            return False
        taken = self._outbox.send_next(
            connection, only=self.topics.availability if closing else None
        )
        if taken is None:
            return False
        message, sent = taken
        if sent:
            connection.flush()
        else:
            self._log.message_refused(message.topic, PACKET_TOO_LARGE)
        return True

    def _process_acknowledgements(self, connection: Connection) -> None:
        for acknowledgement in connection.take_acknowledgements():
            message = self._outbox.acknowledge(acknowledgement.packet_id, acknowledgement.code)
            if message is None:
                continue
            if is_failure(acknowledgement.code):
                self._log.message_refused(message.topic, acknowledgement.code)
            else:
                self._log.message_accepted(message.topic)

    def _change_subscriptions(self, connection: Connection) -> None:
        changes = self._subscriptions.changes(self._clock())
        for topic, subscribes in changes:
            if subscribes:
                connection.subscribe(topic)
            else:
                connection.unsubscribe(topic)
        if changes:
            connection.flush()

    def _process_received(self, connection: Connection) -> None:
        now_s = self._clock()
        for answer in connection.take_answers():
            if not answer.subscribes:
                self._subscriptions.given_up(answer.topic)
            elif is_failure(answer.code):
                self._subscriptions.refused(answer.topic, now_s)
                self._log.subscription_refused(answer.topic, answer.code)
            else:
                self._log.subscription_accepted(answer.topic)
        for received in connection.take_received():
            if not self._subscriptions.is_read(received.topic, now_s):
                continue
            if self._subscriptions.count(received.topic, received.cost, now_s):
                self._log.too_many_messages(received.topic)
            self._receive(received)

    def _close(self) -> None:
        self._outbox.close()


def _ignore(_received: Received) -> None:
    pass
