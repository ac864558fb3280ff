"""Log lines of the session with the broker, each cause once instead of at every retry."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import structlog
from paho.mqtt.client import MQTTv5
from paho.mqtt.enums import MQTTProtocolVersion

from asd_monitor.config.settings import Mqtt
from asd_monitor.publish.broker_diagnostics import (
    ConnectionEnd,
    EndCause,
    publish_remedy,
    reason_text,
    subscribe_remedy,
)
from asd_monitor.publish.subscriptions import PAUSE_S, RATE_HZ
from asd_monitor.publish.suspect_topics import Closing

log = structlog.get_logger()

_SHORT_CONNECTIONS_TO_REPORT = 3
_NAMED_TOPICS = 3
_NOT_AUTHORIZED = 0x87
_NAMED_ANSWERS = 100  # topics that are remembered: whoever sends commands chooses them


class SessionLog:
    """Logs connections, their ends and refused messages.

    A reason why no connection is established is an error once after each connection, a refused
    topic once until it is accepted again, the end of short connections in a row once for each
    reason.  Used by the session's thread alone.
    """

    def __init__(self, settings: Mqtt, client_id: str, *, stable_s: float) -> None:
        """Count connections shorter than ``stable_s`` as short."""
        self._settings = settings
        self._client_id = client_id
        self._stable_s = stable_s
        self._reported_reasons: set[str] = set()  # since the last connection
        self._reported_ends: set[str] = set()  # of short connections in a row
        self.refused_topics: Mapping[str, str] = {}
        """Why the newest message on a topic was refused, by topic; replaced as a whole."""
        self._refused_subscriptions: set[str] = set()
        self._refused_answers: set[str] = set()  # topics
        self._version: MQTTProtocolVersion = MQTTv5  # of the newest connection
        self._short_connections = 0  # in a row

    def connected(self, version: MQTTProtocolVersion) -> None:
        """Log a new connection."""
        self._reported_reasons.clear()
        log.info(
            "connected to the broker",
            broker=self._settings.address,
            mqtt="5" if version == MQTTv5 else "3.1.1",
        )
        if version != MQTTv5 and self._version == MQTTv5:
            log.warning(
                "with MQTT 3.1.1 refusals are not seen: an event that the broker's access rules "
                "refuse counts as published and is deleted",
                broker=self._settings.address,
                hint="use a broker that supports MQTT 5, and let a proxy before it pass MQTT 5 on: "
                "every connect tries it first",
            )
        self._version = version

    def connection_ended(
        self,
        end: ConnectionEnd,
        connected_s: float | None,
        retry_s: float,
        closing: Closing,
    ) -> None:
        """Log the end of a connection after ``connected_s``; None: none was established."""
        facts = {
            "broker": self._settings.address,
            "reason": end.reason,
            "hint": end.remedy,
            "next_try_s": f"{retry_s:.1f}",
        }
        facts = {key: fact for key, fact in facts.items() if fact}
        if end.cause is EndCause.TAKEN_OVER:
            log.error("MQTT session taken over by another client", **facts)
        elif connected_s is not None:
            self._connection_lost(end, connected_s, closing, facts)
        elif end.reason not in self._reported_reasons:
            self._reported_reasons.add(end.reason)
            log.error("no connection to the broker; retrying", **facts)
        else:
            log.debug("still no connection to the broker", **facts)

    def _connection_lost(
        self, end: ConnectionEnd, connected_s: float, closing: Closing, facts: dict[str, str]
    ) -> None:
        if connected_s >= self._stable_s:
            self._short_connections = 0
            self._reported_ends.clear()
        known = self._short_connections >= _SHORT_CONNECTIONS_TO_REPORT
        known |= end.reason in self._reported_ends
        self._reported_ends.add(end.reason)
        log.log(
            logging.DEBUG if known else logging.WARNING, "connection to the broker lost", **facts
        )
        if end.cause is EndCause.CLOSED_BY_BROKER:
            self._explain_short_connection(connected_s, closing)

    def messages_ignored(self, topic: str, limit_s: float) -> None:
        """Log a topic of which the broker acknowledges no message."""
        self._refuse(topic, "no message is acknowledged")
        log.error(
            "the broker acknowledges no message on this topic; other topics are not affected",
            broker=self._settings.address,
            topic=topic,
            waited_s=f"{limit_s:g}",
            hint=publish_remedy(_NOT_AUTHORIZED, topic, self._settings),
        )

    def offline_not_accepted(self) -> None:
        """Log the end of a stopped session of which the broker has not accepted ``offline``."""
        log.warning(
            "the broker has not accepted `offline` in time: the connection is closed, so that it "
            "publishes the will message of the session",
            broker=self._settings.address,
            hint="check the network, the broker's load and its access rules",
        )

    def message_refused(self, topic: str, code: int) -> None:
        """Log a message that the broker refused."""
        if topic in self.refused_topics:
            return
        self._refuse(topic, reason_text(code))
        log.error(
            "the broker refused a message; other topics are not affected",
            broker=self._settings.address,
            topic=topic,
            reason=reason_text(code),
            hint=publish_remedy(code, topic, self._settings),
        )

    def answer_refused(self, topic: str, reason: str) -> None:
        """Log a topic on which the answers to commands are not published, each once."""
        if topic in self._refused_answers or len(self._refused_answers) >= _NAMED_ANSWERS:
            return
        self._refused_answers.add(topic)
        log.warning(
            "the answer to a command is not published",
            broker=self._settings.address,
            topic=topic,
            reason=reason,
            hint=publish_remedy(_NOT_AUTHORIZED, topic, self._settings),
        )

    def message_accepted(self, topic: str) -> None:
        """Log a topic that the broker accepts again."""
        if topic in self.refused_topics:
            refused = self.refused_topics.items()
            self.refused_topics = {each: reason for each, reason in refused if each != topic}
            log.info("the broker accepts messages on this topic again", topic=topic)

    def _refuse(self, topic: str, reason: str) -> None:
        self.refused_topics = {**self.refused_topics, topic: reason}

    def subscription_refused(self, topic: str, code: int) -> None:
        """Log a topic that the broker does not let this client read."""
        if topic in self._refused_subscriptions:
            return
        self._refused_subscriptions.add(topic)
        log.error(
            "the broker refused a subscription; other topics are not affected",
            broker=self._settings.address,
            topic=topic,
            reason=reason_text(code),
            hint=subscribe_remedy(code, topic, self._settings),
        )

    def subscription_accepted(self, topic: str) -> None:
        """Log a topic that this client may read again."""
        if topic in self._refused_subscriptions:
            self._refused_subscriptions.discard(topic)
            log.info("the broker accepts the subscription again", topic=topic)

    def too_many_messages(self, topic: str) -> None:
        """Log a topic on which more messages arrive than are read."""
        log.warning(
            "too many messages on a topic: only one every few seconds is read",
            topic=topic,
            limit_hz=f"{RATE_HZ:g}",
            read_every_s=f"{PAUSE_S:g}",
            hint="publish at most once a second, or at changes only; check what else publishes to "
            "this topic",
        )

    def too_many_commands(self, name: str) -> None:
        """Log a filter on which more commands arrive than are read."""
        log.warning(
            "too many commands to a machine: they are not read for a while",
            topic=name,
            limit_hz=f"{RATE_HZ:g}",
            pause_s=f"{PAUSE_S:g}",
            hint="wait for the answer to a command before the next; check what publishes them",
        )

    def _explain_short_connection(self, connected_s: float, closing: Closing) -> None:
        """Log the cause of short connections, once it is known.

        A message that is the cause ends each connection in the same place; a client with the same
        id ends them wherever they are.
        """
        if closing.cause is not None:
            self._short_connections = 0
            if closing.left_out_s is not None:
                self._log_left_out(closing.cause, closing.left_out_s)
            return
        self._short_connections = self._short_connections + 1 if connected_s < self._stable_s else 0
        if self._short_connections == _SHORT_CONNECTIONS_TO_REPORT:
            log.error(
                "the broker repeatedly closes the connection shortly after it was established",
                broker=self._settings.address,
                hint=self._hint_for_short_connections(closing),
            )

    def _hint_for_short_connections(self, closing: Closing) -> str:
        if closing.unconfirmed and not closing.confirmed:
            return (
                f"it closes before it accepts any message, such as those on "
                f"{', '.join(closing.unconfirmed[:_NAMED_TOPICS])}: check the broker's access "
                "rules and limits, and its log"
            )
        return (
            "the messages are accepted: check whether another daemon has the same box id "
            f"(client id {self._client_id}), and the broker's log"
        )

    def _log_left_out(self, topic: str, left_out_s: float) -> None:
        if topic in self.refused_topics:
            return
        self._refuse(topic, "connections ended at messages on it, which may be the cause")
        log.error(
            "connections ended at messages on this topic, which may be the cause; it is left out "
            "for a while, other topics are not affected",
            broker=self._settings.address,
            topic=topic,
            next_try_s=f"{left_out_s:g}",
            hint=f"if this is repeated, {publish_remedy(_NOT_AUTHORIZED, topic, self._settings)}, "
            "raise its limit of message size, or see its log; otherwise check the network",
        )
