"""Log lines of the session with the broker, each cause once instead of at every retry."""

from __future__ import annotations

import structlog
from paho.mqtt.client import MQTTv5
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from asd_monitor.config.settings import Mqtt
from asd_monitor.publish.broker_diagnostics import ConnectionEnd, EndCause, publish_remedy

log = structlog.get_logger()

_SHORT_CONNECTIONS_TO_REPORT = 3


class SessionLog:
    """Logs connections, their ends and refused messages.

    A reason why no connection is established is an error once after each connection, a refused
    topic once until it is accepted again.  Used by the session's thread alone.
    """

    def __init__(self, settings: Mqtt, client_id: str, *, stable_s: float) -> None:
        """Count connections shorter than ``stable_s`` as short."""
        self._settings = settings
        self._client_id = client_id
        self._stable_s = stable_s
        self._reported_reasons: set[str] = set()  # since the last connection
        self._refused_topics: set[str] = set()
        self._short_connections = 0  # in a row

    def connected(self, version: MQTTProtocolVersion) -> None:
        """Log a new connection."""
        self._reported_reasons.clear()
        log.info(
            "connected to the broker",
            broker=self._settings.address,
            mqtt="5" if version == MQTTv5 else "3.1.1",
        )

    def connection_ended(
        self, end: ConnectionEnd, connected_s: float | None, retry_s: float
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
            log.warning("connection to the broker lost", **facts)
            self._count_short_connections(connected_s)
        elif end.reason not in self._reported_reasons:
            self._reported_reasons.add(end.reason)
            log.error("no connection to the broker; retrying", **facts)
        else:
            log.debug("still no connection to the broker", **facts)

    def message_refused(self, topic: str, code: ReasonCode) -> None:
        """Log a message that the broker refused."""
        if topic in self._refused_topics:
            return
        self._refused_topics.add(topic)
        log.error(
            "the broker refused a message; other topics are not affected",
            broker=self._settings.address,
            topic=topic,
            reason=str(code),
            hint=publish_remedy(code, topic, self._settings),
        )

    def message_accepted(self, topic: str) -> None:
        """Log a topic that the broker accepts again."""
        if topic in self._refused_topics:
            self._refused_topics.discard(topic)
            log.info("the broker accepts messages on this topic again", topic=topic)

    def _count_short_connections(self, connected_s: float) -> None:
        self._short_connections = self._short_connections + 1 if connected_s < self._stable_s else 0
        if self._short_connections == _SHORT_CONNECTIONS_TO_REPORT:
            log.error(
                "the broker repeatedly closes the connection shortly after it was established",
                broker=self._settings.address,
                hint="check whether another daemon has the same box id "
                f"(client id {self._client_id}), and the broker's log",
            )
