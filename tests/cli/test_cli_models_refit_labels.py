"""Refits of the daemon leave out the sound of alarms that a person has labelled valid."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.alarm.budget import alarm_rule
from asd_monitor.alarm.state import AlarmCondition
from asd_monitor.commissioning.blocks import feature_key
from asd_monitor.commissioning.sampler import BlockSampler
from asd_monitor.commissioning.schedule import Progress
from asd_monitor.commissioning.store import CommissioningStore
from asd_monitor.config.machine_settings import AlarmSettings
from asd_monitor.features.windows import Window
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.requests import Verb
from asd_monitor.journal.store import Journal
from asd_monitor.model_store.bundle import load_bundle
from asd_monitor.monitor import Monitor
from asd_monitor.pipeline import Pipeline
from tests.doubles.blocks import block_at
from tests.doubles.changed_machine import ChangedMachine, changed_sound
from tests.doubles.command_line import CommandLine
from tests.doubles.journalled_machine import alarm_transition
from tests.doubles.model_versions import current
from tests.doubles.synthetic_sounds import machine_sound, write

PART_S, APART_S = 90, 3 * 3600
"""Length of each part of the live sound, and from the begin of one to that of the next."""


@pytest.fixture
def machine(own_models: Path, tmp_path: Path) -> ChangedMachine:
    """A state folder with live blocks of fan01 before, in and after a fault."""
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=12)
    bundle = load_bundle(own_models, "fan01")
    pipeline = Pipeline(bundle.detector)
    windows: list[Window] = []
    pipeline.tap = windows.extend
    monitor = Monitor(pipeline, alarm_rule(AlarmSettings().criteria, bundle.detector), 16_000)
    fault = changed_sound(PART_S, seed=11)
    parts = machine_sound(PART_S, seed=10), fault, machine_sound(PART_S, seed=12)
    readings = monitor.push(block_at(0, np.concatenate(parts)))

    def time_s(sample: int) -> float:
        part, within_s = divmod(sample / 16_000, PART_S)
        return begin.timestamp() + part * APART_S + within_s

    sampler = BlockSampler(bundle.detector, 16_000, seed="fan01")
    sampler.push(windows, readings, time_s)
    sampler.end()
    store = CommissioningStore(tmp_path / "state/commissioning/fan01")
    progress = Progress(bundle.sha256, "v1", begin.timestamp(), 2.5 * 86_400)
    store.begin(progress)
    key = feature_key(bundle.detector)
    store.write(progress, sampler.take(), key=key, layout=sampler.layout)
    return ChangedMachine(tmp_path / "state", begin)


def fault_alarm(machine: ChangedMachine) -> str:
    """Write the alarm of the fault, which has lasted for its sound; return its id."""
    raised = machine.begin + timedelta(seconds=APART_S)
    steps = (AlarmCondition.NORMAL, AlarmCondition.UNACKNOWLEDGED, AlarmCondition.RETURNED)
    with Journal(machine.state) as journal:
        own = MachineJournal(journal, "fan01")
        for at, (before, after) in enumerate(pairwise(steps)):
            change = alarm_transition(before, after)
            own.record(change, raised + timedelta(seconds=at * PART_S), "v1")
        assert own.newest is not None
        return own.newest.id


def refitted(
    command_line: CommandLine, models: Path, machine: ChangedMachine, sound: Path
) -> tuple[list[str], int]:
    """Refit as the daemon does; return the notes, and how many alarms a sound raises then."""
    folders = ("--models", models, "--state", machine.state)
    result = command_line("models", "refit", "--automatic", "-m", "fan01", *folders, "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["in_use"]
    backtest = command_line("backtest", sound, "-m", "fan01", "--models", models, "--json")
    return json.loads(result.out)["notes"], len(json.loads(backtest.out)["alarms"])


def test_a_fault_that_was_repaired_is_not_learned_where_its_alarm_is_labelled_valid(
    command_line: CommandLine, own_models: Path, machine: ChangedMachine, tmp_path: Path
) -> None:
    alarm_id = fault_alarm(machine)
    again = write(tmp_path / "again.wav", changed_sound(60.0, seed=99))
    _, alarms = refitted(command_line, own_models, machine, again)
    assert alarms == 0  # sound that returns to normal is a condition of the machine

    machine.ask(Verb.LABEL, alarm_id, label="valid")
    notes, alarms = refitted(command_line, own_models, machine, again)
    assert current(own_models) == "v3"
    assert alarms == 1
    (note,) = (each for each in notes if "labelled valid" in each)
    assert note.startswith("live sound: ")
    assert note.endswith(f"of alarms labelled valid ({alarm_id}) are left out")


def test_a_damaged_journal_is_noted(
    command_line: CommandLine, own_models: Path, machine: ChangedMachine, tmp_path: Path
) -> None:
    (machine.state / FILE_NAME).write_bytes(b"no journal")
    sound = write(tmp_path / "normal.wav", machine_sound(20.0, seed=98))
    notes, alarms = refitted(command_line, own_models, machine, sound)
    assert alarms == 0
    assert any("labels of alarms are not known: " in each for each in notes)
