"""Checks of the broker: reached, accepted, each topic probed, and what a daemon has left there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from paho.mqtt.client import MQTTv5, MQTTv311
from paho.mqtt.enums import MQTTProtocolVersion

from asd_monitor.config.settings import Config
from asd_monitor.diagnosis.broker_reach import reach_broker
from asd_monitor.diagnosis.daemon_status import FRESH, age_of, check_daemon, document_of
from asd_monitor.diagnosis.findings import Area, Check, Finding
from asd_monitor.diagnosis.probe_client import BrokerLimits, ProbeClient
from asd_monitor.diagnosis.topic_probe import Outcome, SilentBrokerError, TopicProbe
from asd_monitor.diagnosis.topic_use import topics_of
from asd_monitor.diagnosis.topics import check_topic
from asd_monitor.publish.broker_diagnostics import ConnectionEnd, EndCause
from asd_monitor.publish.messages import ONLINE
from asd_monitor.publish.topics import Topics

BASE_BYTES, MACHINE_BYTES = 4000, 2500
"""Size of the largest message, the status of the box, and what each machine adds."""


class _ConnectionFailedError(OSError):
    """No further connection can be made; the first one could."""


@dataclass(frozen=True, slots=True)
class BrokerExamination:
    """Examines the broker of a configuration.

    Args:
        config: the configuration.
        daemon_runs: whether a daemon uses the state folder.
        now: returns the time, with time zone.
        versions: of MQTT, the first one that the broker accepts is used.

    """

    config: Config
    daemon_runs: Callable[[], bool]
    now: Callable[[], datetime]
    versions: Sequence[MQTTProtocolVersion] = (MQTTv5, MQTTv311)

    def run(self) -> Iterator[Finding]:
        """Yield the findings; takes some seconds."""
        mqtt = self.config.mqtt
        reach = reach_broker(mqtt, self.now())
        yield from reach.findings
        if not reach.is_reached:
            yield Check(Area.BROKER, "topic", mqtt.address).not_checked(
                "no topic was tried, since the broker was not reached"
            )
            return
        if mqtt.username is not None and mqtt.password_file is None:
            yield Check(Area.BROKER, "password", mqtt.address).warning(
                f"the user {mqtt.username} has no password here",
                "name mqtt.password_file; that of a service is /etc/asd-monitor/NAME.password",
            )
        client, end = self._first_connection()
        check = Check(Area.BROKER, "session", mqtt.address)
        if client is None:
            yield check.failed(end.reason, end.remedy) if end else check.not_checked("no answer")
            return
        with client:
            is_version_5 = client.version == MQTTv5
            if is_version_5:
                yield check.ok(f"accepts {mqtt.username or 'clients without a user'}, MQTT 5")
            else:
                yield check.warning(
                    "the broker speaks MQTT 3.1.1 only: it cannot say which messages it refuses",
                    "use a broker with MQTT 5",
                )
            yield from self._limits(client.limits)
        yield from self._topics(client.version)

    def _first_connection(self) -> tuple[ProbeClient | None, ConnectionEnd | None]:
        """Connect by the newest version that the broker accepts."""
        end = None
        for version in self.versions:
            client = ProbeClient(self.config.mqtt, self.config.box, version=version)
            failed = client.connect()
            if failed is None:
                return client, None
            end = end or failed
            if failed.cause not in {EndCause.UNSUPPORTED_VERSION, EndCause.NO_ANSWER}:
                break
        return None, end

    def _limits(self, limits: BrokerLimits) -> Iterator[Finding]:
        address = self.config.mqtt.address
        check = Check(Area.BROKER, "retained", address)
        if not limits.retain_available:
            yield check.failed(
                "the broker does not support retained messages: the daemon cannot connect",
                "configure it to retain messages (mosquitto: `retain_available true`)",
            )
        else:
            yield check.ok("retained messages are supported")
        check = Check(Area.BROKER, "qos", address)
        if limits.maximum_qos < 1:
            yield check.failed(
                "the broker supports QoS 0 only: events may be lost",
                "configure it to support QoS 1 (mosquitto: `max_qos 1` or 2)",
            )
        else:
            yield check.ok("QoS 1 is supported")
        check = Check(Area.BROKER, "size", address)
        needed = self._needed_bytes
        size = limits.maximum_packet_bytes
        if size is not None and size < needed:
            yield check.failed(
                f"the broker accepts {size} bytes, and the status of this box may have {needed}",
                "raise the limit of message size (mosquitto: max_packet_size, message_size_limit)",
            )

    @property
    def _needed_bytes(self) -> int:
        return BASE_BYTES + MACHINE_BYTES * len(self.config.machines)

    def _topics(self, version: MQTTProtocolVersion) -> Iterator[Finding]:
        mqtt, topics = self.config.mqtt, Topics(self.config.mqtt.prefix, self.config.box)

        def connect() -> ProbeClient:
            client = ProbeClient(mqtt, self.config.box, version=version)
            end = client.connect()
            if end is not None:
                raise _ConnectionFailedError(f"{end.reason}: {end.remedy}")
            return client

        probe = TopicProbe(connect, self.daemon_runs)
        try:
            outcomes = probe.look(list(topics_of(self.config)))
            retained = {each.use.topic: each.retained.payload for each in outcomes if each.retained}
            is_elsewhere = self._is_elsewhere(retained, topics)
            yield self._client_id(topics, is_elsewhere=is_elsewhere)
            others = self._other_boxes(retained, topics)
            yield from self._machine_ids(others)
            for outcome in outcomes:
                outcome.is_foreign = is_elsewhere or outcome.use.machine in others
            probe.probe(outcomes)
            for outcome in outcomes:
                yield from check_topic(outcome, mqtt, is_version_5=version == MQTTv5)
            yield from self._size(probe, outcomes[0])
        except _ConnectionFailedError as error:
            yield Check(Area.BROKER, "session", mqtt.address).failed(
                f"a second connection failed: {error}", "look at the log of the broker"
            )
            return
        except SilentBrokerError as error:
            yield Check(Area.BROKER, "session", mqtt.address).failed(
                f"the broker accepts the session and does not answer {error}",
                "look at its load, its disk and its log",
            )
            return
        finally:
            probe.close()
        if self.daemon_runs():
            yield from check_daemon(retained, topics, list(self.config.machines), self.now())

    def _is_elsewhere(self, retained: dict[str, bytes], topics: Topics) -> bool:
        """Return whether another daemon publishes as this box."""
        if self.daemon_runs() or retained.get(topics.availability) != ONLINE:
            return False
        age = age_of(document_of(retained.get(topics.status)), self.now())
        return age is None or age < FRESH

    def _other_boxes(self, retained: dict[str, bytes], topics: Topics) -> dict[str, str]:
        """Return the box of each configured machine that another box has published lately."""
        others = {}
        for machine in self.config.machines:
            state = document_of(retained.get(topics.state(machine)))
            box, age = state.get("box"), age_of(state, self.now())
            if isinstance(box, str) and box != topics.box and (age is None or age < FRESH):
                others[machine] = box
        return others

    def _machine_ids(self, others: dict[str, str]) -> Iterator[Finding]:
        for machine, box in others.items():
            yield Check(Area.BROKER, "machine_id", machine).failed(
                f"the box {box} publishes a machine of this id on this broker",
                "give each machine its own id, or each plant its own `mqtt: {prefix: …}`; check "
                "that mqtt.host and mqtt.port are those of your broker",
            )

    def _client_id(self, topics: Topics, *, is_elsewhere: bool) -> Finding:
        check = Check(Area.BROKER, "client_id", f"asd-{topics.box}")
        if is_elsewhere:
            return check.failed(
                "a daemon is online as this box, and none uses this state folder",
                "stop the other daemon, or give each its own `box:`; where it is on this computer, "
                "name its state folder with --state, and run doctor with sudo",
            )
        return check.ok("not used by another daemon")

    def _size(self, probe: TopicProbe, echo: Outcome) -> Iterator[Finding]:
        if not echo.is_returned or echo.is_foreign:
            return
        check = Check(Area.BROKER, "size", self.config.mqtt.address)
        needed = self._needed_bytes
        if probe.returns_large(echo.use.topic, needed):
            yield check.ok(f"messages of {needed} bytes are delivered")
        else:
            yield check.failed(
                f"a message of {needed} bytes, as the status of the box may have, is not delivered",
                "raise the limit of message size (mosquitto: message_size_limit, max_packet_size)",
            )
