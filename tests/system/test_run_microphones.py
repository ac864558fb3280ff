"""The daemon on microphones: a fault of one machine, outages, shared devices."""

import json
import shutil
import signal
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.doubles import unit_sandbox
from tests.doubles.capture_processes import capture_processes
from tests.doubles.model_copies import copy_model
from tests.doubles.mosquitto import Subscriber
from tests.doubles.run_process import RATE_HZ, BrokerMessages, RunProcess, asd_monitor, write_sound

UNIT = Path(__file__).parents[2] / "deploy" / "asd-monitor@.service"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def hall(tmp_path, virtual_sound, mosquitto, trained):
    """Return two microphones that play normal sound, and the configuration of their machines."""
    sound = virtual_sound({"fan": 1, "pump": 10}, rate_hz=RATE_HZ)
    models = Path(shutil.copytree(trained / "models", tmp_path / "models"))
    copy_model(models, "fan01", "pump02")
    config = tmp_path / "hall.yaml"
    config.write_text(f"""
version: 1
box: edge-07
mqtt: {{port: {mosquitto.port}}}
machines:
  fan01: {{device: "name:{sound["fan"].device}"}}
  pump02: {{device: "hw:10"}}
""")
    calm, _ = soundfile.read(write_sound(tmp_path / "calm.wav", 120, seed=2))
    for microphone in (sound["fan"], sound["pump"]):
        microphone.play(calm, loop=True)
    return sound, config


def assert_recorded(folder: Path, seconds: float) -> None:
    """Assert the total duration of a recording, of which each further file reports a loss."""
    recorded = sorted(folder.glob("*.flac"))
    assert sum(soundfile.info(each).duration for each in recorded) == pytest.approx(seconds)
    sidecars = [json.loads(each.with_suffix(".json").read_text()) for each in recorded]
    lost = [sidecar["lost_samples_before"] for sidecar in sidecars]
    assert lost[0] == 0
    assert lost == sorted(set(lost)), "a new file without a loss"


def test_alarm_on_one_microphone_of_two(hall, tmp_path, mosquitto):
    sound, config = hall
    fault, _ = soundfile.read(write_sound(tmp_path / "fault.wav", 120, seed=3, fault_from_s=0.0))
    arguments = ("--config", config, "--models", tmp_path / "models", "--state", tmp_path / "state")
    with Subscriber(mosquitto.port) as subscriber, RunProcess(tmp_path, *arguments) as run:
        messages = BrokerMessages(subscriber)
        for machine in ("fan01", "pump02"):
            messages.until_state(machine, "normal", "ok", run)
            messages.until(f"{machine}/score", lambda m: m["seq"] >= 8, run)

        # `record` gets the sound of the microphone that the daemon holds
        asd_monitor(
            "record", "--device", "hw:10", "--machine", "pump02", "--minutes", 0.05,
            "--output", tmp_path / "recorded", "--state", tmp_path / "state",
        )  # fmt: skip
        assert_recorded(tmp_path / "recorded", 3.0)

        sound["fan"].play(fault, loop=True)
        began = datetime.fromisoformat(messages.all("fan01/score")[-1]["time"])
        alarm = messages.until("fan01/alarm", lambda m: m["active"], run)
        assert (datetime.fromisoformat(alarm["raised"]) - began).total_seconds() < 30

        sound["pump"].unplug()
        away = messages.until(
            "pump02/state", lambda m: m["microphone"] in ("no_device", "fault"), run
        )
        assert away["evaluated"] is False
        # the outage of the pump does not affect the fan
        seq = messages.all("fan01/score")[-1]["seq"]
        messages.until("fan01/score", lambda m: m["seq"] > seq + 3, run)

        sound["pump"].plug()
        messages.until(
            "pump02/state",
            lambda m: m["microphone"] == "ok" and m["time"] > away["time"] and m["evaluated"],
            run,
        )
        last = messages.all("pump02/score")[-1]
        back = messages.until("pump02/score", lambda m: m["seq"] > last["seq"], run)
        assert back["sample"] > last["sample"] + RATE_HZ
        assert back["lost_samples"] > RATE_HZ
        assert not [m for m in messages.all("pump02/alarm") if m["active"]]
        changes = [(m["from"], m["to"]) for m in messages.all("pump02/event")]
        assert (away["microphone"], "ok") in changes
        listed = json.loads(asd_monitor("alarms", "list", "--json", "--state", tmp_path / "state"))
        assert [a["machine"] for a in listed] == ["fan01"]
        run.process.terminate()
        assert run.end() == 0
        assert "Traceback" not in run.log


