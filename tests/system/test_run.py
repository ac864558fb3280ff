"""`asd-monitor run` as a process, with a real broker, real models and recordings."""

import json
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.doubles import unit_sandbox
from tests.doubles.model_copies import copy_model
from tests.doubles.mosquitto import Mosquitto, Subscriber
from tests.doubles.run_process import (
    RATE_HZ,
    TIMEOUT_S,
    BrokerMessages,
    RunProcess,
    asd_monitor,
    write_sound,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

UNIT = Path(__file__).parents[2] / "deploy" / "asd-monitor@.service"


@pytest.fixture
def messages(mosquitto: Mosquitto) -> Iterator[BrokerMessages]:
    with Subscriber(mosquitto.port) as subscriber:
        yield BrokerMessages(subscriber)


@pytest.fixture
def start(trained: Path, tmp_path: Path, mosquitto: Mosquitto):
    started: list[RunProcess] = []

    def start(device: str, *arguments: object, machine: str = "fan01", **options) -> RunProcess:
        common = ["--models", trained / "models", "--state", tmp_path / "state"]
        broker = ("--broker", f"localhost:{mosquitto.port}")
        run = RunProcess(
            tmp_path, "--device", device, "--machine", machine, *broker, *common, *arguments,
            **options,
        )  # fmt: skip
        started.append(run)
        return run

    yield start
    for run in started:
        run.kill()


def test_sigterm_publishes_stopped_and_offline(start, messages, trained):
    run = start(f"file:{trained}/calm.flac?loop")
    messages.until_state("fan01", "normal", "ok", run)
    messages.until("fan01/score", lambda m: m["model"] == "v1", run)
    run.process.send_signal(signal.SIGTERM)
    assert run.end() == 0
    assert messages.all("fan01/state")[-1]["state"] == "stopped"
    (box,) = {m["box"] for m in messages.all("fan01/state")}
    messages.until_text(f"box/{box}/availability", "offline")
    assert "Traceback" not in run.log


def test_killed_daemon_is_offline_by_its_last_will(start, messages, trained):
    run = start(f"file:{trained}/calm.flac?loop")
    box = messages.until_state("fan01", "normal", "ok", run)["box"]
    run.process.kill()
    messages.until_text(f"box/{box}/availability", "offline")
    again = start(f"file:{trained}/calm.flac?loop")  # its lock and its socket are free
    messages.until("fan01/score", lambda m: m["seq"] > 3, again)


def test_alarm_survives_the_daemon_until_it_is_acknowledged(start, messages, trained, tmp_path):
    run = start(f"file:{trained}/fault.flac", "--speed", 0)
    assert run.end() == 0, run.log
    (raised,) = [m for m in messages.all("fan01/alarm") if m["active"]][:1]

    run = start(f"file:{trained}/calm.flac?loop", "--speed", 20)
    messages.until("fan01/alarm", lambda m: m["id"] == raised["id"] and m["latched"], run)
    listed = json.loads(asd_monitor("alarms", "list", "--json", "--state", tmp_path / "state"))
    assert [(a["id"], a["active"]) for a in listed] == [(raised["id"], True)]
    asd_monitor("alarms", "ack", raised["id"], "--who", "ann", "--state", tmp_path / "state")
    messages.until("fan01/alarm", lambda m: m["id"] == raised["id"] and not m["active"], run)
    messages.until_state("fan01", "normal", "ok", run)


def test_events_of_a_recording_are_those_of_backtest(start, messages, trained):
    run = start(f"file:{trained}/fault.flac", "--speed", 0)
    assert run.end() == 0, run.log
    expected = json.loads(
        asd_monitor("backtest", trained / "fault.flac", "--machine", "fan01",
                    "--models", trained / "models", "--json")
    )  # fmt: skip
    first = messages.all("fan01/score")[0]
    began = datetime.fromisoformat(first["time"]).timestamp() - first["sample"] / RATE_HZ
    states, alarms = [(0.0, "normal")], []
    for event in messages.all("fan01/event"):
        at_s = datetime.fromisoformat(event["time"]).timestamp() - began
        if event["alarm_id"]:
            alarms.append(at_s)
        else:
            states.append((at_s, event["to"]))
    assert len(expected["alarms"]) == 1
    assert alarms == pytest.approx([expected["alarms"][0]["raised_s"]], abs=0.01)
    assert [state for _, state in states] == [span["state"] for span in expected["states"]]
    assert [at_s for at_s, _ in states] == pytest.approx(
        [span["from_s"] for span in expected["states"]], abs=0.01
    )
    assert 30 < alarms[0] < 50, "the fault begins at 30 s"


def test_faults_of_one_machine_do_not_affect_the_others(messages, trained, tmp_path, mosquitto):
    models = tmp_path / "models"
    broken = copy_model(trained / "models", "fan01", "broken01", models)
    (broken / "v1" / "manifest.json").write_text("{}")
    shutil.copytree(trained / "models" / "fan01", models / "fan01")
    config = tmp_path / "hall.yaml"
    config.write_text(f"""
version: 1
box: edge-07
mqtt: {{port: {mosquitto.port}}}
machines:
  fan01: {{device: "file:{trained}/calm.flac?loop"}}
  new01: {{device: "file:{trained}/calm.flac?loop"}}
  broken01: {{device: "file:{trained}/calm.flac?loop"}}
  absent01: {{device: "hw:CARD=nothing"}}
  away01: {{device: "file:{tmp_path}/not-there-yet.wav"}}
""")
    with RunProcess(
        tmp_path, "--config", config, "--models", tmp_path / "models", "--state", tmp_path / "s"
    ) as run:
        messages.until_state("fan01", "normal", "ok", run)
        messages.until_state("new01", "no_model", "ok", run)
        messages.until_state("broken01", "no_model", "ok", run)
        messages.until_state("absent01", "unavailable", "no_device", run)
        messages.until_state("away01", "unavailable", "no_device", run)
        reason = messages.all("broken01/state")[-1]["reason"]
        assert "v1" in reason
        assert "rollback" in reason or "train" in reason
        messages.until("fan01/score", lambda m: m["seq"] > 5, run)
        assert run.process.poll() is None

        # a model and a device that arrive while it runs
        copy_model(models, "fan01", "new01")
        (tmp_path / "not-there-yet.wav").write_bytes(b"")
        write_sound(tmp_path / "new.wav", 5, seed=9).rename(tmp_path / "not-there-yet.wav")
        run.process.send_signal(signal.SIGHUP)
        messages.until_state("new01", "normal", "ok", run)
        messages.until_state("away01", "no_model", "ok", run)

        config.write_text("version: 1\nmachines: {fan01: {devise: hw:1}}\n")
        run.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + TIMEOUT_S
        while "hall.yaml:2:" not in run.log:
            assert time.monotonic() < deadline, run.log
            time.sleep(0.05)
        seq = messages.all("fan01/score")[-1]["seq"]
        messages.until("fan01/score", lambda m: m["seq"] > seq + 2, run)
        run.process.send_signal(signal.SIGINT)
        assert run.end() == 130
        assert messages.all("fan01/state")[-1]["state"] == "stopped"
        assert "Traceback" not in run.log


def test_machine_without_a_model_is_trained_and_monitored(start, messages, trained, tmp_path):
    """`--learn` records, trains in a child process, and monitors the rest."""
    write_sound(tmp_path / "long.flac", 150, seed=4, fault_from_s=120)
    common = ("--models", tmp_path / "models", "--learn", "75s", "--speed", 0)
    run = start(f"file:{tmp_path}/long.flac", *common, machine="pump02")
    assert run.end() == 0, run.log
    states = [m["state"] for m in messages.all("pump02/state")]
    # the newest state stands for those before the connection to the broker
    assert set(states[:2]) <= {"unavailable", "learning"}
    assert states[-2:] == ["alarm", "stopped"]
    reasons = [m["reason"] for m in messages.all("pump02/state") if m["state"] == "learning"]
    assert reasons[-1] == "training"
    assert (tmp_path / "models" / "pump02" / "current").read_text().startswith("v1 ")


def test_failed_training_publishes_its_remedy(start, messages, trained, tmp_path):
    write_sound(tmp_path / "short.flac", 62, seed=4)
    common = ("--models", tmp_path / "models", "--learn", "61s", "--speed", 0)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / ".encoders").write_text("a file where a folder should be")
    run = start(f"file:{tmp_path}/short.flac", *common, machine="pump02")
    assert run.end() == 0, run.log
    reasons = [m["reason"] or "" for m in messages.all("pump02/state")]
    (reason, *_) = [each for each in reasons if each.startswith("learning failed")]
    assert f"correct that, then `kill -HUP {run.process.pid}`" in reason
    assert "Traceback" not in run.log


