"""Initial training within a monitor session (`--learn`)."""

import asyncio
import os

import numpy as np
import pytest
import soundfile
import structlog

from asd_monitor.journal.requests import Verb
from tests.doubles.level_detector import StubBundle
from tests.doubles.scripted_source import ScriptedSource
from tests.doubles.waiting import TIMEOUT_S, until


async def test_sound_is_recorded_then_a_model_trained_and_used(make):
    machine = make(learn="60s")
    bundle = machine.models.bundles.pop("fan")
    machine.start()
    machine.source.open().play(30)
    state = await machine.until_state("learning")
    assert state["evaluated"] is False
    await until(lambda: machine.state["reason"] == "recorded 30 of 60 s")
    machine.source.play_constant(10)  # a muted microphone delivers no training sound
    await machine.until_state("unavailable", "fault")
    machine.source.play(35)
    await until(lambda: machine.trained)
    await until(lambda: machine.state["reason"].endswith("training"))  # perhaps after a loss
    (_, sound, _) = machine.trained[0]
    assert len(list(sound.glob("*.flac"))) >= 2
    machine.models.bundles["fan"] = bundle
    machine.training_ends.set()
    await until(lambda: machine.state["state"] == "normal")
    machine.source.play(5)
    await until(lambda: machine.broker.messages("fan/score"))
    assert ("learning", "normal") in machine.broker.transitions("fan")
    assert len(machine.trained) == 1


async def test_sound_of_a_machine_out_of_service_is_not_recorded(make):
    machine = make(learn="60s")
    machine.models.bundles.pop("fan")
    machine.start()
    machine.source.open().play(30)
    await machine.until_state("learning")
    await until(lambda: machine.state["reason"] == "recorded 30 of 60 s")
    await machine.change_service(Verb.OUT_OF_SERVICE)
    await machine.play(40)
    assert machine.trained == []
    await machine.change_service(Verb.IN_SERVICE)
    await until(lambda: machine.state["reason"] == "recorded 30 of 60 s")
    machine.source.play(35)
    await until(lambda: machine.trained)


async def test_recording_waits_for_its_model_and_the_rest_is_scored(make):
    machine = make(learn="60s", device="file:/x.wav")
    bundle = machine.models.bundles.pop("fan")
    machine.start()
    machine.source.open().play(80)
    machine.source.finish()
    await until(lambda: machine.trained)
    machine.models.bundles["fan"] = bundle
    machine.training_ends.set()
    await asyncio.wait_for(machine.task, TIMEOUT_S)
    scores = machine.broker.messages("fan/score")
    assert len(scores) > 25  # nearly all of the 20 s after the training sound
    assert scores[-1]["sample"] > 79 * 16_000


@pytest.mark.parametrize(
    ("constant", "reason"), [(False, "30 s of usable sound"), (True, "constant value")]
)
async def test_recording_shorter_than_the_training_sound_is_an_error(make, constant, reason):
    machine = make(learn="60s", device="file:/x.wav")
    machine.models.bundles.pop("fan")
    with structlog.testing.capture_logs() as logs:
        machine.start()
        machine.source.open()
        if constant:
            machine.source.play_constant(30)
        else:
            machine.source.play(30)
        machine.source.finish()
        await asyncio.wait_for(machine.task, TIMEOUT_S)
    assert machine.trained == []
    assert machine.state["state"] == "stopped"
    for part in ("the recording has ended without a model", reason, "60 s", "longer recording"):
        assert part in machine.state["reason"]
    (error,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert error["machine"] == "fan"
    assert reason in error["reason"]


async def test_failed_training_is_no_model_until_a_reload(make):
    machine = make(learn="60s")
    machine.models.bundles.pop("fan")
    machine.training_failure = "only 12 s of usable sound: 48 s more are needed"
    machine.training_ends.set()
    machine.start()
    machine.source.open()
    await machine.play(70)
    state = await machine.until_state("no_model")
    assert "48 s more are needed" in state["reason"]
    assert f"correct that, then `kill -HUP {os.getpid()}`" in state["reason"]
    machine.training_failure = None
    machine.models.bundles["fan"] = StubBundle()
    machine.session.reload_model()
    await machine.until_state("normal")
    assert len(machine.trained) == 1


async def test_recording_of_training_sound_continues_after_a_restart(make):
    machine = make(learn="90s")
    machine.models.bundles.pop("fan")
    machine.start()
    machine.source.open()
    await machine.play(70)
    await machine.stop()
    machine.start(ScriptedSource().open())
    machine.source.play(35)
    await until(lambda: machine.trained)


async def test_broken_model_is_not_replaced_by_a_training(make, tmp_path):
    machine = make(learn="60s")
    machine.models.broken["fan"] = "views.npz is missing"
    version = tmp_path / "models" / "fan" / "v1"
    version.mkdir(parents=True)
    (version / "manifest.json").write_text("{}")
    machine.start()
    machine.source.open().play(3)
    state = await machine.until_state("no_model")
    assert state["reason"] == "views.npz is missing"


async def test_unreadable_models_are_not_replaced_by_a_training(make, tmp_path):
    machine = make(learn="60s")
    machine.models.broken["fan"] = "models/fan/current: no permission to read it"
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "fan").write_text("a file: it cannot be listed")
    machine.start()
    machine.source.open().play(3)
    state = await machine.until_state("no_model")
    assert state["reason"] == "models/fan/current: no permission to read it"


async def test_a_loop_too_short_for_a_training_is_said_before_anything_is_recorded(make, tmp_path):
    soundfile.write(tmp_path / "calm.wav", np.full(8000 * 20, 0.1), 8000)
    machine = make(learn="30m", device=f"file:{tmp_path}/calm.wav?loop")
    machine.models.bundles.pop("fan")
    machine.start()
    machine.source.open()
    await machine.play(5)
    state = await machine.until_state("no_model")
    assert "calm.wav?loop is repeated after 20 s" in state["reason"]
    assert "at least 60 s is needed" in state["reason"]
    assert not (tmp_path / "learning").exists()
    assert machine.trained == []
