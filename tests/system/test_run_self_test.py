"""The daemon as a process: its self-test on a virtual microphone, with real and wrong brokers."""

import json
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from scipy.signal import butter, sosfilt

from tests.doubles.fake_broker import (
    CONNACK_5,
    CONNACK_WRONG_VERSION,
    DISCONNECT,
    PINGREQ,
    PUBLISH,
    ClientConnection,
    FakeBroker,
)
from tests.doubles.mosquitto import Mosquitto, Subscriber
from tests.doubles.run_process import RATE_HZ, TIMEOUT_S, BrokerMessages, RunProcess, write_sound

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

HURRIED = (sys.executable, "-m", "tests.doubles.hurried_self_test")
SELF_TEST, ALARM = "box/edge/selftest", "box/edge/alarm"
NOT_AUTHORIZED = 0x87
SUBSCRIBE, UNSUBSCRIBE = 8, 10  # packet types


def start(folder: Path, models: Path, device: str, port: int, *, speed: float = 1.0) -> RunProcess:
    config = folder / "edge.yaml"
    config.write_text(
        f"version: 1\nbox: edge\nmqtt: {{host: localhost, port: {port}}}\n"
        f'machines:\n  fan01: {{device: "{device}"}}\n'
    )
    arguments: tuple[object, ...] = ("--config", config, "--models", models)
    arguments = (*arguments, "--state", folder / "state", "--speed", speed)
    return RunProcess(folder, *arguments, program=HURRIED)


def result_of(check: str, message: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a check of fan01; empty before the first."""
    found = message["machines"].get("fan01", {"checks": {}})["checks"].get(check, {})
    assert isinstance(found, dict)
    return found


def has_failed(check: str, machine: str | None = "fan01"):
    """Return a condition: the alarm of the box has this check of a self-test."""
    return lambda message: any(
        (each["kind"], each["machine"], each["check"]) == ("self_test_failed", machine, check)
        for each in message["conditions"]
    )


@pytest.fixture
def messages(mosquitto: Mosquitto) -> Iterator[BrokerMessages]:
    with Subscriber(mosquitto.port) as subscriber:
        yield BrokerMessages(subscriber)


def test_a_microphone_in_order_passes_and_a_covered_one_is_found(
    tmp_path, virtual_sound, mosquitto, trained, messages
):
    sound = virtual_sound({"fan": 1}, rate_hz=RATE_HZ)
    calm, _ = soundfile.read(write_sound(tmp_path / "calm.wav", 60, seed=2))
    sound["fan"].play(calm, loop=True)
    with start(tmp_path, trained / "models", "hw:1", mosquitto.port) as run:
        passed = messages.until(
            SELF_TEST,
            lambda m: m["broker"] and m["machines"].get("fan01", {}).get("result") == "passed",
            run,
        )
        assert {each["result"] for each in passed["broker"]["checks"].values()} == {"passed"}
        numbers = result_of("sensitivity", passed)["numbers"]
        for kind in ("tone", "impacts"):
            assert abs(numbers[f"{kind}_db"] - numbers[f"{kind}_training_db"]) <= 6.0
        assert messages.all(ALARM)[-1]["active"] is False
        assert messages.all("fan01/event") == [
            each for each in messages.all("fan01/event") if each["to"] not in ("warning", "alarm")
        ]  # the added faults are not those of the machine
        run.kill()
    shutil.rmtree(tmp_path / "state")
    covered = sosfilt(butter(4, 1000, fs=RATE_HZ, output="sos"), calm)
    sound["fan"].play(covered, loop=True)
    with start(tmp_path, trained / "models", "hw:1", mosquitto.port) as run:
        alarm = messages.until(ALARM, has_failed("microphone"), run)
        (text,) = [each["text"] for each in alarm["conditions"] if each["check"] == "microphone"]
        assert "lower than ever in training" in text
        assert "kHz" in text


def test_the_model_of_another_machine_is_found(
    tmp_path, virtual_sound, mosquitto, trained, messages
):
    sound = virtual_sound({"fan": 1}, rate_hz=RATE_HZ)
    t = np.arange(60 * RATE_HZ) / RATE_HZ
    other = 0.1 * np.random.default_rng(9).standard_normal(len(t)) * (1 + np.sin(2 * np.pi * 9 * t))
    sound["fan"].play(other, loop=True)
    with start(tmp_path, trained / "models", "hw:1", mosquitto.port) as run:
        alarm = messages.until(ALARM, has_failed("model"), run)
    (condition,) = [each for each in alarm["conditions"] if each["check"] == "model"]
    assert "does not fit" in condition["text"]
    assert "microphone and model are those of fan01" in condition["remedy"]


def test_an_access_rule_that_drops_the_message_is_found(tmp_path, trained, make_mosquitto):
    rules = [f"topic read asd/{topic}" for topic in (SELF_TEST, ALARM)]
    broker = make_mosquitto(acl="\n".join(["topic write asd/#", *rules, ""])).start()
    device = f"file:{trained}/calm.flac?loop"
    with (
        Subscriber(broker.port) as subscriber,
        start(tmp_path, trained / "models", device, broker.port) as run,
    ):
        alarm = BrokerMessages(subscriber).until(ALARM, has_failed("round_trip", None), run)
    (condition,) = [each for each in alarm["conditions"] if each["check"] == "round_trip"]
    assert "asd/box/edge/selftest/echo" in condition["text"]


class RefusingBroker:
    """Refuses events by the reason code of MQTT 5, and keeps what is published on the alarm."""

    def __init__(self) -> None:
        self.alarms: list[dict[str, Any]] = []
        self.arrived = threading.Event()

    def __call__(self, client: ClientConnection) -> None:
        client.sock.sendall(CONNACK_5 if client.level == 5 else CONNACK_WRONG_VERSION)
        while (packet := client.read()) is not None:
            head, body = packet
            if head >> 4 == PUBLISH:
                self._answer(client, head, body)
            elif head >> 4 == PINGREQ:
                client.sock.sendall(bytes([0xD0, 0]))
            elif head >> 4 in (SUBSCRIBE, UNSUBSCRIBE):  # of one topic: it is accepted
                client.sock.sendall(bytes([head - 2 + 0x10, 4, *body[:2], 0, 0]))
            elif head >> 4 == DISCONNECT:
                return

    def _answer(self, client: ClientConnection, head: int, body: bytes) -> None:
        packet_id = client.record_publish(head, body)
        topic = client.publishes[-1][0]
        if topic == f"asd/{ALARM}":
            payload = body[2 + int.from_bytes(body[:2]) + 2 :]
            self.alarms.append(json.loads(payload[payload.index(b"{") :]))
            if any(each["kind"] == "broker_refuses" for each in self.alarms[-1]["conditions"]):
                self.arrived.set()
        if packet_id is None:
            return
        if topic.endswith("/event"):
            client.sock.sendall(
                bytes([0x40, 4]) + packet_id.to_bytes(2) + bytes([NOT_AUTHORIZED, 0])
            )
        else:
            client.acknowledge(packet_id)


def test_a_broker_that_refuses_events_is_found(tmp_path, trained):
    behave = RefusingBroker()
    device = f"file:{trained}/fault.flac?loop"
    with (
        FakeBroker(behave) as broker,
        start(tmp_path, trained / "models", device, broker.port, speed=8.0) as run,
    ):
        assert behave.arrived.wait(TIMEOUT_S), (behave.alarms, broker.clients, run.log)
    (condition,) = [
        each for each in behave.alarms[-1]["conditions"] if each["kind"] == "broker_refuses"
    ]
    assert "asd/fan01/event (Not authorized)" in condition["text"]
