"""The wait of setup for the first window: what it waits for, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import publish

from asd_monitor.cli import setup_monitored
from asd_monitor.cli.setup_dialogue import Dialogue
from asd_monitor.cli.setup_monitored import (
    Awaited,
    FirstWindow,
    Outcome,
    broker_read,
    outcome_text,
)
from asd_monitor.config.loading import machine_from_options
from asd_monitor.config.settings import Config, Mqtt
from tests.doubles.mosquitto import Mosquitto

AWAITED = Awaited("fan01", "asd-monitor@machines.service", "v1")
STATE = {"state": "normal", "microphone": "ok", "evaluated": True, "box": "edge-07", "model": "v1"}
SCORE = {"state": "normal", "alarm_score": 0.3, "thresholds": {"alarm": 3.9}, "model": "v1"}
RUNS = "ActiveState=active\nResult=success\nStatusText="


@pytest.fixture
def show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of what `systemctl show` prints; a service that runs and says nothing."""
    shown, program = tmp_path / "shown", tmp_path / "bin/systemctl"
    shown.write_text(RUNS)
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat {shown}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(setup_monitored, "_TURN_S", 0.05)
    monkeypatch.setattr(setup_monitored, "_WITHOUT_SCORE_S", 0.1)
    return shown


def config_of(port: int, **mqtt: Any) -> Config:
    settings = Mqtt(host="localhost", port=port, **mqtt)
    return machine_from_options("hw:1", "fan01", box="edge-07", mqtt=settings)


def send(port: int, kind: str, document: Any, *, retain: bool = False) -> None:
    topic = f"asd/fan01/{kind}"
    publish.single(topic, json.dumps(document), qos=1, retain=retain, port=port)


def waited(config: Config, client: Any) -> Outcome:
    return FirstWindow(AWAITED, config, client).wait(Dialogue(interactive=False))


def test_the_first_window_ends_the_wait(mosquitto: Mosquitto, show: Path, capsys: Any) -> None:
    config = config_of(mosquitto.port)
    with broker_read(config, "fan01") as client:
        send(mosquitto.port, "state", {**STATE, "provisional": True}, retain=True)
        send(mosquitto.port, "score", SCORE)
        outcome = waited(config, client)
    assert outcome_text(outcome, AWAITED, "sudo ") == (
        "fan01 is monitored: normal, alarm score 0.3 of 3.9 (provisional)"
    )
    assert not outcome.is_failure
    assert "waiting for sound of fan01, 60 s at most" in capsys.readouterr().err


def test_the_state_of_an_earlier_run_does_not_end_it(
    mosquitto: Mosquitto, show: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup_monitored, "LIMIT_S", 0.5)
    send(mosquitto.port, "state", STATE, retain=True)
    config = config_of(mosquitto.port)
    with broker_read(config, "fan01") as client:
        assert client is not None
        assert client.wait_for(lambda: bool(client.messages("asd/fan01/state")), 10.0)
        outcome = waited(config, client)
    assert outcome.is_failure
    assert outcome_text(outcome, AWAITED, "sudo ") == (
        "the service runs but fan01 is not monitored: no state was seen within 0 s; look at "
        "`sudo journalctl -u asd-monitor@machines.service`"
    )


def test_a_reason_that_stays_ends_it(
    mosquitto: Mosquitto, show: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(setup_monitored, "SETTLED_S", 0.3)
    absent = {**STATE, "state": "unavailable", "microphone": "no_device", "reason": "no card: plug"}
    config = config_of(mosquitto.port)
    begun_s = time.monotonic()
    with broker_read(config, "fan01") as client:
        send(mosquitto.port, "state", absent, retain=True)
        outcome = waited(config, client)
    text = outcome_text(outcome, AWAITED, "")
    assert text.startswith("the service runs but fan01 is not monitored: unavailable: ")
    assert "no card: plug; look at `journalctl -u" in text
    assert "no card: plug" in capsys.readouterr().err  # shown meanwhile
    assert time.monotonic() - begun_s < setup_monitored.LIMIT_S / 2


def test_without_a_broker_the_status_line_of_the_service_says_it(show: Path) -> None:
    show.write_text(f"{RUNS}fan01 normal (ok), pump02 unavailable (no_device)\n")
    config = config_of(1)
    with broker_read(config, "fan01") as client:
        assert client is None
        outcome = waited(config, client)
    assert outcome_text(outcome, AWAITED, "") == "fan01 is monitored: normal"


def test_a_broker_that_lets_this_user_read_nothing_is_not_relied_on(
    make_mosquitto: Any, show: Path, tmp_path: Path
) -> None:
    broker = make_mosquitto(users={"edge": "secret"}, acl="user edge\ntopic write asd/#\n").start()
    (tmp_path / "password").write_text("secret\n")
    show.write_text(f"{RUNS}fan01 warning (ok)\n")
    config = config_of(broker.port, username="edge", password_file=tmp_path / "password")
    with broker_read(config, "fan01") as client:
        outcome = waited(config, client)
    assert outcome_text(outcome, AWAITED, "") == "fan01 is monitored: warning"


def test_a_broker_that_ends_the_connection_is_no_longer_read(
    mosquitto: Mosquitto, show: Path
) -> None:
    config = config_of(mosquitto.port)
    with broker_read(config, "fan01") as client:
        assert client is not None
        send(mosquitto.port, "state", {**STATE, "state": "unavailable"})
        assert client.wait_for(lambda: bool(client.messages("asd/fan01/state")), 10.0)
        mosquitto.stop()
        assert client.wait_for(lambda: client.end is not None, 10.0)
        show.write_text(f"{RUNS}fan01 normal (ok)\n")
        outcome = waited(config, client)
    assert outcome.sighting is not None
    assert outcome.sighting.is_monitored


def test_a_service_that_has_ended_ends_it(show: Path) -> None:
    show.write_text("ActiveState=failed\nResult=exit-code\nStatusText=\n")
    outcome = waited(config_of(1), None)
    assert outcome.is_failure
    assert outcome_text(outcome, AWAITED, "sudo ") == (
        "the service does not run (exit-code), and fan01 is not monitored: look at "
        "`sudo journalctl -u asd-monitor@machines.service`"
    )


def test_ctrl_c_ends_the_waiting_alone(show: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = threading.Event()
    show_text = Dialogue.say

    def say(dialogue: Dialogue, text: str) -> None:
        show_text(dialogue, text)
        shown.set()

    def press() -> None:
        shown.wait(30)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Dialogue, "say", say)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=press)
    thread.start()
    try:
        outcome = waited(config_of(1), None)
    finally:
        thread.join(30)
        signal.signal(signal.SIGINT, before)
    assert not outcome.is_failure
    assert outcome_text(outcome, AWAITED, "sudo ").startswith("it was not awaited whether fan01 is")
