"""Three machines, a broker and the daemon with its page, which all tests in a browser share."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from paho.mqtt.client import MQTTMessage

from tests.doubles.model_copies import copy_model
from tests.doubles.mosquitto import Mosquitto, Subscriber
from tests.doubles.page_browser import PageBrowser, free_port
from tests.doubles.run_process import (
    TIMEOUT_S,
    BrokerMessages,
    RunProcess,
    asd_monitor,
    write_sound,
)

TOKEN = "correct horse battery staple"  # noqa: S105 - of tests
FAULTY, HEALTHY, ABSENT = "fan01", "pump02", "saw03"
SPEED = 4
"""The sound of both is played so many times faster than real time."""


class PagePlant:
    """The daemon and its broker; use it with ``with``.

    `FAULTY` has a fault in half of each turn of 14 s, `HEALTHY` has none, `ABSENT` no microphone.
    The page needs a token.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.models = folder / "models"
        self._broker = Mosquitto(folder / "broker")
        self._subscriber = Subscriber(self._broker.port)
        self.messages = BrokerMessages(self._subscriber)
        self._train()
        self.port = free_port()  # late, so that no other program takes it meanwhile
        self.url = f"http://localhost:{self.port}"
        self._configure()

    def __enter__(self) -> PagePlant:
        self._broker.start()
        self._subscriber.__enter__()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.run.kill()
        self._subscriber.__exit__(None, None, None)
        self._broker.stop()

    def start(self) -> None:
        """Start the daemon, and wait for its page."""
        self.run = RunProcess(
            self._folder,
            *("--config", self._folder / "edge.yaml", "--models", self.models),
            *("--state", self._folder / "state", "--speed", SPEED),
        )
        PageBrowser(self.port).until("/healthz", "")

    def stop(self) -> None:
        """End the daemon as a service manager does."""
        self.run.process.terminate()
        assert self.run.end() == 0, self.run.log
        self.run.kill()

    def active_alarm(self) -> str:
        """Return the id of an alarm of `FAULTY` that is active, shown and not acknowledged."""

        def is_shown(message: dict[str, Any]) -> bool:
            is_hidden = message["shelved_until"] or message["out_of_service"]
            return message["active"] and not message["acknowledged"] and not is_hidden

        return str(self.newest(f"{FAULTY}/alarm", is_shown)["id"])

    def alarm_with_evidence(self) -> str:
        """Return the id of an alarm of `FAULTY` whose evidence is written."""
        found = self.until(f"{FAULTY}/alarm", lambda m: m["evidence"])
        return str(found["id"])

    def acknowledge(self) -> None:
        """Acknowledge the alarm of `FAULTY`, and wait until it is over."""
        alarm = self.active_alarm()
        self._subscriber.publish(f"asd/{FAULTY}/cmd/ack", alarm.encode())
        self.newest(f"{FAULTY}/alarm", lambda m: m["id"] == alarm and not m["active"])

    def until(self, topic: str, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Wait for a message on a topic below the prefix, and return it."""
        return self.messages.until(topic, condition, self.run)

    def until_event(self, machine: str, alarm: str | None, to: str) -> dict[str, Any]:
        """Wait for the event by which a condition is reached."""
        return self.until(f"{machine}/event", lambda m: (m["alarm_id"], m["to"]) == (alarm, to))

    def received_s(self, event: dict[str, Any]) -> float:
        """Return the Unix time at which an event arrived here."""
        (message,) = (m for m in self._subscriber.messages if event["id"].encode() in m.payload)
        return time.time() - time.monotonic() + float(message.timestamp)

    def newest(self, topic: str, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Wait until the newest message on a topic meets a condition, and return it."""
        found: dict[str, Any] | None = None

        def is_met(messages: list[MQTTMessage]) -> bool:
            nonlocal found
            found = self.messages.newest(messages, topic)
            return found is not None and bool(condition(found))

        self._subscriber.wait_until(is_met, timeout_s=TIMEOUT_S)
        assert found is not None
        return found

    def _train(self) -> None:
        normal = write_sound(self._folder / "normal.flac", 75, seed=1)
        write_sound(self._folder / "fault.flac", 56, seed=3, fault_from_s=28.0)
        asd_monitor(
            *("train", "--machine", FAULTY, "--normal", normal, "--models", self.models),
            "--no-shipped-encoder",
            timeout_s=240.0,
        )
        copy_model(self.models, FAULTY, HEALTHY)

    def _configure(self) -> None:
        (self._folder / "token").write_text(TOKEN)
        (self._folder / "edge.yaml").write_text(
            "version: 1\nbox: edge\n"
            f"mqtt: {{port: {self._broker.port}, commands: true}}\n"
            f"http: {{listen: '127.0.0.1:{self.port}', token_file: '{self._folder}/token'}}\n"
            "selftest: off\n"
            "defaults: {evidence: {keep_after_s: 4}}\n"
            "machines:\n"
            f"  {FAULTY}: {{device: 'file:{self._folder}/fault.flac?loop'}}\n"
            f"  {HEALTHY}: {{device: 'file:{self._folder}/normal.flac?loop'}}\n"
            f"  {ABSENT}: {{device: 'usb-path:9-9.9'}}\n"
        )
