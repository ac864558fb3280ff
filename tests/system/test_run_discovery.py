"""The daemon as a process, with Home Assistant's discovery on a real broker."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from paho.mqtt.client import MQTTMessage

from tests.doubles.mosquitto import Mosquitto, Subscriber
from tests.doubles.run_process import TIMEOUT_S, BrokerMessages, RunProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

BOX, FAN = (f"homeassistant/device/asd-edge-{name}/config" for name in ("box", "fan01"))
HURRIED = (sys.executable, "-m", "tests.doubles.hurried_self_test")


def start(folder: Path, trained: Path, port: int, discovery: str) -> RunProcess:
    config = folder / "edge.yaml"
    config.write_text(
        f"version: 1\nbox: edge\nmqtt: {{port: {port}, commands: true}}\n"
        f"homeassistant: {discovery}\n"
        f"machines: {{fan01: {{device: 'file:{trained}/calm.flac?loop'}}}}\n"
    )
    models, state = trained / "models", folder / "state"
    return RunProcess(
        folder, "--config", config, "--models", models, "--state", state, program=HURRIED
    )


def until_newest(client: Subscriber, *topics: str, is_removed: bool) -> None:
    """Wait until the newest message on each topic is a device, or is empty."""

    def are_newest(messages: list[MQTTMessage]) -> bool:
        newest = {message.topic: bytes(message.payload) for message in messages}
        return all(topic in newest and (newest[topic] == b"") == is_removed for topic in topics)

    client.wait_until(are_newest, timeout_s=TIMEOUT_S)


def test_devices_survive_a_kill_and_are_removed_after_it(
    trained: Path, tmp_path: Path, mosquitto: Mosquitto
) -> None:
    with Subscriber(mosquitto.port, "homeassistant/#") as client:
        with start(tmp_path, trained, mosquitto.port, "{}"):
            until_newest(client, BOX, FAN, is_removed=False)
            client.publish("homeassistant/status", b"online")
            client.wait_for(FAN, times=2)
        with Subscriber(mosquitto.port, "homeassistant/#") as late:  # it was killed
            until_newest(late, BOX, FAN, is_removed=False)
            device = json.loads(late.payloads(FAN)[0])
            assert device["cmps"]["acknowledge"]["command_topic"] == "asd/fan01/cmd/ack"
        with start(tmp_path, trained, mosquitto.port, "null") as run:
            until_newest(client, BOX, FAN, is_removed=True)
            run.process.send_signal(signal.SIGTERM)
            assert run.end() == 0
            assert "Traceback" not in run.log


def test_a_broker_that_refuses_the_discovery_hurts_nothing_else(
    trained: Path, tmp_path: Path, make_mosquitto: Callable[..., Mosquitto]
) -> None:
    broker = make_mosquitto(acl="topic readwrite asd/#\n").start()
    with Subscriber(broker.port) as client, start(tmp_path, trained, broker.port, "{}") as run:
        messages = BrokerMessages(client)
        alarm = messages.until(
            "box/edge/alarm",
            lambda m: any(each["kind"] == "broker_refuses" for each in m["conditions"]),
            run,
        )
        (text,) = [e["text"] for e in alarm["conditions"] if e["kind"] == "broker_refuses"]
        assert BOX in text
        assert FAN in text
        messages.until_state("fan01", "normal", "ok", run)
        assert not client.payloads(BOX)
        scores = len(client.payloads("asd/fan01/score"))
        client.wait_for("asd/fan01/score", times=scores + 3)
        assert run.process.poll() is None