def test_daemon_runs_without_a_broker(trained, tmp_path):
    arguments = (
        "--models",
        trained / "models",
        "--state",
        tmp_path / "s",
        "--broker",
        "localhost:1",
    )
    device = f"file:{trained}/fault.flac"
    with RunProcess(
        tmp_path, "--device", device, "--machine", "fan01", "--speed", 0, *arguments
    ) as run:
        assert run.end() == 0
        assert "localhost:1" in run.log
    listed = json.loads(asd_monitor("alarms", "list", "--json", "--state", tmp_path / "s"))
    assert len(listed) == 1


def test_monitoring_of_recordings_imports_no_unneeded_library(start, trained):
    # every process of the daemon lists on stderr what it imports
    listing = ("env", "PYTHONPROFILEIMPORTTIME=1")
    run = start(f"file:{trained}/calm.flac", "--speed", 0, before=listing)
    assert run.end() == 0, run.log
    imported = set(re.findall(r"^import time:.*\|\s*(\S+)$", run.log, re.MULTILINE))
    assert "asd_monitor.daemon.service" in imported
    ours = {"model_training", "encoder_training.network", "evaluation.runner"}
    unneeded = {"torch", "sounddevice", "amqtt"} | {f"asd_monitor.{name}" for name in ours}
    assert not unneeded & imported


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_daemon_works_under_the_restrictions_of_the_unit(start, messages, trained, tmp_path):
    """Monitoring, initial training and alarms, in the stand-in for systemd."""
    write_sound(tmp_path / "long.flac", 150, seed=4, fault_from_s=120)
    common = ("--models", tmp_path / "models", "--learn", "75s", "--speed", 0)
    before = (sys.executable, unit_sandbox.__file__, str(UNIT))
    run = start(f"file:{tmp_path}/long.flac", *common, machine="pump02", before=before)
    code = run.end()
    if "libseccomp" in run.log or "PR_SET_MDWE" in run.log:
        pytest.skip(f"no sandbox here: {run.log.splitlines()[-1]}")
    assert code == 0, run.log
    assert [m["state"] for m in messages.all("pump02/state")][-2:] == ["alarm", "stopped"]
    status = messages.all("pump02/state")[-1]
    assert status["clock_synced"] in (True, False)
