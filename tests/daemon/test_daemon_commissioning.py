"""Commissioning in a session: which blocks are stored, and what goes on without them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from asd_monitor.commissioning.schedule import RefitNote
from asd_monitor.config.machine_settings import MachineDefaults
from asd_monitor.daemon import block_storage
from asd_monitor.daemon.box_refits import BoxRefits
from asd_monitor.daemon.commissioning import Commissioning
from asd_monitor.daemon.refit_child import RefitOutcome
from asd_monitor.features.windows import Window
from asd_monitor.journal.requests import Verb
from asd_monitor.monitor import Reading
from asd_monitor.records import MachineState, MicrophoneState, WindowScore
from tests.doubles.commissioned_machine import (
    DAY_S,
    NORMAL_LEVEL,
    begin_at,
    begun,
    first_model,
    store_of,
)
from tests.doubles.level_detector import StubBundle, StubModels
from tests.doubles.scripted_source import ScriptedSource
from tests.doubles.waiting import until


@pytest.fixture
def models() -> StubModels:
    return StubModels(fan=StubBundle(commissioning_days=7.0))


async def test_live_blocks_are_stored(make, tmp_path):
    machine = make()
    machine.start(ScriptedSource().open())
    machine.source.play(3, NORMAL_LEVEL)
    await begun(machine)
    await machine.play(120, NORMAL_LEVEL)
    await machine.stop()
    store = store_of(tmp_path)
    blocks = store.blocks()
    assert 2 <= len(blocks) <= 8
    assert all(3 <= len(block.vectors) <= 5 and not block.alarm_active for block in blocks)
    progress = store.progress()
    assert progress is not None
    assert 100 < progress.age_s < 125
    assert progress.model_sha256 == first_model(machine).sha256


async def test_sound_of_a_machine_out_of_service_is_not_stored(make, tmp_path):
    machine = make()
    machine.start(ScriptedSource().open())
    machine.source.play(3, NORMAL_LEVEL)
    await begun(machine)
    await machine.change_service(Verb.OUT_OF_SERVICE)
    await machine.play(120, NORMAL_LEVEL)
    assert machine.session.status.commissioning.blocks == 0
    await machine.change_service(Verb.IN_SERVICE)
    await machine.play(60, NORMAL_LEVEL)
    await machine.stop()
    blocks = store_of(tmp_path).blocks()
    assert blocks
    progress = store_of(tmp_path).progress()
    assert progress is not None
    assert 50 < progress.age_s < 70  # the commissioning lasts as much longer


async def test_no_sound_is_stored_while_the_channel_dies_again_and_again(make, tmp_path):
    """What was captured shortly before it died is not kept either."""
    machine = make()
    machine.start(ScriptedSource().open())
    machine.source.play(3, NORMAL_LEVEL)
    await begun(machine)
    for _ in range(6):
        await machine.play(15, NORMAL_LEVEL)
        machine.source.play_constant(3)
    await machine.stop()
    assert [block for block in store_of(tmp_path).blocks() if block.age_s < 70.0] == []


@pytest.mark.parametrize("reason", ["configured", "trained without"])
async def test_without_commissioning_nothing_is_stored(make, tmp_path, reason):
    machine = make(commissioning={"days": 0}) if reason == "configured" else make()
    if reason == "trained without":
        first_model(machine).commissioning_days = 0.0
    machine.start(ScriptedSource().open())
    await machine.play(60, NORMAL_LEVEL)
    await machine.until_evaluated()
    assert machine.session.status.commissioning is None
    await machine.stop()
    assert not (tmp_path / "commissioning").exists()


async def test_commissioning_goes_on_after_a_restart(make, tmp_path):
    machine = make()
    begin_at(
        tmp_path,
        first_model(machine),
        2.5 * DAY_S,
        day_done=True,
        last=RefitNote(4e9, "v1 is a candidate", "v1", 3.5),
    )
    machine.start(ScriptedSource().open())
    machine.source.play(3, NORMAL_LEVEL)
    await begun(machine)
    status = machine.session.status.commissioning
    assert status is not None
    assert (status.day, status.days, status.result) == (3, 7, "v1 is a candidate")
    assert status.next_refit is not None
    await machine.play(30, NORMAL_LEVEL)
    await machine.stop()
    progress = store_of(tmp_path).progress()
    assert progress is not None
    assert 2.5 * DAY_S + 20 < progress.age_s < 2.5 * DAY_S + 40


async def test_a_store_that_cannot_be_written_is_logged_once_and_monitoring_goes_on(make, tmp_path):
    (tmp_path / "commissioning").write_text("a file where a folder is needed")
    machine = make()
    with capture_logs() as logs:
        machine.start(ScriptedSource().open())
        await machine.play(30, NORMAL_LEVEL)
        await machine.until_state("normal")
        await until(lambda: any("not stored" in log["event"] for log in logs))
    assert len([log for log in logs if "not stored" in log["event"]]) == 1


async def test_live_sound_is_stored_from_when_the_folder_can_be_written_on(
    make, tmp_path, monkeypatch
):
    monkeypatch.setattr(block_storage, "RETRY_S", 0.02)
    obstacle = tmp_path / "commissioning"
    obstacle.write_text("a file where a folder is needed")
    machine = make()
    with capture_logs() as logs:
        machine.start(ScriptedSource().open())
        machine.source.play(3, NORMAL_LEVEL)
        await machine.until_state("normal")
        await until(lambda: any("not stored" in log["event"] for log in logs))
        assert machine.session.status.commissioning is None
        obstacle.unlink()
        await begun(machine)
    assert len([log for log in logs if "not stored" in log["event"]]) == 1
    await machine.play(60, NORMAL_LEVEL)
    await machine.stop()
    assert store_of(tmp_path).blocks()


async def test_windows_with_dropouts_are_not_counted_as_dropped(tmp_path):
    box = BoxRefits(refit=never_refitted)
    subject = Commissioning(
        "fan",
        MachineDefaults(),
        models=tmp_path,
        state=tmp_path,
        box=box,
        now=lambda: datetime.now(UTC),
        read_sound=lambda _first, _past: None,
        on_new_model=lambda: None,
        on_refit_ended=lambda: None,
    )
    bundle: Any = StubBundle(commissioning_days=7.0)
    subject.take_model(bundle, RATE_HZ)
    await until(lambda: subject.tap is not None)
    windows = [window_at(number * HOP) for number in range(6)]

    def push(scored: list[Window], evaluated: list[Window]) -> None:
        subject.begin_push()
        assert subject.tap is not None
        subject.tap(scored)
        subject.push([reading_of(each) for each in evaluated], lambda _: datetime.now(UTC))

    push(windows[:3], windows[:1])  # two have dropouts
    assert box.counters.skipped_windows == 0
    push(windows[3:4], windows[4:5])  # of a pipeline that was replaced
    assert box.counters.skipped_windows == 1
    subject.end()
    await subject.finish(10.0)
    await box.storing.finish(10.0)


RATE_HZ, HOP, LENGTH = 16_000, 8192, 31_744


async def never_refitted(_machine: str, _models: Path, _state: Path) -> RefitOutcome:
    raise AssertionError


def window_at(start: int) -> Window:
    features = {"level": np.zeros(1, np.float32), "spectrum": np.zeros(3, np.float32)}
    return Window(start, start + LENGTH, features, 1)


def reading_of(window: Window) -> Reading:
    score = WindowScore(window.start, window.end, 1.0, 2.0, 0.5, {}, -30.0, False, 1, False)
    return Reading(
        window.end, score, 0.5, 10.0, MachineState.NORMAL, MicrophoneState.DEGRADED, None, ()
    )
