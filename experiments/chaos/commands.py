"""Malformed commands over MQTT, as fast as a broker delivers them."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from benchmarks.mqtt_subscriber import MqttSubscriber
from experiments.chaos.box import Box
from experiments.chaos.scenario import Findings, Place, Scenario

_ALARM = "fan01-20261123T044500Z"
_VERBS = ("ack", "shelve", "unshelve", "out-of-service", "in-service", "label", "reload")
_PAYLOADS = (
    b"",
    _ALARM.encode(),
    json.dumps({"id": _ALARM, "for": "2h", "why": "known", "who": "ann"}).encode(),
    json.dumps({"id": _ALARM, "until": "2026-11-23T06:00:00Z", "why": "é"}).encode(),
    json.dumps({"id": _ALARM, "label": "valid"}).encode(),
    json.dumps({"why": "belt", "who": "ann"}).encode(),
    b'{"id":' * 500,
    b"[" * 4096,
    b'{"why": "\\ud800"}',
    b"x" * 5000,
)
_RESPONSE_TOPICS = ("hmi/7", "hmi/" + "x" * 300, "asd/fan01/alarm", "$SYS/x", "asd/hmi/response")
_AT_ONCE = 500  # messages that the broker has not acknowledged yet
_PATIENCE_S = 120.0
_ANSWER_LIMIT_S = 30.0
_EACH_S = 0.5  # between two attempts to be answered
_GROWTH_MB = 50.0
_JOURNAL_MB = 20.0


@dataclass(frozen=True, slots=True)
class Command:
    """A message on a topic of commands."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: Properties


def malformed(chance: random.Random, machine: str) -> Command:
    """Return a command with mutations of its payload, topic, properties and flags."""
    payload = bytearray(chance.choice(_PAYLOADS))
    for _ in range(chance.choice((0, 1, 1, 2, 4))):
        at = chance.randrange(len(payload) + 1)
        match chance.randrange(4):
            case 0:
                payload[at : at + 1] = chance.randbytes(1)
            case 1:
                del payload[at : at + chance.randrange(1, 9)]
            case 2:
                payload[at:at] = payload[at : at + 9] * chance.choice((1, 1, 100))
            case 3:
                payload[at:at] = chance.choice((b"\0", b"\xff", b"\xe2\x80\xa8", b'"', b"}"))
    last = chance.choice((*_VERBS, *_VERBS, "explode", "", "a b", "é" * 50, "x" * 3000))
    return Command(
        f"asd/{machine}/cmd/{last}",
        bytes(payload),
        chance.randrange(2),
        chance.random() < 0.02,
        _properties(chance),
    )


def no_properties() -> Properties:
    """Return the properties of a message without any."""
    return Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]


def _properties(chance: random.Random) -> Properties:
    made = no_properties()
    if chance.random() < 0.3:
        made.ResponseTopic = chance.choice(_RESPONSE_TOPICS)
    if chance.random() < 0.3:
        made.CorrelationData = chance.randbytes(chance.choice((0, 8, 256, 257, 5000)))
    if chance.random() < 0.1:
        made.UserProperty = [("trace", "x" * chance.choice((1, 2000)))]
    return made


class CommandClient:
    """Publishes commands by MQTT 5; use `connected`."""

    def __init__(self) -> None:
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        self._free = threading.Semaphore(_AT_ONCE)
        self._client.max_inflight_messages_set(_AT_ONCE)
        self._client.on_publish = lambda *_: self._free.release()

    @contextmanager
    def connected(self, port: int) -> Iterator[CommandClient]:
        """Connect to a broker on loopback."""
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        try:
            yield self
        finally:
            self._client.disconnect()
            self._client.loop_stop()

    def publish(self, command: Command) -> None:
        """Publish a command, once the broker has acknowledged enough of the earlier ones."""
        self._free.acquire(timeout=_PATIENCE_S)
        self._client.publish(
            command.topic,
            command.payload,
            qos=command.qos,
            retain=command.retain,
            properties=command.properties,
        )

    def finish(self) -> None:
        """Wait until the broker has acknowledged all."""
        for _ in range(_AT_ONCE):
            self._free.acquire(timeout=_PATIENCE_S)
        self._free.release(_AT_ONCE)


