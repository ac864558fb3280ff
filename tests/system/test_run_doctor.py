"""`doctor` beside a running daemon, which it must not disturb."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.mosquitto import Mosquitto, Subscriber
from tests.doubles.run_process import BrokerMessages, RunProcess

pytestmark = pytest.mark.slow


def doctor(*arguments: object) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "asd_monitor", "doctor", "--json", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    findings: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    return findings


def test_a_running_daemon_goes_on_and_is_asked(
    trained: Path, tmp_path: Path, mosquitto: Mosquitto
) -> None:
    options: tuple[str, ...] = ("--device", f"file:{trained}/calm.flac?loop", "--machine", "fan01")
    options += ("--broker", f"localhost:{mosquitto.port}", "--models", str(trained / "models"))
    options += ("--state", str(tmp_path / "state"))
    with (
        Subscriber(mosquitto.port) as subscriber,
        RunProcess(tmp_path, *options) as run,
    ):
        messages = BrokerMessages(subscriber)
        box = messages.until_state("fan01", "normal", "ok", run)["box"]
        messages.until(f"box/{box}/status", lambda _: True, run)
        findings = doctor(*options)
        later = messages.all("fan01/score")[-1]["seq"]
        messages.until("fan01/score", lambda m: m.get("seq", 0) > later, run)
        assert run.process.poll() is None
        connects = [line for line in mosquitto.log if f" as asd-{box} (" in line]
        assert len(connects) == 1, connects  # its session was not taken over
        for topic in ("fan01/state", "fan01/alarm", f"box/{box}/status", f"box/{box}/alarm"):
            assert "asd.probe/1" not in {m["schema"] for m in messages.all(topic)}
        availability = f"asd/box/{box}/availability"
        assert set(subscriber.payloads(availability)) == {b"online"}
    found = {(each["area"], each["check"], each["where"]): each for each in findings}
    assert [each for each in findings if each["result"] == "failed"] == []
    assert found["service", "state", "fan01"]["result"] == "ok"
    assert found["service", "status", f"asd/box/{box}/status"]["result"] == "ok"
    assert "daemon" in found["broker", "topic", "asd/fan01/state"]["what"]
    assert found["broker", "topic", "asd/fan01/event"]["result"] == "ok"
