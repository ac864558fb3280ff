"""The session with the broker: everything that is published goes through here.

A thread of its own holds the connection and is the only one that touches it.  Others put
messages into the backlog and never wait.  The thread tries for ever: MQTT 5 first, then
3.1.1 where the broker does not know it, then a pause (see `backoff`).

On every connect ``online`` and the latest of each retained topic are sent, then what has
been queued.  If the connection breaks, the broker publishes the last will ``offline``.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import random

import structlog
from paho.mqtt.client import MQTTv5, MQTTv311
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from asd_monitor.backoff import Backoff, doubling
from asd_monitor.errors import UsageError
from asd_monitor.publish import broker_faults
from asd_monitor.publish.backlog import Backlog, Outgoing
from asd_monitor.publish.broker_faults import End, Ending
from asd_monitor.publish.broker_settings import MqttSettings, read_password, tls_context
from asd_monitor.publish.connection import Connection
from asd_monitor.publish.messages import OFFLINE, ONLINE
from asd_monitor.publish.topics import Topics, check_topic

log = structlog.get_logger()

_ANSWER_WITHIN_S = 10.0  # to our CONNECT
_MAX_PAYLOAD_BYTES = 1_000_000
_SHORT_LIVES_TO_SHOUT = 3
_PENDING_SHARE = 0.6  # of the time to stop is for what is pending, the rest for goodbye


@dataclass(frozen=True, slots=True)
class Counters:
    """Since the start."""

    published: int = 0  # QoS 1: confirmed by the broker; QoS 0: written to the network
    refused: int = 0  # by the broker
    dropped: int = 0  # QoS 0 without a broker; QoS 1 where the queue was full
    connects: int = 0
    reconnects: int = 0


class Session:
    """Publishes; safe to call from any thread and from an event loop (but for `stop`).

    ``on_connect`` is called in the session's thread after every connect.
    """

    def __init__(
        self,
        settings: MqttSettings,
        *,
        on_connect: Callable[[], None] | None = None,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
        versions: Sequence[MQTTProtocolVersion] = (MQTTv5, MQTTv311),
        max_queued: int = 1000,
    ) -> None:
        """Raise UsageError for settings that can never work (ids, prefix, files)."""
        self.topics = Topics(settings.prefix, settings.box)
        self.settings = settings
        read_password(settings)
        if settings.tls is not None:
            tls_context(settings.tls)
        self._will = Outgoing(self.topics.availability, OFFLINE, qos=1, retain=True)
        self._on_connect = on_connect
        self._backoff = backoff or Backoff(
            doubling(1.0, 30.0), minimum_s=0.1, reset_after_s=30.0, jitter=random
        )
        self._clock = clock
        self._versions = versions
        self._lock = threading.RLock()  # guards the next five
        self._backlog = Backlog(max_queued=max_queued)
        self._counters = Counters()
        self._connected = False
        self._finished = False
        self._overflowing = False
        self._change = threading.Condition(self._lock)
        self._stopping = threading.Event()
        self._deadline = self._drain_deadline = float("inf")  # of the stop
        self._told: set[str] = set()  # reasons that were logged since the last connect
        self._refused_topics: set[str] = set()
        self._short_lives = 0
        self._served_s: float | None = None  # how long the last connection held
        self._wake, self._waker = socket.socketpair()
        self._wake.settimeout(0.0)
        self._waker.settimeout(0.0)
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._put(replace(self._will, payload=ONLINE))
        self._thread.start()

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """Send a message now or, where its kind allows, when the broker is back.

        Raises ValueError for a topic that nobody can publish to, a QoS other than 0 and 1
        and a payload above a megabyte.
        """
        check_topic(topic)
        if qos not in (0, 1):
            raise ValueError(f"QoS {qos} is not in use here; use 0 or 1")
        if len(payload) > _MAX_PAYLOAD_BYTES:
            raise ValueError(f"{len(payload)} bytes are too many for {topic}")
        self._put(Outgoing(topic, payload, qos, retain))

    @property
    def connected(self) -> bool:
        """Whether the broker has us now."""
        return self._connected

    @property
    def counters(self) -> Counters:
        """What has happened so far."""
        return self._counters

    @property
    def waiting(self) -> int:
        """Messages that the broker has not yet got."""
        with self._lock:
            return self._backlog.waiting

    def wait_for(self, condition: Callable[[Session], bool], timeout_s: float) -> bool:
        """Block until a condition holds, looked at after every change; False when it did not."""
        with self._change:
            return self._change.wait_for(lambda: condition(self), timeout_s)

    def stop(self, timeout_s: float = 5.0) -> None:
        """Publish what is pending, then ``offline``, and disconnect; blocks, within bounds.

        Without a broker there is one more try.  From an event loop call it in a thread.
        """
        if self._thread.ident is None:
            self._finish()
            return
        now = self._clock()
        self._deadline = now + timeout_s
        self._drain_deadline = now + timeout_s * _PENDING_SHARE
        self._stopping.set()
        self._rouse()
        self._thread.join(timeout_s + 1.0)
        if self._thread.is_alive():
            log.warning(
                "goodbye to the broker did not end in time; leaving without it",
                broker=self.settings.address,
            )

    def _put(self, message: Outgoing) -> None:
        with self._lock:
            dropped = message if self._finished else self._backlog.put(message)
            overflow = dropped is not None and dropped.qos > 0 and not self._overflowing
            if dropped is not None:
                self._count(dropped=1)
                self._overflowing |= overflow
            self._rouse()
        if overflow:
            log.error(
                "messages for the broker are lost: too many are waiting for it",
                broker=self.settings.address,
                topic=message.topic,
                hint="bring the broker back",
            )

    def _rouse(self) -> None:
        try:
            self._waker.send(b"\0")
        except BlockingIOError:
            pass  # it has been roused often enough
        except OSError:
            if not self._finished:
                raise

    def _count(
        self, *, published: int = 0, refused: int = 0, dropped: int = 0, connects: int = 0
    ) -> None:
        now = self._counters
        self._counters = Counters(
            now.published + published,
            now.refused + refused,
            now.dropped + dropped,
            now.connects + connects,
            max(0, now.connects + connects - 1),
        )
        self._change.notify_all()

    # the session's thread

    def _run(self) -> None:
        try:
            while True:
                last_try = self._stopping.is_set()
                self._served_s = None
                end = self._guarded_life()
                if last_try or end.ending is Ending.CLOSED:
                    break
                pause_s = self._pause_s(end)
                self._tell(end, pause_s)
                self._stopping.wait(pause_s)
                if self._stopping.is_set() and end.ending is Ending.TAKEN_OVER:
                    break  # the other one is welcome to the place
        finally:
            self._finish()

    def _guarded_life(self) -> End:
        try:
            return self._life()
        except UsageError as error:  # a file has gone bad since the start
            return End(Ending.REFUSED, str(error), "")
        except Exception as error:  # this thread must not die of a surprise
            log.exception("surprise in the session with the broker; connecting anew")
            return End(Ending.LOST, f"{type(error).__name__}: {error}", "please report this")

    def _life(self) -> End:
        first, *others = self._versions
        end = self._life_in(first)
        for version in others:
            if end.ending is not Ending.VERSION:
                break
            end = self._life_in(version)
        return end

    def _life_in(self, version: MQTTProtocolVersion) -> End:
        connection = Connection(self.settings, version, self._will)
        try:
            left_s = min(_ANSWER_WITHIN_S, self._deadline - self._clock())
            failure = connection.open(self._wake, self._clock, left_s)
            if failure is not None:
                return failure
            since = self._clock()
            self._welcome(version)
            try:
                return self._serve(connection)
            finally:
                self._served_s = self._clock() - since
                with self._lock:
                    self._connected = False
                    self._count(dropped=self._backlog.disconnected())
        finally:
            connection.close()

    def _welcome(self, version: MQTTProtocolVersion) -> None:
        with self._lock:
            self._connected = True
            self._overflowing = False
            self._backlog.connected(first=self.topics.availability)
            self._count(connects=1)
        self._told.clear()
        log.info(
            "connected to the broker",
            broker=self.settings.address,
            mqtt="5" if version == MQTTv5 else "3.1.1",
        )
        if self._on_connect is None:
            return
        try:
            self._on_connect()
        except Exception:  # the caller's code must not cost us the connection
            log.exception("what was to be done on connecting to the broker failed")

    def _serve(self, connection: Connection) -> End:
        farewell = False
        while connection.end is None:
            if not farewell and self._may_say_farewell():
                farewell = True
                self._put(self._will)
            sent = self._send_one(connection, farewell=farewell)
            self._settle(connection)
            if sent or connection.end is not None:
                continue
            left_s = self._deadline - self._clock()
            if farewell and (left_s <= 0 or self._all_answered()):
                return connection.leave(self._wake, self._clock, self._deadline)
            connection.wait(self._wake, max(0.0, left_s))
            self._settle(connection)
        return connection.end

    def _may_say_farewell(self) -> bool:
        return self._stopping.is_set() and (
            self.waiting == 0 or self._clock() >= self._drain_deadline
        )

    def _all_answered(self) -> bool:
        with self._lock:
            return self._backlog.unacknowledged == 0

    def _send_one(self, connection: Connection, *, farewell: bool) -> bool:
        """Send the next message if there is one and the network is ready for it."""
        if connection.writing:
            return False
        with self._lock:
            message = (
                self._backlog.take_retained(self.topics.availability)
                if farewell
                else self._backlog.take(connection.window)
            )
            if message is None:
                return False
            fits = connection.fits(message)
            if fits:
                self._backlog.sent(connection.send(message), message)
            else:
                self._count(refused=1)
        if fits:
            connection.flush()
        else:
            self._tell_refused(message, broker_faults.TOO_LARGE)
        return True

    def _settle(self, connection: Connection) -> None:
        while connection.answers:
            answer = connection.answers.popleft()
            refused = broker_faults.is_refusal(answer.code)
            with self._lock:
                message = self._backlog.settled(answer.number)
                if message is None:
                    continue
                if refused:
                    self._count(refused=1)
                else:
                    self._count(published=1)
            if refused:
                self._tell_refused(message, answer.code)
            elif message.topic in self._refused_topics:
                self._refused_topics.discard(message.topic)
                log.info("the broker takes this topic's messages again", topic=message.topic)

    def _pause_s(self, end: End) -> float:
        if end.ending is Ending.TAKEN_OVER:
            return self._backoff.takeover_delay_s()
        return self._backoff.delay_s(self._served_s or 0.0)

    def _tell(self, end: End, pause_s: float) -> None:
        facts = {"broker": self.settings.address, "reason": end.reason, "hint": end.remedy}
        facts = {key: fact for key, fact in facts.items() if fact}
        facts["next_try_s"] = f"{pause_s:.1f}"
        if end.ending is Ending.TAKEN_OVER:
            log.error("thrown off the broker by another client", **facts)
        elif self._served_s is not None:
            log.warning("connection to the broker lost", **facts)
            self._tell_short_lives(self._served_s)
        elif end.reason not in self._told:
            self._told.add(end.reason)
            log.error("no connection to the broker; trying on", **facts)
        else:
            log.debug("still no connection to the broker", **facts)

    def _tell_short_lives(self, served_s: float) -> None:
        self._short_lives = self._short_lives + 1 if served_s < self._backoff.reset_after_s else 0
        if self._short_lives == _SHORT_LIVES_TO_SHOUT:
            log.error(
                "the broker hangs up again and again soon after connecting",
                broker=self.settings.address,
                hint="look whether another daemon has the same box id "
                f"(client id {self.settings.client}), and into the broker's log",
            )

    def _tell_refused(self, message: Outgoing, code: ReasonCode) -> None:
        if message.topic in self._refused_topics:
            return
        self._refused_topics.add(message.topic)
        log.error(
            "the broker refuses a message; others go on",
            broker=self.settings.address,
            topic=message.topic,
            reason=str(code),
            hint=broker_faults.publish_remedy(code, message.topic, self.settings),
        )

    def _finish(self) -> None:
        with self._lock:
            if self._finished:
                return
            self._finished = True
            unsent = self._backlog.queued
            self._count(dropped=unsent)
            self._wake.close()
            self._waker.close()
        if unsent:
            log.warning(
                "stopped before the broker had every message",
                broker=self.settings.address,
                lost=unsent,
            )
