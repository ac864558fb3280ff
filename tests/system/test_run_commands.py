"""`asd-monitor run`, killed while commands over MQTT arrive."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import threading
from collections import Counter
from pathlib import Path

import pytest

from asd_monitor.journal.commands import read_journal
from tests.doubles.mosquitto import Mosquitto, Subscriber
from tests.doubles.run_process import RunProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

KILLS = 4
_SERVICE = ("in_service", "out_of_service")
_LONGEST_S = 0.15  # from a command to the kill; a command takes about 20 ms


class Box:
    """Runs of a daemon that carries out commands."""

    def __init__(self, folder: Path, trained: Path, broker: Mosquitto) -> None:
        self.state = folder / "state"
        self.runs = 0
        self._broker = broker
        self._folder = folder
        self._config = folder / "edge.yaml"
        self._models = trained / "models"
        self._config.write_text(
            f"version: 1\nbox: edge\nmqtt: {{port: {broker.port}, commands: true}}\n"
            f"machines: {{fan01: {{device: 'file:{trained}/calm.flac?loop'}}}}\n"
        )

    def start(self) -> RunProcess:
        """Start the daemon; return when it reads commands."""
        self.runs += 1
        run = RunProcess(
            self._folder,
            *("--config", self._config, "--models", self._models, "--state", self.state),
        )
        self._broker.wait_for_log("Sending SUBACK to asd-edge", times=self.runs)
        return run

    def requests(self) -> dict[str, tuple[str | None, bool | None]]:
        """Return the outcome of the requests in the journal, by their reason."""
        with sqlite3.connect(f"file:{self.state}/alarms.db?mode=ro", uri=True) as database:
            rows = database.execute("SELECT why, outcome, accepted FROM requests").fetchall()
        database.close()
        return {why: (outcome, accepted) for why, outcome, accepted in rows}

    def changes(self) -> Counter[str | None]:
        """Return how often the service of the machine was changed for each reason."""
        content = read_journal(self.state)
        assert content is not None
        return Counter(event.why for event in content.all_events() if event.before in _SERVICE)


def answers(client: Subscriber, verb: str) -> int:
    client.catch_up("asd/fan01/cmd/test/response")
    return len(client.payloads(f"asd/fan01/cmd/{verb}/response"))


def publish(client: Subscriber, verb: str, **keys: str) -> None:
    client.publish(f"asd/fan01/cmd/{verb}", json.dumps(keys).encode())


def ask(client: Subscriber, verb: str, **keys: str) -> None:
    """Publish a command, and wait for its answer."""
    before = answers(client, verb)
    publish(client, verb, **keys)
    client.wait_for(f"asd/fan01/cmd/{verb}/response", times=before + 1)


def stop(run: RunProcess) -> None:
    run.process.send_signal(signal.SIGTERM)
    assert run.end() == 0
    assert "Traceback" not in run.log
    run.kill()


def test_a_kill_neither_loses_nor_repeats_a_command(
    trained: Path, tmp_path: Path, mosquitto: Mosquitto
) -> None:
    chance, box = random.Random(7), Box(tmp_path, trained, mosquitto)
    with Subscriber(mosquitto.port, "asd/fan01/cmd/+/response") as client:
        for number in range(KILLS):
            verb, why = ("out-of-service", "in-service")[number % 2], f"reason {number}"
            run = box.start()
            before = answers(client, verb)
            killed = threading.Timer(chance.uniform(0.0, _LONGEST_S), run.process.kill)
            killed.start()
            publish(client, verb, why=why)
            run.end()
            run.kill()
            is_answered = answers(client, verb) > before
            run = box.start()  # it applies what waits
            ask(client, "ack", id="fan01-20260101T000000Z")
            stop(run)
            if why not in box.requests():  # killed before it was written
                assert not is_answered
                run = box.start()
                ask(client, verb, why=why)
                stop(run)
    requests = {why: each for why, each in box.requests().items() if why is not None}
    assert set(requests) == {f"reason {number}" for number in range(KILLS)}
    assert all(outcome and accepted for outcome, accepted in requests.values())
    assert box.changes() == Counter(requests.keys())
