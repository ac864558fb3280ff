"""`asd-monitor run` as a process, with a real broker, real models and recordings."""

import json
import shutil
import signal
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest
from tests.doubles import jail
from tests.doubles.mosquitto import Mosquitto, Subscriber
from tests.doubles.run_process import RATE, Listening, RunProcess, asd_monitor, write_sound

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

UNIT = Path(__file__).parents[2] / "deploy" / "asd-monitor@.service"
FAULT_FROM_S = 30.0


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Recordings and a trained model of fan01."""
    folder = tmp_path_factory.mktemp("made")
    write_sound(folder / "normal.flac", 90, seed=1)
    write_sound(folder / "calm.flac", 40, seed=2)
    write_sound(folder / "fault.flac", 70, seed=3, fault_from_s=FAULT_FROM_S)
    models = ("--models", folder / "models")
    asd_monitor("train", "--machine", "fan01", "--normal", folder / "normal.flac", *models)
    return folder


@pytest.fixture
def heard(mosquitto: Mosquitto):
    with Subscriber(mosquitto.port) as subscriber:
        yield Listening(subscriber)


@pytest.fixture
def start(made: Path, tmp_path: Path, mosquitto: Mosquitto):
    started: list[RunProcess] = []

    def start(device: str, *arguments: object, machine: str = "fan01", **options) -> RunProcess:
        common = ["--models", made / "models", "--state", tmp_path / "state"]
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


def test_sigterm_says_stopped_and_offline(start, heard, made):
    run = start(f"file:{made}/calm.flac?loop")
    heard.until_state("fan01", "normal", "ok", run)
    heard.until("fan01/score", lambda m: m["model"] == "v1", run)
    run.process.send_signal(signal.SIGTERM)
    assert run.end() == 0
    assert heard.all("fan01/state")[-1]["state"] == "stopped"
    (box,) = {m["box"] for m in heard.all("fan01/state")}
    assert heard.text(f"box/{box}/availability") == "offline"
    assert "Traceback" not in run.log


def test_a_killed_daemon_is_offline_by_its_will(start, heard, made):
    run = start(f"file:{made}/calm.flac?loop")
    box = heard.until_state("fan01", "normal", "ok", run)["box"]
    run.process.kill()
    deadline = time.monotonic() + 60
    while heard.text(f"box/{box}/availability") != "offline":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    again = start(f"file:{made}/calm.flac?loop")  # neither lock nor socket are in its way
    heard.until("fan01/score", lambda m: m["seq"] > 3, again)


def test_an_alarm_outlives_the_daemon_until_it_is_acknowledged(start, heard, made, tmp_path):
    run = start(f"file:{made}/fault.flac", "--speed", 0)
    assert run.end() == 0, run.log
    (raised,) = [m for m in heard.all("fan01/alarm") if m["active"]][:1]

    run = start(f"file:{made}/calm.flac?loop", "--speed", 20)
    heard.until("fan01/alarm", lambda m: m["id"] == raised["id"] and m["latched"], run)
    listed = json.loads(asd_monitor("alarms", "list", "--json", "--state", tmp_path / "state"))
    assert [(a["id"], a["active"]) for a in listed] == [(raised["id"], True)]
    asd_monitor("alarms", "ack", raised["id"], "--who", "ann", "--state", tmp_path / "state")
    heard.until("fan01/alarm", lambda m: m["id"] == raised["id"] and not m["active"], run)
    heard.until_state("fan01", "normal", "ok", run)


def test_a_recording_gives_the_events_of_backtest(start, heard, made):
    run = start(f"file:{made}/fault.flac", "--speed", 0)
    assert run.end() == 0, run.log
    expected = json.loads(
        asd_monitor("backtest", made / "fault.flac", "--machine", "fan01",
                    "--models", made / "models", "--json")
    )  # fmt: skip
    first = heard.all("fan01/score")[0]
    began = datetime.fromisoformat(first["time"]).timestamp() - first["sample"] / RATE
    states, alarms = [(0.0, "normal")], []
    for event in heard.all("fan01/event"):
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
    assert FAULT_FROM_S < alarms[0] < FAULT_FROM_S + 20


def test_one_machine_s_trouble_is_its_own(heard, made, tmp_path, mosquitto):
    # models copied by hand need the networks that they share
    shutil.copytree(made / "models" / ".encoders", tmp_path / "models" / ".encoders")
    broken = shutil.copytree(made / "models" / "fan01", tmp_path / "models" / "broken01")
    (broken / "v1" / "manifest.json").write_text("{}")
    shutil.copytree(made / "models" / "fan01", tmp_path / "models" / "fan01")
    config = tmp_path / "hall.yaml"
    config.write_text(f"""
version: 1
box: edge-07
mqtt: {{port: {mosquitto.port}}}
machines:
  fan01: {{device: "file:{made}/calm.flac?loop"}}
  new01: {{device: "file:{made}/calm.flac?loop"}}
  broken01: {{device: "file:{made}/calm.flac?loop"}}
  absent01: {{device: "hw:CARD=nothing"}}
  away01: {{device: "file:{tmp_path}/not-there-yet.wav"}}
