"""Live sound that a session stores in commissioning."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.commissioning.blocks import SoundMode, SoundPiece
from asd_monitor.commissioning.sound_pieces import write_sound
from asd_monitor.commissioning.store import CommissioningStore
from tests.doubles.commissioned_machine import NORMAL_LEVEL, begin_at, begun, first_model, store_of
from tests.doubles.level_detector import StubBundle, StubModels, make_config
from tests.doubles.scripted_source import ScriptedSource
from tests.doubles.waiting import until


@pytest.fixture
def models() -> StubModels:
    return StubModels(fan=StubBundle(commissioning_days=7.0))


def stored_age_s(folder: Path, machine: str) -> float:
    progress = CommissioningStore(folder / "commissioning" / machine).progress()
    assert progress is not None
    return progress.age_s


def pieces(folder: Path, machine: str) -> list[Path]:
    return list((folder / "commissioning" / machine / "sound").glob("*.flac"))


async def test_a_little_sound_is_stored(make, tmp_path):
    machine = make()
    begin_at(tmp_path, first_model(machine), 900.0)
    machine.start(ScriptedSource().open())
    machine.source.play(3, NORMAL_LEVEL)
    await begun(machine)
    await machine.play(120, NORMAL_LEVEL)
    await machine.stop()
    assert len(pieces(tmp_path, "fan")) == 1


async def test_sound_of_an_earlier_run_counts(make, tmp_path):
    for run in range(2):
        machine = make()
        if run == 0:
            begin_at(tmp_path, first_model(machine), 900.0)
        machine.start(ScriptedSource().open())
        machine.source.play(3, NORMAL_LEVEL)
        await begun(machine)
        await machine.play(120, NORMAL_LEVEL)
        await machine.stop()
        machine.journal.close()
        assert len(pieces(tmp_path, "fan")) == 1


async def test_machines_that_begin_together_write_and_keep_sound_at_different_times(
    daemon, tmp_path
):
    machines = ("fan", "pump", "mill")
    for name in machines:
        daemon.models.bundles[name].commissioning_days = 7.0
    daemon.start(make_config(**{m: {"device": f"hw:{n}"} for n, m in enumerate(machines)}))
    for name in machines:
        await daemon.until_state(name, "normal")
    sessions = daemon.service.parts.registry.machines
    await until(lambda: all(each.status.commissioning for each in sessions.values()))

    def is_evaluated(until_s: float) -> bool:
        newest = [daemon.broker.messages(f"{name}/score")[-1:] for name in machines]
        return all(each and each[0]["sample"] > until_s * 16_000 for each in newest)

    for played_s in range(3, 310, 10):
        await until(partial(is_evaluated, played_s - 3))
        for number in range(len(machines)):
            daemon.source(f"hw:{number}").play(10, NORMAL_LEVEL)
    await until(lambda: all(stored_age_s(tmp_path, name) for name in machines))
    ages_s = sorted(stored_age_s(tmp_path, name) for name in machines)
    assert np.diff(ages_s).min() > 60
    assert {bool(pieces(tmp_path, name)) for name in machines} == {False, True}


async def test_no_sound_is_stored_where_none_is_wanted(make, tmp_path):
    machine = make(evidence={"sound": "none"})
    begin_at(tmp_path, first_model(machine), 900.0)  # sound is due at once
    machine.start(ScriptedSource().open())
    machine.source.play(3, NORMAL_LEVEL)
    await begun(machine)
    await machine.play(120, NORMAL_LEVEL)
    await machine.stop()
    assert store_of(tmp_path).blocks()
    assert not list(tmp_path.rglob("*.flac"))


async def test_sound_that_is_not_wanted_is_deleted_also_without_commissioning(make, tmp_path):
    folder = tmp_path / "commissioning" / "fan" / "sound"
    write_sound(folder, SoundPiece(1.7e9, SoundMode(-9, False)), np.zeros(1600, np.float32), 16_000)
    machine = make(commissioning={"days": 0}, evidence={"sound": "none"})
    machine.start(ScriptedSource().open())
    machine.source.play(10, NORMAL_LEVEL)
    await machine.until_evaluated()
    await until(lambda: not list(folder.iterdir()))