def test_two_machines_on_the_two_channels_of_one_device(
    tmp_path, virtual_sound, mosquitto, trained
):
    sound = virtual_sound({"hall": 1}, rate_hz=RATE_HZ, channels=2)
    models = Path(shutil.copytree(trained / "models", tmp_path / "models"))
    copy_model(models, "fan01", "pump02")
    config = tmp_path / "hall.yaml"
    one = f"""
version: 1
box: edge-07
mqtt: {{port: {mosquitto.port}}}
machines:
  pump02: {{device: "hw:1", channel: 1}}
"""
    config.write_text(one + '  fan01: {device: "hw:1"}\n')
    calm, _ = soundfile.read(write_sound(tmp_path / "calm.wav", 120, seed=2))
    fault, _ = soundfile.read(write_sound(tmp_path / "fault.wav", 120, seed=3, fault_from_s=0.0))
    sound["hall"].play(calm, loop=True)
    arguments = ("--config", config, "--models", models, "--state", tmp_path / "state")
    with Subscriber(mosquitto.port) as subscriber, RunProcess(tmp_path, *arguments) as run:
        messages = BrokerMessages(subscriber)
        for machine in ("fan01", "pump02"):
            messages.until_state(machine, "normal", "ok", run)
            messages.until(f"{machine}/score", lambda m: m["seq"] >= 8, run)
        (child,) = capture_processes(run.process.pid)

        sound["hall"].play(np.stack([calm, fault], axis=1), loop=True)
        messages.until("pump02/alarm", lambda m: m["active"], run)
        assert not [m for m in messages.all("fan01/alarm") if m["active"]]
        fan = {m["sample"]: m for m in messages.all("fan01/score")}
        pump = {m["sample"]: m for m in messages.all("pump02/score")}
        assert len(fan.keys() & pump.keys()) >= 8
        for sample in fan.keys() & pump.keys():
            assert fan[sample]["lost_samples"] == pump[sample]["lost_samples"]

        config.write_text(one)
        run.process.send_signal(signal.SIGHUP)
        messages.until("fan01/state", lambda m: m["state"] == "stopped", run)
        seq = messages.all("pump02/score")[-1]["seq"]
        messages.until("pump02/score", lambda m: m["seq"] >= seq + 5, run)
        assert capture_processes(run.process.pid) == [child]
        run.process.terminate()
        assert run.end() == 0
        assert capture_processes(run.process.pid) == []
        assert "Traceback" not in run.log


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_microphone_is_monitored_under_the_restrictions_of_the_unit(hall, tmp_path, mosquitto):
    _, config = hall
    arguments = ("--config", config, "--models", tmp_path / "models", "--state", tmp_path / "state")
    before = (sys.executable, unit_sandbox.__file__, str(UNIT))
    with (
        Subscriber(mosquitto.port) as subscriber,
        RunProcess(tmp_path, *arguments, before=before) as run,
    ):
        messages = BrokerMessages(subscriber)
        try:
            for machine in ("fan01", "pump02"):
                messages.until(f"{machine}/score", lambda m: m["seq"] >= 3, run)
        except AssertionError:
            if "libseccomp" in run.log or "PR_SET_MDWE" in run.log:
                pytest.skip(f"no sandbox here: {run.log.splitlines()[-1]}")
            raise
        run.process.terminate()
        assert run.end() == 0
