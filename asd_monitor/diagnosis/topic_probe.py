"""Probes of topics: which messages the broker accepts, returns and retains.

Nothing is published that a subscriber could take for the daemon's:

- A topic without retained messages gets a probe of its own schema, `asd.probe/1`, not retained.
- A topic with a retained message gets this same message again, while no daemon runs.
- A topic that is retained by the daemon and has no message gets a probe.  Only where that comes
  back, so that it is known that nothing is retained there, a retained probe follows, and is
  cleared.
- While a daemon runs, topics that it retains are left alone; what they have shows that they work.
- A command is a probe too, which no daemon takes for a command.
- The topics of a machine that another box monitors, and those of a box that is online elsewhere,
  are left alone.

Every message has QoS 1, whatever the daemon uses: with MQTT 5 the broker then says whether it
accepts it.  MQTT 3.1.1 has no such answer, so a message has to come back.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from asd_monitor.diagnosis.probe_client import Message, ProbeClient
from asd_monitor.diagnosis.topic_use import TopicUse
from asd_monitor.publish.broker_diagnostics import ConnectionEnd, is_failure
from asd_monitor.publish.messages import OFFLINE

PROBE_SCHEMA = "asd.probe/1"
_BATCH = 16
_ACKNOWLEDGED_S = 4.0
_RETURNED_S = 1.0
_SUBSCRIBED_S = 4.0
_SETTLED_S = 2.0  # within which what is retained arrives


class SilentBrokerError(Exception):
    """The broker holds the connection and answers nothing; the message says to what."""


@dataclass(slots=True)
class Outcome:
    """What the probes of one topic have shown."""

    use: TopicUse
    retained: Message | None = None  # that was there before
    subscribed: int | None = None  # reason code; None: no answer
    code: int | None = None  # reason code of the probe; None: no answer, or none was published
    is_probed: bool = False
    is_returned: bool = False
    is_retained: bool | None = None  # whether a retained message was kept; None: not tried
    end: ConnectionEnd | None = None  # at which the broker closed the connection
    is_foreign: bool = False  # another daemon publishes there: it is left alone


@dataclass(slots=True)
class _Pending:
    outcome: Outcome
    payload: bytes
    packet_id: int = 0
    before: int = field(default=0)  # messages received on the topic before


class TopicProbe:
    """Probes topics by connections that ``connect`` makes.

    Args:
        connect: returns a connected client; raises OSError where that fails.
        daemon_runs: whether a daemon of this box publishes now; asked before each retained message.

    """

    def __init__(self, connect: Callable[[], ProbeClient], daemon_runs: Callable[[], bool]) -> None:
        self._connect = connect
        self._daemon_runs = daemon_runs
        self._client: ProbeClient | None = None
        self._token = secrets.token_hex(8)

    def close(self) -> None:
        """Disconnect.  May be called in any state and more than once."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def look(self, uses: Sequence[TopicUse]) -> list[Outcome]:
        """Subscribe to all topics and return what is retained there.

        Raises:
            OSError: no connection can be made.
            SilentBrokerError: no subscription is answered.

        """
        client = self._connected()
        outcomes = [Outcome(use) for use in uses]
        for begin in range(0, len(uses), _BATCH):
            part = outcomes[begin : begin + _BATCH]
            codes = client.subscribe([each.use.topic for each in part], _SUBSCRIBED_S)
            for each in part:
                each.subscribed = codes.get(each.use.topic)
            if client.end is None and all(each.subscribed is None for each in part):
                raise SilentBrokerError(f"a subscription within {_SUBSCRIBED_S:g} s")
        self._settle(client, outcomes)
        for each in outcomes:
            kept = [m for m in client.messages(each.use.topic) if m.retained and m.payload]
            each.retained = kept[-1] if kept else None
        return outcomes

    def _settle(self, client: ProbeClient, outcomes: Sequence[Outcome]) -> None:
        """Wait until what is retained has arrived: the first topic returns a message after it."""
        topic = outcomes[0].use.topic
        client.publish(topic, self._payload("settle"))
        client.wait_for(lambda: any(not m.retained for m in client.messages(topic)), _SETTLED_S)

    def probe(self, outcomes: Sequence[Outcome]) -> None:
        """Publish the probes, and note in the outcomes what came back.

        Raises:
            SilentBrokerError: messages are not acknowledged.

        """
        waiting = [each for each in outcomes if self._may_probe(each)]
        for begin in range(0, len(waiting), _BATCH):
            self._publish(waiting[begin : begin + _BATCH])
        for each in waiting:
            if each.use.retained and each.is_returned and not self._daemon_runs():
                with contextlib.suppress(OSError):  # the outcome has the end of the connection
                    self._retain(each)

    def _may_probe(self, outcome: Outcome) -> bool:
        use = outcome.use
        if outcome.is_foreign:
            return False
        if use.is_command:
            return True
        return use.writes and not (use.retained and self._daemon_runs())

    def _publish(self, outcomes: Sequence[Outcome]) -> None:
        """Publish probes together; where the connection ends, each of the rest alone."""
        try:
            self._publish_together(outcomes)
        except OSError:
            return
        if self._client is None or self._client.end is None:
            return
        rest = [each for each in outcomes if each.code is None]
        for each in rest:
            self.close()
            try:
                self._publish_together([each])
            except OSError:
                return
            each.end = None if self._client is None else self._client.end

    def _publish_together(self, outcomes: Sequence[Outcome]) -> None:
        client = self._connected()
        pending = []
        for each in outcomes:
            topic = each.use.topic
            payload = self._probe_of(each)
            item = _Pending(each, payload, before=len(client.messages(topic)))
            item.packet_id = client.publish(topic, payload)
            each.is_probed = True
            pending.append(item)
        deadline_s = time.monotonic() + _ACKNOWLEDGED_S  # of all of them
        for item in pending:
            left_s = max(0.0, deadline_s - time.monotonic())
            item.outcome.code = client.acknowledged(item.packet_id, left_s)
        if client.end is None and all(item.outcome.code is None for item in pending):
            raise SilentBrokerError(f"messages within {_ACKNOWLEDGED_S:g} s")
        accepted = [item for item in pending if not is_failure(item.outcome.code or 0)]
        client.wait_for(lambda: all(_has_returned(client, item) for item in accepted), _RETURNED_S)
        for item in pending:
            item.outcome.is_returned = _has_returned(client, item)

    def _probe_of(self, outcome: Outcome) -> bytes:
        if outcome.retained is not None and outcome.use.retained:
            return outcome.retained.payload
        if outcome.use.is_availability:
            return OFFLINE
        return self._payload(outcome.use.topic)

    def _payload(self, topic: str) -> bytes:
        document = {"schema": PROBE_SCHEMA, "by": "asd-monitor doctor", "token": self._token}
        return json.dumps({**document, "topic": topic}).encode()

    def _retain(self, outcome: Outcome) -> None:
        """Publish a retained message, see whether it is kept, and leave what was there.

        Nothing is retained on the topic, or ``outcome.retained`` is.  Raises OSError and
        `SilentBrokerError`.
        """
        client, topic = self._connected(), outcome.use.topic
        payload = self._probe_of(outcome)
        try:
            self._retain_now(outcome, client, payload)
        except (SilentBrokerError, KeyboardInterrupt):  # the broker may take the probe later
            if outcome.retained is None:
                client.publish(topic, b"", retain=True)
            raise
        if outcome.retained is None and client.end is None:
            client.acknowledged(client.publish(topic, b"", retain=True), _ACKNOWLEDGED_S)

    def _retain_now(self, outcome: Outcome, client: ProbeClient, payload: bytes) -> None:
        topic = outcome.use.topic
        code = client.acknowledged(client.publish(topic, payload, retain=True), _ACKNOWLEDGED_S)
        if code is None:
            if client.end is None:
                raise SilentBrokerError(f"a retained message within {_ACKNOWLEDGED_S:g} s")
            outcome.is_retained, outcome.end = False, client.end
            self.close()
            return
        client.unsubscribe(topic)
        before = len(client.messages(topic))
        client.subscribe([topic], _SUBSCRIBED_S)
        outcome.is_retained = client.wait_for(
            lambda: any(m.retained for m in client.messages(topic)[before:]), _RETURNED_S
        )

    def returns_large(self, topic: str, size: int) -> bool | None:
        """Return whether a message of so many bytes comes back; None: the connection has ended."""
        client = self._connected()
        begin = self._payload("large")[:-1]
        padding = b', "padding": "' + b"x" * max(0, size - len(begin) - 16) + b'"}'
        client.subscribe([topic], _SUBSCRIBED_S)
        before = len(client.messages(topic))
        client.publish(topic, begin + padding)
        found = client.wait_for(
            lambda: any(len(m.payload) >= size - 2 for m in client.messages(topic)[before:]),
            _ACKNOWLEDGED_S,
        )
        return None if client.end is not None and not found else found

    def _connected(self) -> ProbeClient:
        if self._client is None or self._client.end is not None:
            self.close()
            self._client = self._connect()
        return self._client


def _has_returned(client: ProbeClient, item: _Pending) -> bool:
    received = client.messages(item.outcome.use.topic)[item.before :]
    return any(each.payload == item.payload for each in received)
