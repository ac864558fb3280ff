"""The session with the broker, through which every message is published and received.

A thread of its own owns the connection.  Other threads put messages into the send queue and
never wait.  The thread reconnects without limit: MQTT 5 first, then 3.1.1 where the broker does not
support it (see `version_fallback`), then a delay (see `reconnect_pauses`).  What is sent and
received on a connection, and in which order, is in `connection_loop`.

After every connect ``online`` and the newest message of each retained topic are sent, then the
events that wait.  If the connection breaks, the broker publishes the will message ``offline``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import structlog
from paho.mqtt.client import MQTTv5, MQTTv311
from paho.mqtt.enums import MQTTProtocolVersion

from asd_monitor.backoff import Backoff
from asd_monitor.config.settings import Mqtt
from asd_monitor.errors import UsageError
from asd_monitor.publish.authentication import check_certificates, check_password
from asd_monitor.publish.broker_connection import Connection
from asd_monitor.publish.broker_diagnostics import NO_CONNECTION, ConnectionEnd, EndCause
from asd_monitor.publish.connection_loop import ConnectionLoop
from asd_monitor.publish.event_queues import StoredEvent
from asd_monitor.publish.inbox import Received
from asd_monitor.publish.messages import OFFLINE, ONLINE
from asd_monitor.publish.received_commands import ReceivedCommand, is_command_filter
from asd_monitor.publish.reconnect_pauses import pauses_after_failures, pauses_after_takeovers
from asd_monitor.publish.send_queue import Outgoing
from asd_monitor.publish.session_log import SessionLog
from asd_monitor.publish.shared_send_queue import Counters, SharedSendQueue
from asd_monitor.publish.stop_request import StopRequest
from asd_monitor.publish.suspect_topics import Closing
from asd_monitor.publish.topic_reader import TopicReader
from asd_monitor.publish.topics import Topics, check_topic
from asd_monitor.publish.version_fallback import VersionFallback

log = structlog.get_logger()

_CONNACK_TIMEOUT_S = 10.0
_KEEP_ALIVE_S = 30
_ACKNOWLEDGEMENT_LIMIT_S = 30.0
_MAX_PAYLOAD_BYTES = 1_000_000


class BrokerSession:
    """Publishes messages; all methods but `stop` may be called in any thread and event loop.

    ``on_connect`` is called in the session's thread after every connect, and must not raise.
    """

    def __init__(
        self,
        settings: Mqtt,
        box: str,
        *,
        on_connect: Callable[[], None] | None = None,
        backoff: Backoff | None = None,
        takeover_pauses: Backoff | None = None,
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
        self.is_pausing = False
        """Whether the thread waits before another attempt to connect."""
        self.is_configured: Callable[[str], bool] = lambda _: True
        """Whether there is a machine of this id: refusals of others are not reported."""
        self.on_retained: Callable[[str, bytes], None] = lambda _topic, _payload: None
        """Called with topic and payload of each retained message, in any thread; must not raise."""
        self.settings = settings
        check_password(settings)
        check_certificates(settings)
        self._client_id = f"asd-{box}"
        self._will = Outgoing(self.topics.availability, OFFLINE, qos=1, retain=True)
        self._on_connect = on_connect
        self._backoff = backoff or pauses_after_failures()
        self._takeover_pauses = takeover_pauses or pauses_after_takeovers()
        self._clock = clock
        self._versions = versions
        self._keep_alive_s = keep_alive_s
        self._connection_type = connection_type
        self._queue = SharedSendQueue(clock=clock)
        self._fallback = VersionFallback()
        self._stop = StopRequest()
        self._log = SessionLog(settings, self._client_id, stable_s=self._backoff.reset_after_s)
        self._reader = TopicReader(self._queue, self._log)
        self._loop = ConnectionLoop(
            self._queue,
            self._reader,
            self._log,
            self._stop,
            self._will,
            more_events=self._has_more_events,
            clock=clock,
            acknowledgement_limit_s=acknowledgement_limit_s,
        )
        self._attempts = 0  # to establish a connection
        self._connected_s: float | None = None  # duration of the last connection
        self._closing = Closing()  # of the last connection
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    def start(self) -> None:
        """Start to connect; return at once.  After `stop` it has no effect."""
        if self.closed:
            return
        self._queue.put(replace(self._will, payload=ONLINE))
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
            raise ValueError(
                f"a message of QoS 1 for {topic} is not stored: use put_events or answer"
            )
        if len(payload) > _MAX_PAYLOAD_BYTES:
            raise ValueError(
                f"a payload of {len(payload)} bytes for {topic} is too large: "
                f"at most {_MAX_PAYLOAD_BYTES}"
            )
        self._queue.put(Outgoing(topic, payload, qos, retain))
        if retain:
            self.on_retained(topic, payload)

    def answer(self, topic: str, payload: bytes, correlation: bytes | None) -> None:
        """Publish the answer to a command with QoS 1, once it is connected.

        Of those that wait the oldest is dropped where there are too many; one that the broker
        refuses is not published again.

        Args:
            topic: The topic.
            payload: The message.
            correlation: Correlation data of the command, repeated with MQTT 5.

        Raises:
            ValueError: The topic is invalid.

        """
        check_topic(topic)
        answer = Outgoing(topic, payload, qos=1, retain=False, correlation=correlation)
        self._queue.put(answer)

    def put_events(self, events: Collection[StoredEvent]) -> None:
        """Publish events with QoS 1, in order for each topic, until each is settled.

        Raises ValueError for an invalid topic.
        """
        for event in events:
            check_topic(event.topic)
        self._queue.put_events(events)

    def subscribe(self, topics: Collection[str], receive: Callable[[Received], None]) -> None:
        """Read these topics and no other, from now on and after every connect.

        ``receive`` is called in the session's thread with the newest message of a topic; messages
        that arrive together with a newer one are left out.  A topic with too many messages is read
        every few seconds (`asd_monitor.publish.subscriptions`).

        Raises ValueError for an invalid topic.
        """
        for topic in topics:
            check_topic(topic)
        self._reader.read(topics, receive)
        if not self.closed:
            self._queue.wake()

    def read_commands(
        self, filters: Collection[str], receive: Callable[[ReceivedCommand], None]
    ) -> None:
        """Read the commands of these filters and no other, from now on and after every connect.

        ``receive`` is called in the session's thread with each command, and must not wait.

        Raises ValueError for a filter whose last level is not its only wildcard.
        """
        for name in filters:
            if not is_command_filter(name):
                raise ValueError(f"{name!r} is no filter of commands: its last level has to be +")
            check_topic(name[:-1])
        self._reader.read_commands(filters, receive)
        if not self.closed:
            self._queue.wake()

    @property
    def turns(self) -> int:
        """How often the session's thread has sent or waited; it does at least every keep-alive."""
        return self._attempts + self._loop.turns

    @property
    def connected(self) -> bool:
        """Whether the session is connected to the broker."""
        return self._queue.connected

    @property
    def closed(self) -> bool:
        """Whether the session has ended: its thread sends nothing more."""
        return self._queue.closed

    @property
    def counters(self) -> Counters:
        """The counts so far."""
        return self._queue.counters

    @property
    def refused_topics(self) -> Mapping[str, str]:
        """Why the broker refused the newest message on a topic, by topic.

        Topics of machines that are no longer configured are left out: no new message, which the
        broker might accept, is published on them.
        """
        return {
            topic: reason
            for topic, reason in self._log.refused_topics.items()
            if (machine := self.topics.machine(topic)) is None or self.is_configured(machine)
        }

    @property
    def pending(self) -> int:
        """Messages that can be sent, and messages not acknowledged."""
        return self._queue.pending

    def wait_for(self, condition: Callable[[BrokerSession], bool], timeout_s: float) -> bool:
        """Block until a condition holds, tested after every change; False at the timeout."""
        return self._queue.wait_for(lambda: condition(self), timeout_s)

    def stop(self, timeout_s: float = 5.0) -> None:
        """Publish the pending messages, then ``offline``, and disconnect; blocks until then.

        It returns at the latest 1 s after the timeout.  Without a connection there is one more
        attempt.  An event loop calls it in a thread.
        """
        if self._thread.ident is None:
            self._queue.close()
            return
        self._stop.make(self._clock(), timeout_s)
        self._queue.wake()
        self._thread.join(timeout_s + 1.0)
        if self._thread.is_alive():
            log.warning("disconnecting from the broker timed out", broker=self.settings.address)

    # the session's thread

    def _has_more_events(self) -> bool:
        return self.more_events()

    def _run(self) -> None:
        try:
            while True:
                last_attempt = self._stop.is_made
                self._connected_s, self._closing = None, Closing()
                self._attempts += 1
                end = self._attempt()
                if last_attempt or end.cause is EndCause.CLOSED:
                    break
                if end.cause in NO_CONNECTION:
                    self._queue.no_connection()
                delay_s = self._delay_s(end)
                self._log.connection_ended(end, self._connected_s, delay_s, self._closing)
                self.is_pausing = True
                self._stop.wait(delay_s)
                self.is_pausing = False
                if self._stop.is_made and end.cause is EndCause.TAKEN_OVER:
                    break  # the other client keeps the session
        finally:
            self._queue.close()

    def _delay_s(self, end: ConnectionEnd) -> float:
        if end.cause is EndCause.TAKEN_OVER:
            return self._takeover_pauses.delay_s(self._connected_s or 0.0)
        return self._backoff.delay_s(self._connected_s or 0.0)

    def _attempt(self) -> ConnectionEnd:
        """Connect and publish until the connection ends; return its end.

        This is the boundary that a defect does not cross: the thread has no other supervisor, and
        without it no alarm would be published until a restart.
        """
        try:
            return self._attempt_versions()
        except UsageError as error:  # a file has become unusable since the start
            return ConnectionEnd(EndCause.NOT_ATTEMPTED, str(error), "")
        except Exception as error:  # the session must survive a defect in the protocol code
            self._queue.count_received(defects=1)
            log.exception("unexpected error in the MQTT session; reconnecting")
            return ConnectionEnd(
                EndCause.LOST, f"{type(error).__name__}: {error}", "please report this"
            )

    def _attempt_versions(self) -> ConnectionEnd:
        newest, *older = self._versions
        end = self._attempt_version(newest)
        if older and self._fallback.is_due(end.cause):
            end = self._attempt_version(older[0])
        return end

    def _attempt_version(self, version: MQTTProtocolVersion) -> ConnectionEnd:
        connection = self._connection_type(
            self.settings, self._client_id, version, self._will, keep_alive_s=self._keep_alive_s
        )
        try:
            left_s = min(_CONNACK_TIMEOUT_S, self._stop.deadline_s - self._clock())
            failure = connection.open(self._queue.wakeup, self._clock, left_s)
            if failure is not None:
                return failure
            since = self._clock()
            try:
                self._note_connected(version)
                return self._loop.run(connection)
            finally:
                self._connected_s = self._clock() - since
                by_broker = (
                    connection.end is not None and connection.end.cause is EndCause.CLOSED_BY_BROKER
                )
                self._closing = self._queue.close_connection(by_broker=by_broker)
        finally:
            connection.close()

    def _note_connected(self, version: MQTTProtocolVersion) -> None:
        self._reader.connected()
        self._queue.open_connection(first=self.topics.availability)
        self._log.connected(version)
        if self._on_connect is not None:
            self._on_connect()
