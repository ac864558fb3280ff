"""A model after a repair has a profile of the sound that is kept, where that suffices."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from asd_monitor.evidence.alarm_sound import kept_alarms
from asd_monitor.explanation.explain import explain
from asd_monitor.explanation.findings import FindingKind
from asd_monitor.explanation.sound_profile import SoundProfile
from asd_monitor.model_training.kept_profile import KeptProfile, profile_since
from asd_monitor.model_training.valid_alarms import ValidAlarm
from tests.doubles.changed_machine import RATE_HZ, ChangedMachine, changed_machine, changed_sound
from tests.doubles.synthetic_sounds import machine_sound


@pytest.fixture
def machine(tmp_path: Path) -> ChangedMachine:
    return changed_machine(tmp_path)


def found_since(machine: ChangedMachine, hours: float) -> KeptProfile:
    since = machine.begin + timedelta(hours=hours)
    sounds = kept_alarms(machine.state, "fan01").whole_sounds
    return profile_since(machine.state, "fan01", since, sounds, RATE_HZ)


def has_new_tone(profile: SoundProfile | None, seed: int) -> bool:
    assert profile is not None
    found = explain(profile, changed_sound(10.0, seed=seed), RATE_HZ, {})
    return any(each.kind is FindingKind.TONE and each.new for each in found.findings)


def keep(machine: ChangedMachine, hours: float, seed: int) -> None:
    machine.keep_normal_sound(hours, changed_sound(10.0, seed=seed))


def test_the_profile_is_of_the_sound_since_the_repair(machine: ChangedMachine) -> None:
    for number in range(8):
        machine.keep_normal_sound(number, machine_sound(10.0, seed=200 + number))
    before = found_since(machine, 0.0)
    assert has_new_tone(before.profile, seed=99)
    for number in range(6):
        keep(machine, 10.0 + number, seed=300 + number)
    after = found_since(machine, 9.0)
    assert not has_new_tone(after.profile, seed=99)
    assert after.notes == ()


def test_the_sound_of_alarms_counts_too(machine: ChangedMachine) -> None:
    keep(machine, 10.0, seed=300)
    assert found_since(machine, 9.0).profile is None
    machine.add_alarm(changed_sound(40.0, seed=301), 11.0)
    assert not has_new_tone(found_since(machine, 9.0).profile, seed=99)


def test_the_sound_of_alarms_labelled_valid_is_left_out(machine: ChangedMachine) -> None:
    for number in range(8):
        machine.keep_normal_sound(10.0 + number, machine_sound(10.0, seed=200 + number))
    for number in range(3):
        keep(machine, 12.2 + 0.2 * number, seed=300 + number)
    alarm_id = machine.add_alarm(changed_sound(40.0, seed=303), 12.1)
    since, begin_s = machine.begin + timedelta(hours=9), machine.begin.timestamp()
    fault = ValidAlarm(alarm_id, begin_s + 12.1 * 3600, begin_s + 12.9 * 3600)
    sounds = kept_alarms(machine.state, "fan01").whole_sounds
    assert not has_new_tone(found_since(machine, 9.0).profile, seed=99)
    found = profile_since(machine.state, "fan01", since, sounds, RATE_HZ, valid=[fault])
    assert has_new_tone(found.profile, seed=99)
    (note,) = found.notes
    assert note == (
        "sound of commissioning: 3 pieces of ten seconds in the sound of alarms labelled valid "
        f"({alarm_id}) are left out"
    )


def test_too_little_sound_and_a_damaged_piece_are_noted(machine: ChangedMachine) -> None:
    for number in range(6):
        keep(machine, 10.0 + number, seed=300 + number)
    assert found_since(machine, 9.0).profile is not None
    damaged = sorted((machine.state / "commissioning/fan01/sound").iterdir())[0]
    damaged.write_bytes(b"fLaC")
    found = found_since(machine, 9.0)
    assert found.profile is None
    left_out, too_little = found.notes
    assert left_out.startswith("a piece of the sound of commissioning is left out: ")
    assert too_little.startswith("the model has no profile of the sound")
