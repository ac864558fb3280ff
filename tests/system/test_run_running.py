"""The daemon as a process, with mosquitto: messages that say whether a machine runs."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.mosquitto import Mosquitto, Subscriber
from tests.doubles.run_process import BrokerMessages, RunProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TOPIC = "plc/fan01"
FLOODED_WINDOWS, HOP_S = 40, 0.512


@pytest.fixture
def plant(mosquitto: Mosquitto) -> Iterator[Subscriber]:
    with Subscriber(mosquitto.port) as subscriber:
        yield subscriber


@pytest.fixture
def messages(plant: Subscriber) -> BrokerMessages:
    return BrokerMessages(plant)


class Daemon:
    """A daemon with one machine whose sound is normal without end."""

    def __init__(self, folder: Path, trained: Path, port: int, running: str) -> None:
        self.config = folder / "edge.yaml"
        self._head = (
            f"version: 1\nbox: edge\nmqtt: {{host: localhost, port: {port}}}\n"
            f"machines:\n  fan01:\n    device: 'file:{trained}/calm.flac?loop'\n"
        )
        self.write(running)
        self.run = RunProcess(
            folder,
            "--config",
            self.config,
            "--models",
            trained / "models",
            "--state",
            folder / "state",
        )

    def write(self, running: str) -> None:
        """Write the configuration with this signal."""
        self.config.write_text(f"{self._head}    running: {running}\n")


@pytest.fixture
def start(trained: Path, tmp_path: Path, mosquitto: Mosquitto):
    started: list[Daemon] = []

    def start_daemon(running: str) -> Daemon:
        started.append(Daemon(tmp_path, trained, mosquitto.port, running))
        return started[-1]

    yield start_daemon
    for daemon in started:
        daemon.run.kill()


def is_off(state: dict[str, object]) -> bool:
    return state["state"] == "idle" and not state["evaluated"]


def has_reason(text: str):
    """Return a condition: the state is evaluated, and its reason contains a text."""
    return lambda state: state["evaluated"] and text in (state["reason"] or "")


def test_without_a_message_the_machine_is_monitored_and_that_is_reported(start, messages):
    daemon = start(f"{{topic: {TOPIC}, stale_after: 10s}}")
    state = messages.until(
        "fan01/state", has_reason(f"taken to be running: no message on {TOPIC}"), daemon.run
    )
    assert state["state"] == "normal"
    assert "check the topic, and that the broker lets this client read it" in daemon.run.log
    messages.until("fan01/score", lambda m: m["state"] == "normal", daemon.run)


def test_a_machine_is_off_until_the_message_is_malformed(start, messages, plant):
    daemon = start(f"{{topic: {TOPIC}, json_path: $.drive.run}}")
    messages.until_state("fan01", "normal", "ok", daemon.run)
    plant.publish(TOPIC, b'{"drive": {"run": false}}')
    messages.until("fan01/state", is_off, daemon.run)
    messages.until("fan01/alarm", lambda m: m["suppressed"], daemon.run)
    plant.publish(TOPIC, b'{"drive": {"run": "no"}}')
    messages.until("fan01/state", has_reason("is malformed"), daemon.run)
    assert daemon.run.log.count("publish JSON with true, false, 1 or 0 at $.drive.run") == 1
    messages.until(
        "fan01/alarm",
        lambda _: messages.all("fan01/alarm")[-1]["suppressed"] is False,
        daemon.run,
    )
    plant.publish(TOPIC, b'{"drive": {"run": true}}')
    messages.until(
        "fan01/state",
        lambda m: m["state"] == "normal" and "taken to be running" not in (m["reason"] or ""),
        daemon.run,
    )


def test_a_retained_message_counts_until_it_is_stale_also_after_a_reconnect(
    start, messages, plant, mosquitto
):
    plant.publish(TOPIC, b"off", retain=True)
    daemon = start(f"{{topic: {TOPIC}, stale_after: 15s}}")
    messages.until("fan01/state", is_off, daemon.run)
    with Subscriber(mosquitto.port, "test/#") as other:  # the message is delivered again
        daemon.write(f"{{topic: {TOPIC}, stale_after: 14s}}")
        daemon.run.process.send_signal(signal.SIGHUP)
        other.catch_up()
    messages.until("fan01/state", has_reason("for more than 14s"), daemon.run)
    assert "publish at least every 14s, or raise stale_after" in daemon.run.log
    plant.publish(TOPIC, b"off")
    states = len(messages.all("fan01/state"))
    plant.wait_until(
        lambda _: any(is_off(m) for m in messages_after(plant, "asd/fan01/state", states))
    )


def messages_after(plant: Subscriber, topic: str, count: int) -> list[dict[str, object]]:
    return [json.loads(payload) for payload in plant.payloads(topic)[count:]]


def test_a_flood_delays_no_score_and_the_signal_goes_on(start, mosquitto):
    daemon = start(f"{{topic: {TOPIC}, stale_after: 30s}}")
    with Subscriber(mosquitto.port, "asd/#") as outputs:
        messages = BrokerMessages(outputs)
        messages.until("fan01/score", lambda m: m["seq"] > 3, daemon.run)
        memory_before = resident_bytes(daemon.run)
        with flooding(mosquitto.port):
            first = json.loads(outputs.payloads("asd/fan01/score")[-1])["seq"]
            began_s = time.monotonic()
            last = messages.until(
                "fan01/score", lambda m: m["seq"] > first + FLOODED_WINDOWS, daemon.run
            )
            took_s = time.monotonic() - began_s
        assert took_s < 2 * FLOODED_WINDOWS * HOP_S
        assert last["lost_samples"] == 0
        assert resident_bytes(daemon.run) < memory_before + 30e6
        assert daemon.run.log.count("too many messages on a topic") == 1
        with Subscriber(mosquitto.port, "test/#") as plant:
            plant.publish(TOPIC, b"false", retain=True)
        messages.until("fan01/state", is_off, daemon.run)
        daemon.run.process.send_signal(signal.SIGTERM)
        assert daemon.run.end() == 0
        messages.until_text("box/edge/availability", "offline")
        status = json.loads(outputs.payloads("asd/box/edge/status")[-1])
    assert "Traceback" not in daemon.run.log
    assert "connection to the broker lost" not in daemon.run.log
    assert set(status["machines"]["fan01"]["running"]) == {
        "running", "problem", "age_s", "malformed", "dropped"
    }  # fmt: skip


@contextlib.contextmanager
def flooding(port: int) -> Iterator[None]:
    """Publish as fast as possible, now and then a message that is too large."""
    stop = threading.Event()

    def flood() -> None:
        with Subscriber(port, "test/#") as client:
            for number in itertools.count():
                if stop.is_set():
                    return
                client.publish(TOPIC, b"true" if number % 1000 else bytes(200_000), qos=0)

    thread = threading.Thread(target=flood, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def resident_bytes(run: RunProcess) -> float:
    """Return the resident memory of the daemon."""
    status = Path(f"/proc/{run.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return float(line.split()[1]) * 1024
