"""`asd-monitor run`, killed or stopped while events have not reached the broker."""

import json
import signal
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.mosquitto import Subscriber
from tests.doubles.run_process import TIMEOUT_S, BrokerMessages, RunProcess, asd_monitor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

RESTART_LIMIT_S = 5.0
"""Within this time the retained messages are right after a restart."""


class Box:
    """Runs of one state folder with one broker; use it with ``with``."""

    def __init__(self, folder: Path, trained: Path, port: int) -> None:
        self._folder = folder
        self._trained = trained
        self._port = port
        self.state = folder / "state"
        self.runs: list[RunProcess] = []

    def __enter__(self) -> "Box":
        return self

    def __exit__(self, *_: object) -> None:
        for run in self.runs:
            run.kill()

    def start(self, recording: str, *arguments: object, models: str = "models") -> RunProcess:
        """Begin to monitor fan01 by a recording."""
        run = RunProcess(
            self._folder,
            *("--device", f"file:{self._trained}/{recording}", "--machine", "fan01"),
            *("--broker", f"localhost:{self._port}", "--models", self._trained / models),
            *("--state", self.state, *arguments),
        )
        self.runs.append(run)
        return run

    def until_alarm(self, run: RunProcess) -> str:
        """Wait until an alarm is in the journal; return its id."""
        deadline_s = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline_s:
            if (self.state / "alarms.db").exists():
                listed = asd_monitor("alarms", "list", "--json", "--state", self.state)
                if alarms := json.loads(listed):
                    return str(alarms[0]["id"])
        raise AssertionError(run.log)


def check_events(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Check order and numbers; return the events, each once."""
    once = list({event["id"]: event for event in events}.values())
    numbers = [event["seq"] for event in once]
    assert numbers == list(range(1, len(once) + 1)), "lost, repeated or not in order"
    assert all(event["seq"] == numbers[once.index(event)] for event in once)
    of_alarms = [event for event in once if event["alarm_id"]]
    for before, after in pairwise(of_alarms):
        assert before["alarm_id"] != after["alarm_id"] or before["to"] == after["from"]
    return once


def test_events_of_an_outage_survive_a_kill(trained, tmp_path, make_mosquitto):
    broker = make_mosquitto()
    with Box(tmp_path, trained, broker.port) as box:
        run = box.start("fault.flac?loop", "--speed", 20)
        alarm_id = box.until_alarm(run)
        run.process.kill()
        run.end()
        broker.start()
        with Subscriber(broker.port) as subscriber:
            messages = BrokerMessages(subscriber)
            again = box.start("calm.flac?loop", "--speed", 20)
            raised = messages.until("fan01/event", lambda m: m["to"] == "unacknowledged", again)
            assert (raised["alarm_id"], raised["historical"]) == (alarm_id, True)
            messages.until("fan01/alarm", lambda m: m["id"] == alarm_id and m["active"], again)
            messages.until("fan01/event", lambda m: not m["historical"], again)
            again.process.send_signal(signal.SIGTERM)
            assert again.end() == 0
            events = check_events(messages.all("fan01/event"))
    assert {event["historical"] for event in events[: raised["seq"]]} == {True}
    assert not events[-1]["historical"]


def test_events_without_an_acknowledgement_survive_a_kill(trained, tmp_path, mosquitto):
    """The broker is stopped by a signal: it has received what it has not acknowledged."""
    with Subscriber(mosquitto.port) as subscriber, Box(tmp_path, trained, mosquitto.port) as box:
        messages = BrokerMessages(subscriber)
        run = box.start("fault.flac?loop", "--speed", 20)
        messages.until("fan01/score", lambda m: m["seq"] > 3, run)
        with mosquitto.paused():
            alarm_id = box.until_alarm(run)
            run.process.kill()
            run.end()
        again = box.start("calm.flac?loop")
        messages.until("fan01/alarm", lambda m: m["id"] == alarm_id and m["active"], again)
        messages.until("fan01/event", lambda m: m["historical"] and m["alarm_id"], again)
        again.process.send_signal(signal.SIGTERM)
        assert again.end() == 0
        events = check_events(messages.all("fan01/event"))
        # `online` may come again later, as the message whose acknowledgement confirms others
        _, online_s, *_ = [m.timestamp for m in subscriber.messages if m.payload == b"online"]
        alarms = [m for m in subscriber.messages if m.topic == "asd/fan01/alarm"]
        first = next(m for m in alarms if m.timestamp > online_s)
        assert json.loads(first.payload)["id"] == alarm_id
        assert first.timestamp - online_s < RESTART_LIMIT_S
    assert alarm_id in {event["alarm_id"] for event in events}


def test_a_clean_stop_without_a_broker_keeps_all_events_and_says_so(
    trained, tmp_path, make_mosquitto
):
    broker = make_mosquitto()
    with Box(tmp_path, trained, broker.port) as box:
        run = box.start("fault.flac?loop", "--speed", 20)
        alarm_id = box.until_alarm(run)
        run.process.send_signal(signal.SIGTERM)
        assert run.end() == 0
        assert "events have not reached the broker" in run.log
        assert "(seq 1 to " in run.log
        broker.start()
        with Subscriber(broker.port) as subscriber:
            messages = BrokerMessages(subscriber)
            # nothing of the machine is there any more but its journal
            again = box.start("missing.flac", models="nowhere")
            messages.until("fan01/alarm", lambda m: m["id"] == alarm_id and m["active"], again)
            messages.until("fan01/event", lambda m: m["alarm_id"] == alarm_id, again)
            check_events(messages.all("fan01/event"))
