"""`models refit` by a person: marked sound, the comparison, promotion and the way back."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from asd_monitor.evidence.sound_span import Gap
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.requests import Verb
from asd_monitor.journal.store import Journal
from asd_monitor.model_store.bundle import load_bundle
from tests.doubles.bundle_files import edit_manifest, read_manifest
from tests.doubles.captured_alarm import FIRST
from tests.doubles.changed_machine import (
    ChangedMachine,
    changed_machine,
    changed_sound,
    faulty_sound,
)
from tests.doubles.command_line import CommandLine
from tests.doubles.model_versions import current, version_rows
from tests.doubles.synthetic_sounds import machine_sound, write


@pytest.fixture
def machine(commissioned: Path) -> ChangedMachine:
    """Two alarms of fan01: of its changed sound, and of a fault."""
    machine = changed_machine(commissioned)
    machine.add_alarm(changed_sound(), 1.0)
    machine.add_alarm(faulty_sound(), 2.0)
    return machine


def alarm_ids(command_line: CommandLine, machine: ChangedMachine) -> tuple[str, str]:
    listed = json.loads(
        command_line("alarms", "list", "--all", "--json", "--state", machine.state).out
    )
    newest, oldest = (alarm["id"] for alarm in listed)
    return oldest, newest


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_marked_sound_raises_no_alarm_any_more_and_a_fault_does(
    command_line: CommandLine, own_models: Path, machine: ChangedMachine, tmp_path: Path
) -> None:
    changed, fault = alarm_ids(command_line, machine)
    machine.ask(Verb.LABEL, fault, label="valid")
    machine.ask(Verb.MARK_NORMAL, changed, "a new filter")
    machine.keep_normal_sound(0.0, machine_sound(12.0, seed=77))
    folders = ("--models", own_models, "--state", machine.state)
    before = hashes(own_models / "fan01/v1")
    later = write(tmp_path / "later.wav", changed_sound(60.0, seed=99))
    scores = [command_line("score", later, "-m", "fan01", "--models", own_models, "--json").out]
    backtest = ("backtest", later, "-m", "fan01", "--models", own_models, "--json", "--no-latch")
    assert json.loads(command_line(*backtest).out)["alarms"] != []

    result = command_line("models", "refit", "fan01", *folders, "--json")
    assert result.code == 0, result.err
    refit = json.loads(result.out)
    assert (refit["version"], refit["in_use"]) == ("v2", False)
    assert current(own_models) == "v1"
    found = refit["comparison"]
    assert found["warnings"] == []
    by_id = {each["alarm_id"]: each for each in found["alarms"]}
    assert (by_id[changed]["rises_before"], by_id[changed]["rises_after"]) == (True, False)
    assert by_id[changed]["label"] == "invalid"
    assert (by_id[fault]["rises_before"], by_id[fault]["rises_after"]) == (True, True)
    assert by_id[changed]["before"] > 3.9 > by_id[changed]["after"]
    assert found["held_out"] is None  # too few blocks
    assert found["levels_db"] is not None
    assert version_rows(command_line, own_models)[1]["candidate"]
    profile = hashes(own_models / "fan01/v1")["profile.npz"]
    assert hashes(own_models / "fan01/v2")["profile.npz"] == profile
    marked = read_manifest(own_models / "fan01/v2")["marked"]
    assert [(each["alarm_id"], each["why"]) for each in marked] == [(changed, "a new filter")]

    result = command_line("models", "compare", "fan01", *folders)
    assert result.code == 0, result.err
    assert "1 of 2 kept alarms would not rise any more, none of them labelled valid" in result.out
    promote = result.out.partition("promote v2 with `asd-monitor ")[2].partition("`")[0]
    assert command_line(*promote.split()).code == 0
    assert current(own_models) == "v2"
    assert json.loads(command_line(*backtest).out)["alarms"] == []

    # refits of the daemon go on with what a person has promoted
    result = command_line("models", "refit", "-m", "fan01", *folders, "--automatic")
    assert result.code == 0, result.err
    assert current(own_models) == "v3", result.err
    assert json.loads(command_line(*backtest).out)["alarms"] == []

    for expected in ("v2", "v1"):
        assert command_line("models", "rollback", "-m", "fan01", "--models", own_models).code == 0
        assert current(own_models) == expected
    assert hashes(own_models / "fan01/v1") == before
    scores.append(command_line("score", later, "-m", "fan01", "--models", own_models, "--json").out)
    assert scores[0] == scores[1]


def test_a_mislabelled_fault_is_a_warning_and_is_not_promoted(
    command_line: CommandLine, own_models: Path, machine: ChangedMachine
) -> None:
    _, fault = alarm_ids(command_line, machine)
    machine.ask(Verb.MARK_NORMAL, fault, "sounds as always")
    folders = ("--models", own_models, "--state", machine.state)
    result = command_line("models", "refit", "fan01", *folders)
    assert result.code == 0, result.err
    assert "label" not in result.out.splitlines()[0]
    # somebody else finds the damage
    machine.ask(Verb.LABEL, fault, label="valid")
    promote = ("models", "promote", "-m", "fan01", "--version", "v2", *folders)
    result = command_line(*promote)
    assert result.code == 1
    assert f"1 alarm labelled valid would not rise any more ({fault})" in result.message
    assert "--anyway" in result.message
    assert current(own_models) == "v1"

    result = command_line("models", "compare", "fan01", "v1", "v2", *folders)
    first = result.out.splitlines()[0]
    assert first.startswith("WARNING: 1 alarm labelled valid would not rise any more")
    assert "do not promote v2" in result.out.splitlines()[-1]
    # the next refit leaves the fault out
    result = command_line("models", "refit", "fan01", *folders, "--promote")
    assert result.code == 0, result.err
    assert f"in the sound of alarms labelled valid ({fault}) are left out" in result.err
    assert current(own_models) == "v3"
    assert command_line(*promote, "--anyway").code == 0
    assert current(own_models) == "v2"
    assert command_line(*promote).code == 0  # it is in use: nothing is refused


@pytest.mark.parametrize(
    ("kept", "warning"),
    [
        (
            (40.0, (Gap(FIRST + 1000, FIRST + 1160),)),
            "1 alarm labelled valid would not rise any more",
        ),
        ((5.0, ()), "rises with neither model in the 5 s of sound"),
        ((None, ()), "cannot be compared: no package of it is kept"),
    ],
)
def test_a_valid_alarm_with_little_sound_guards_the_next_model(
    command_line: CommandLine,
    own_models: Path,
    commissioned: Path,
    kept: tuple[float | None, tuple[Gap, ...]],
    warning: str,
) -> None:
    machine = changed_machine(commissioned)
    seconds, gaps = kept
    sound = None if seconds is None else faulty_sound(seconds)
    valid = machine.add_alarm(sound, 1.0, gaps)
    other = machine.add_alarm(faulty_sound(seed=55), 3.0)
    machine.ask(Verb.LABEL, valid, label="valid")
    machine.ask(Verb.MARK_NORMAL, other, "sounds as always")
    folders = ("--models", own_models, "--state", machine.state)
    result = command_line("models", "refit", "fan01", *folders, "--promote")
    assert result.code == 1
    assert warning in result.out
    assert valid in result.message
    assert current(own_models) == "v1"


def test_a_candidate_whose_comparison_cannot_be_read_is_not_promoted(
    command_line: CommandLine, own_models: Path, machine: ChangedMachine
) -> None:
    candidate = own_models / "fan01/v2"
    shutil.copytree(own_models / "fan01/v1", candidate)
    edit_manifest(candidate, lambda manifest: manifest.update(version="v2", comparison={}))
    folders = ("--models", own_models, "--state", machine.state)
    assert command_line("models", "promote", "fan01", "v1", *folders).code == 0
    promote = ("models", "promote", "-m", "fan01", "--version", "v2", *folders)
    result = command_line(*promote)
    assert result.code == 1
    assert "its comparison cannot be read" in result.message
    assert command_line(*promote, "--anyway").code == 0


@pytest.mark.parametrize("lost", ["deleted", "damaged", "begun anew"])
def test_without_the_journal_marks_stay_and_a_promotion_is_refused(
    command_line: CommandLine, own_models: Path, machine: ChangedMachine, lost: str
) -> None:
    changed, _ = alarm_ids(command_line, machine)
    machine.ask(Verb.MARK_NORMAL, changed)
    folders = ("--models", own_models, "--state", machine.state)
    assert command_line("models", "refit", "fan01", *folders, "--promote").code == 0
    for path in machine.state.glob(f"{FILE_NAME}*"):
        path.unlink()
    if lost == "damaged":
        (machine.state / FILE_NAME).write_bytes(b"x" * 5000)
    if lost == "begun anew":
        Journal(machine.state).close()
    result = command_line("models", "refit", "fan01", *folders)
    assert result.code == 0, result.err
    assert "1 mark that v2 was extended with is not in the journal, and kept" in result.err
    marked = read_manifest(own_models / "fan01/v3")["marked"]
    assert [each["alarm_id"] for each in marked] == [changed]
    if lost == "begun anew":
        return
    assert "notice: labels of alarms and marks of fan01 are not known" in result.err
    promote = ("models", "promote", "-m", "fan01", "--version", "v3", *folders)
    result = command_line(*promote)
    assert result.code == 1
    assert "labels of alarms and marks of fan01 are not known" in result.message
    assert current(own_models) == "v2"
    assert command_line(*promote, "--anyway").code == 0


def test_marked_sound_of_an_alarm_labelled_valid_is_left_out(
    command_line: CommandLine, own_models: Path, machine: ChangedMachine
) -> None:
    _, fault = alarm_ids(command_line, machine)
    machine.ask(Verb.MARK_NORMAL, fault, "sounds as always")
    machine.ask(Verb.LABEL, fault, label="valid")
    begin, end = (machine.begin + timedelta(hours=each) for each in (1.9, 2.5))
    machine.ask(
        Verb.MARK_NORMAL, None, "fine", **{"from": begin.isoformat(), "to": end.isoformat()}
    )
    folders = ("--models", own_models, "--state", machine.state)
    result = command_line("models", "refit", "fan01", *folders, "--json")
    assert result.code == 0, result.err
    refit = json.loads(result.out)
    notes = [each for each in refit["notes"] if f"labelled valid ({fault}) are left out" in each]
    assert len(notes) == 2
    assert refit["comparison"]["warnings"] == []
    assert read_manifest(own_models / "fan01/v2")["marked"] == []


def test_a_withdrawn_mark_is_left_out_of_the_next_refit(
    command_line: CommandLine, own_models: Path, machine: ChangedMachine
) -> None:
    changed, _ = alarm_ids(command_line, machine)
    machine.ask(Verb.MARK_NORMAL, changed)
    folders = ("--models", own_models, "--state", machine.state)
    assert command_line("models", "refit", "fan01", *folders, "--promote").code == 0
    machine.ask(Verb.MARK_NORMAL, changed, withdraw="true")
    result = command_line("models", "refit", "fan01", *folders)
    assert result.code == 0, result.err
    assert "1 mark that v2 was extended with is withdrawn, and left out" in result.err
    assert read_manifest(own_models / "fan01/v3").get("marked") == []
    assert not (own_models / "fan01/v3/marked.npz").exists()
    assert load_bundle(own_models, "fan01", "v3").manifest["candidate"]


def test_after_a_repair_a_model_is_made_of_later_sound_alone(
    command_line: CommandLine, own_models: Path, machine: ChangedMachine, tmp_path: Path
) -> None:
    changed, fault = alarm_ids(command_line, machine)
    machine.ask(Verb.LABEL, fault, label="valid")
    for number in range(3):
        machine.add_alarm(changed_sound(seed=60 + number), 5.0 + number)
    folders = ("--models", own_models, "--state", machine.state)
    late = ("models", "refit", "fan01", *folders, "--since", "2099-01-01")
    result = command_line(*late)
    assert result.code == 1
    assert "is needed: refit when it has run for some hours" in result.message
    again = machine.add_alarm(faulty_sound(seed=43), 9.0)
    machine.ask(Verb.LABEL, again, label="valid")
    since = (machine.begin + timedelta(hours=4)).isoformat()
    result = command_line("models", "refit", "fan01", *folders, "--since", since, "--json")
    assert result.code == 0, result.err
    refit = json.loads(result.out)
    assert refit["reason"].startswith("after a repair: ")
    by_id = {each["alarm_id"]: each for each in refit["comparison"]["alarms"]}
    assert by_id[fault]["rises_after"]
    assert by_id[again]["rises_after"]
    (note,) = refit["notes"]
    assert note.endswith(f"in the sound of alarms labelled valid ({again}) are left out")
    assert refit["blocks"] == 12
    assert not by_id[changed]["rises_after"]
    bundle = load_bundle(own_models, "fan01", "v2")
    assert bundle.first.version == "v2"
    assert bundle.commissioning_days == 7
    assert bundle.profile is not None
    assert hashes(own_models / "fan01/v1")["profile.npz"] != hashes(own_models / "fan01/v2").get(
        "profile.npz"
    )
    promote = ("models", "promote", "-m", "fan01", "--version", "v2", *folders)
    assert command_line(*promote).code == 0
    normal = write(tmp_path / "normal.wav", changed_sound(60.0, seed=99))
    backtest = ("backtest", normal, "-m", "fan01", "--models", own_models, "--json")
    assert json.loads(command_line(*backtest).out)["alarms"] == []