""")
    with RunProcess(
        tmp_path, "--config", config, "--models", tmp_path / "models", "--state", tmp_path / "s"
    ) as run:
        heard.until_state("fan01", "normal", "ok", run)
        heard.until_state("new01", "no_model", "ok", run)
        heard.until_state("broken01", "no_model", "ok", run)
        heard.until_state("absent01", "no_model", "no_device", run)
        heard.until_state("away01", "no_model", "no_device", run)
        reason = heard.all("broken01/state")[-1]["reason"]
        assert "v1" in reason
        assert "rollback" in reason or "train" in reason
        heard.until("fan01/score", lambda m: m["seq"] > 5, run)
        assert run.process.poll() is None

        # trained and plugged in while it runs
        shutil.copytree(made / "models" / "fan01", tmp_path / "models" / "new01")
        (tmp_path / "not-there-yet.wav").write_bytes(b"")
        write_sound(tmp_path / "made.wav", 5, seed=9).rename(tmp_path / "not-there-yet.wav")
        run.process.send_signal(signal.SIGHUP)
        heard.until_state("new01", "normal", "ok", run)
        heard.until_state("away01", "no_model", "ok", run)

        config.write_text("version: 1\nmachines: {fan01: {devise: hw:1}}\n")
        run.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 60
        while "hall.yaml:2:" not in run.log:
            assert time.monotonic() < deadline, run.log
            time.sleep(0.05)
        seq = heard.all("fan01/score")[-1]["seq"]
        heard.until("fan01/score", lambda m: m["seq"] > seq + 2, run)
        run.process.send_signal(signal.SIGINT)
        assert run.end() == 130
        assert heard.all("fan01/state")[-1]["state"] == "stopped"
        assert "Traceback" not in run.log


def test_from_nothing_to_monitoring(start, heard, made, tmp_path):
    """`--learn` records, trains in a process of its own, and monitors the rest."""
    write_sound(tmp_path / "long.flac", 150, seed=4, fault_from_s=120)
    common = ("--models", tmp_path / "models", "--learn", "75s", "--speed", 0)
    run = start(f"file:{tmp_path}/long.flac", *common, machine="pump02")
    assert run.end() == 0, run.log
    states = [m["state"] for m in heard.all("pump02/state")]
    assert states[0] == "learning"
    assert states[-2:] == ["alarm", "stopped"]
    reasons = [m["reason"] for m in heard.all("pump02/state") if m["state"] == "learning"]
    assert reasons[-1] == "training"
    assert (tmp_path / "models" / "pump02" / "current").read_text() == "v1\n"


def test_learning_from_useless_sound_says_what_to_do(start, heard, made, tmp_path):
    write_sound(tmp_path / "short.flac", 62, seed=4)
    common = ("--models", tmp_path / "models", "--learn", "61s", "--speed", 0)
    (tmp_path / "models").write_text("a file where a folder should be")
    run = start(f"file:{tmp_path}/short.flac", *common, machine="pump02")
    assert run.end() == 0, run.log
    reason = heard.until("pump02/state", lambda m: "failed" in (m["reason"] or ""), run)["reason"]
    assert "SIGHUP" in reason
    assert "Traceback" not in run.log


def test_no_broker_is_no_reason_to_end(made, tmp_path):
    arguments = ("--models", made / "models", "--state", tmp_path / "s", "--broker", "localhost:1")
    device = f"file:{made}/fault.flac"
    with RunProcess(
        tmp_path, "--device", device, "--machine", "fan01", "--speed", 0, *arguments
    ) as run:
        assert run.end() == 0
        assert "localhost:1" in run.log
    listed = json.loads(asd_monitor("alarms", "list", "--json", "--state", tmp_path / "s"))
    assert len(listed) == 1


def test_listening_to_recordings_loads_nothing_that_it_does_not_need(made, tmp_path):
    script = tmp_path / "program.py"
    script.write_text("""
import sys
from asd_monitor.cli.app import main
try:
    main()
finally:
    unneeded = {"torch", "sounddevice", "asd_monitor.training", "asd_monitor.evaluation", "amqtt"}
    assert not unneeded & set(sys.modules), unneeded & set(sys.modules)
""")
    arguments = ("--models", made / "models", "--state", tmp_path / "s", "--broker", "localhost:1")
    with RunProcess(
        tmp_path, "--device", f"file:{made}/calm.flac", "--machine", "fan01", "--speed", 0,
        *arguments, program=(sys.executable, str(script)),
    ) as run:  # fmt: skip
        assert run.end() == 0, run.log
        assert "AssertionError" not in run.log


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_the_whole_daemon_works_under_the_unit_s_restrictions(start, heard, made, tmp_path):
    """Listening, learning (training included) and alarms, in the stand-in for systemd."""
    write_sound(tmp_path / "long.flac", 150, seed=4, fault_from_s=120)
    common = ("--models", tmp_path / "models", "--learn", "75s", "--speed", 0)
    before = (sys.executable, jail.__file__, str(UNIT))
    run = start(f"file:{tmp_path}/long.flac", *common, machine="pump02", before=before)
    code = run.end()
    if "libseccomp" in run.log or "PR_SET_MDWE" in run.log:
        pytest.skip(f"no jail here: {run.log.splitlines()[-1]}")
    assert code == 0, run.log
    assert [m["state"] for m in heard.all("pump02/state")][-2:] == ["alarm", "stopped"]
    status = heard.all("pump02/state")[-1]
    assert status["clock_synced"] in (True, False)
