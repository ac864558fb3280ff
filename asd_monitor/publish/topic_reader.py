"""What the session with the broker does to read topics: it subscribes and passes messages on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

from asd_monitor.publish.broker_connection import Connection
from asd_monitor.publish.broker_diagnostics import ConnectionEnd, is_failure, not_answered
from asd_monitor.publish.inbox import Received
from asd_monitor.publish.received_commands import (
    ReceivedCommand,
    command_filter,
    is_command_filter,
)
from asd_monitor.publish.session_log import SessionLog
from asd_monitor.publish.shared_send_queue import SharedSendQueue
from asd_monitor.publish.subscriptions import ANSWER_LIMIT_S, Subscriptions


class TopicReader:
    """Keeps the subscriptions of the present connection those that are wanted; times in s.

    Only `read` and `read_commands` are called by other threads than that of the session.
    """

    def __init__(self, queue: SharedSendQueue, log: SessionLog) -> None:
        """Count messages in the ``queue``."""
        self._queue = queue
        self._log = log
        self._subscriptions = Subscriptions()
        self._receive: Callable[[Received], None] = _ignore
        self._receive_command: Callable[[ReceivedCommand], None] = _ignore
        self._wanting = threading.Lock()
        self._topics: frozenset[str] = frozenset()
        self._filters: frozenset[str] = frozenset()

    def read(self, topics: Collection[str], receive: Callable[[Received], None]) -> None:
        """Read these topics and no other, from the next `subscribe` on."""
        self._receive = receive
        with self._wanting:
            self._topics = frozenset(topics)
            self._subscriptions.wanted = self._topics | self._filters

    def read_commands(
        self, filters: Collection[str], receive: Callable[[ReceivedCommand], None]
    ) -> None:
        """Read the commands of these filters and no other, from the next `subscribe` on."""
        self._receive_command = receive
        with self._wanting:
            self._filters = frozenset(filters)
            self._subscriptions.wanted = self._topics | self._filters

    def connected(self) -> None:
        """Begin a connection, which has no subscription."""
        self._subscriptions.connected()

    @property
    def next_due_s(self) -> float:
        """When `subscribe` or `unanswered` has something new, unless `read` is called before."""
        return self._subscriptions.next_due_s

    def unanswered(self, now_s: float) -> ConnectionEnd | None:
        """Return the end of a connection whose broker has not confirmed the end of a subscription.

        None: no such answer is overdue.
        """
        topic = self._subscriptions.overdue(now_s)
        return None if topic is None else not_answered(topic, ANSWER_LIMIT_S)

    def subscribe(self, connection: Connection, now_s: float) -> None:
        """Subscribe to the topics that are due, and end the subscriptions that are not."""
        changes = self._subscriptions.changes(now_s)
        for topic in changes.subscribe:
            connection.subscribe(topic)
        for topic in changes.unsubscribe:
            connection.unsubscribe(topic)
        if changes.subscribe or changes.unsubscribe:
            connection.flush()

    def process_received(self, connection: Connection, now_s: float) -> None:
        """Note what the broker has answered, and pass on the messages that it has sent."""
        for subscribed in connection.take_subscribed():
            if is_failure(subscribed.code):
                self._subscriptions.refused(subscribed.topic, now_s)
                self._queue.count_received(refused_subscriptions=1)
                self._log.subscription_refused(subscribed.topic, subscribed.code)
            else:
                self._log.subscription_accepted(subscribed.topic)
        for topic in connection.take_unsubscribed():
            self._subscriptions.given_up(topic)
        for received in connection.take_received():
            self._pass_on(received, now_s)
        commands = connection.take_commands()
        if commands:
            connection.flush()  # their acknowledgements
        if dropped := connection.take_dropped_commands():
            self._queue.count_received(dropped_commands=dropped)
        for command in commands:
            self._pass_on_command(command, now_s)

    def _pass_on_command(self, command: ReceivedCommand, now_s: float) -> None:
        name = command_filter(command.topic)
        if not self._subscriptions.is_read(name, now_s):
            self._queue.count_received(unread=1)
            return
        self._count(name, command.cost, now_s)
        self._receive_command(command)

    def _pass_on(self, received: Received, now_s: float) -> None:
        if not self._subscriptions.is_read(received.topic, now_s):
            self._queue.count_received(unread=received.messages)
            return
        self._queue.count_received(
            superseded=received.messages - received.oversized - (received.payload is not None),
            oversized=received.oversized,
        )
        self._count(received.topic, received.cost, now_s)
        self._receive(received)

    def _count(self, name: str, cost: float, now_s: float) -> None:
        if not self._subscriptions.count(name, cost, now_s):
            return
        self._queue.count_received(paused_topics=1)
        if is_command_filter(name):
            self._log.too_many_commands(name)
        else:
            self._log.too_many_messages(name)


def _ignore(_received: Received | ReceivedCommand) -> None:
    pass