class Answers:
    """Counts the answers to commands; pass it to a subscriber."""

    def __init__(self) -> None:
        self.received = 0
        self.other: list[str] = []
        """Messages on the topics of answers that are none."""
        self._changed = threading.Condition()
        self._accepted = 0

    def __call__(self, message: MQTTMessage) -> None:
        """Take a message."""
        if not message.topic.endswith(("/response", "hmi/7")):
            return
        with self._changed:
            self.received += 1
            try:
                document: Any = json.loads(message.payload)
                self._accepted += document["accepted"] is True
            except (ValueError, KeyError, TypeError) as error:
                self.other.append(f"{message.topic}: {error}")
            self._changed.notify_all()

    def wait_for_accepted(self, attempt: Callable[[], None]) -> float | None:
        """Make attempts until a command is accepted; return after how long, in s."""
        begun_s = time.monotonic()
        with self._changed:
            before = self._accepted
        while (waited_s := time.monotonic() - begun_s) < _ANSWER_LIMIT_S:
            attempt()
            with self._changed:
                if self._changed.wait_for(lambda: self._accepted > before, _EACH_S):
                    return waited_s
        return None


@dataclass(frozen=True, slots=True)
class MalformedCommands:
    """Commands with mutations, through a broker, to a daemon."""

    name: str = "commands"
    fault: str = "malformed commands over MQTT"
    times: int = 100_000
    seconds_each: float = 0.0006

    def run(self, place: Place, times: int) -> Findings:
        """Publish so many commands."""
        findings = Findings(times)
        if not (place.product.tree / "asd_monitor" / "daemon" / "commands.py").exists():
            findings.leave_out(times, "this version reads no commands")
            return findings
        calm = f"file:{place.product.calm}?loop"
        devices = {"fan01": calm, "pump02": calm}
        with Box(place.product, place.folder, devices=devices, mqtt={"commands": True}) as box:
            box.start_broker()
            run = box.start(speed=1.0)
            box.wait_evaluated(run.started_s)
            before_mb = run.resident_mb()
            self._publish(box, place.chance(self.name), findings)
            growth_mb = run.resident_mb() - before_mb
            findings.require(growth_mb <= _GROWTH_MB, f"{growth_mb:.0f} MB more than before")
            findings.require(box.wait_evaluated(time.monotonic()), "no sound is evaluated any more")
            online = box.proxy.since(box.availability, run.started_s)
            findings.require(len(online) == 1, f"{len(online) - 1} connections lost")
            box.stop(run, findings)
            journal_mb = sum(path.stat().st_size for path in box.state.glob("alarms*")) / 1e6
            findings.require(journal_mb <= _JOURNAL_MB, f"{journal_mb:.1f} MB of journal")
            findings.notes.append(f"{growth_mb:.1f} MB more memory, {journal_mb:.2f} MB of journal")
        return findings

    def _publish(self, box: Box, chance: random.Random, findings: Findings) -> None:
        """Publish the commands, and a valid one until it is accepted."""
        answers, client = Answers(), CommandClient()
        with MqttSubscriber(box.broker.port, "#", answers), client.connected(box.broker.port):
            for _ in range(findings.times):
                client.publish(malformed(chance, chance.choice(box.machines)))
            client.finish()
            valid = Command(
                "asd/fan01/cmd/in-service", b"", 1, retain=False, properties=no_properties()
            )
            answered_s = answers.wait_for_accepted(lambda: client.publish(valid))
        findings.require(answered_s is not None, "the next valid command is not answered")
        findings.recovered_s += [] if answered_s is None else [answered_s]
        findings.problems += answers.other[:3]
        findings.notes.append(f"{answers.received} answers")


SCENARIOS: tuple[Scenario, ...] = (MalformedCommands(),)
