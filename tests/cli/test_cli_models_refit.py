"""models refit, list, promote and rollback with versions of a commissioning."""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asd_monitor.alarm.budget import alarm_rule
from asd_monitor.commissioning.blocks import feature_key
from asd_monitor.commissioning.sampler import BlockSampler
from asd_monitor.commissioning.schedule import Progress
from asd_monitor.commissioning.store import CommissioningStore
from asd_monitor.config.settings import AlarmSettings
from asd_monitor.daemon.refit_child import refit as refit_in_child
from asd_monitor.features.windows import Window
from asd_monitor.model_store.bundle import load_bundle
from asd_monitor.model_store.catalogue import promote
from asd_monitor.model_store.versions import MANIFEST, current_version, set_current
from asd_monitor.model_training import refit as refit_module
from asd_monitor.model_training import refit_run
from asd_monitor.model_training.refit import RefitResult
from asd_monitor.monitor import Monitor
from asd_monitor.pipeline import Pipeline
from tests.doubles.blocks import block_at
from tests.doubles.bundle_files import edit_manifest, read_manifest
from tests.doubles.command_line import CommandLine
from tests.doubles.synthetic_sounds import machine_sound


@pytest.fixture
def state(own_models: Path, tmp_path: Path) -> Path:
    """A state folder with live blocks of fan01 v1."""
    bundle = load_bundle(own_models, "fan01")
    sampler = BlockSampler(bundle.detector, 16_000, seed="fan01")
    pipeline = Pipeline(bundle.detector)
    windows: list[Window] = []
    pipeline.tap = windows.extend
    monitor = Monitor(pipeline, alarm_rule(AlarmSettings().criteria, bundle.detector), 16_000)
    readings = monitor.push(block_at(0, machine_sound(150.0, seed=9)))
    sampler.push(windows, readings, lambda sample: 1.7e9 + sample / 16_000)
    store = CommissioningStore(tmp_path / "state/commissioning/fan01")
    progress = Progress(bundle.sha256, "v1", 1.7e9, 2.5 * 86_400)
    store.begin(progress)
    key = feature_key(bundle.detector)
    sampler.end()
    store.write(progress, sampler.take(), key=key, layout=sampler.layout)
    return tmp_path / "state"


def rows(command_line: CommandLine, models: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        command_line("models", "list", "--models", models, "--json").out
    )
    return found


def versions_of(command_line: CommandLine, models: Path) -> list[str]:
    return [row["version"] for row in rows(command_line, models)]


def current(models: Path) -> str:
    found = current_version(models, "fan01")
    assert found is not None
    return found.name


def test_a_refit_is_a_new_version_in_use_with_its_reason(
    command_line: CommandLine, own_models: Path, state: Path
) -> None:
    folders = ("--models", own_models, "--state", state)
    result = command_line("models", "refit", "-m", "fan01", *folders, "--json")
    assert result.code == 0, result.err
    outcome = json.loads(result.out)
    assert (outcome["version"], outcome["in_use"]) == ("v2", True)
    assert outcome["reason"] == f"commissioning: day 3 of 7, {outcome['blocks']} blocks"
    assert current(own_models) == "v2"
    first, second = rows(command_line, own_models)
    assert (first["reason"], first["moved"], first["candidate"]) == ("training", None, False)
    assert (second["reason"], second["moved"], second["candidate"]) == (
        outcome["reason"],
        outcome["moved"],
        False,
    )
    table = command_line("models", "list", "--models", own_models).out
    assert "day 3 of 7" in table
    shown = command_line("models", "show", "-m", "fan01", "--models", own_models).out
    assert "from the first model" in shown
    assert "needs sound of the running machine from 147 different hours: record in 147" in shown
    assert "days of commissioning, as it has run in about 0.8 hours a day" in shown
    manifest = load_bundle(own_models, "fan01").manifest
    v1 = load_bundle(own_models, "fan01", "v1")
    assert manifest["commissioning"]["first"] == {"version": "v1", "sha256": v1.sha256}
    assert manifest["training"] == v1.manifest["training"]
    reference = own_models / "fan01/v1/reference.npz"
    assert reference.samefile(own_models / "fan01/v2/reference.npz")

    result = command_line("models", "refit", "-m", "fan01", *folders)  # a refit of the refit
    assert result.code == 0, result.err
    assert "fan01 uses v3" in result.out
    assert load_bundle(own_models, "fan01").first.version == "v1"


def test_a_refit_that_moved_far_is_a_candidate_that_a_person_promotes(
    command_line: CommandLine, own_models: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refit_module, "MAX_MOVED", -1.0)
    folders = ("--models", own_models, "--state", state)
    result = command_line("models", "refit", "-m", "fan01", *folders)
    assert result.code == 0, result.err
    assert "promote --machine fan01 --version v2" in result.out
    assert "a person must decide" in result.err
    assert current(own_models) == "v1"
    assert rows(command_line, own_models)[1]["candidate"]
    assert "candidate" in command_line("models", "list", "--models", own_models).out
    show = ("models", "show", "-m", "fan01", "--version", "v2", "--models", own_models)
    assert "a candidate: a person decides on its use" in command_line(*show).out
    promote = ("models", "promote", "-m", "fan01", "--version", "v2", "--models", own_models)
    assert command_line(*promote).code == 0
    assert current(own_models) == "v2"
    assert "a candidate: put into use by a person" in command_line(*show).out


def test_rollback_returns_to_a_candidate_that_a_person_has_put_into_use_and_not_left(
    command_line: CommandLine, own_models: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = ("-m", "fan01", "--models", own_models)
    refit = ("models", "refit", *models, "--state", state)
    with monkeypatch.context() as moved_far:
        moved_far.setattr(refit_module, "MAX_MOVED", -1.0)
        assert command_line(*refit).code == 0
    assert command_line("models", "promote", *models, "--version", "v2").code == 0
    assert command_line(*refit).code == 0
    assert current(own_models) == "v3"
    for version in ("v2", "v1"):
        assert command_line("models", "rollback", *models).code == 0
        assert current(own_models) == version
    assert command_line("models", "promote", *models, "--version", "v3").code == 0
    assert command_line("models", "rollback", *models).code == 0
    assert current(own_models) == "v1"  # v2 has been left for it


def test_a_refit_does_not_replace_the_version_for_which_a_person_has_left_a_candidate(
    command_line: CommandLine, own_models: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = ("-m", "fan01", "--models", own_models)
    refit = ("models", "refit", *models, "--state", state)
    with monkeypatch.context() as moved_far:
        moved_far.setattr(refit_module, "MAX_MOVED", -1.0)
        assert command_line(*refit).code == 0
    assert command_line("models", "promote", *models, "--version", "v2").code == 0
    assert command_line("models", "rollback", *models).code == 0
    result = command_line(*refit)
    assert "a person has returned from v2 to v1" in result.err
    assert current(own_models) == "v1"


def test_rollback_passes_over_candidates_and_holds_back_the_refits_after_it(
    command_line: CommandLine, own_models: Path, state: Path
) -> None:
    folders = ("--models", own_models, "--state", state)
    for _ in range(2):
        assert command_line("models", "refit", "-m", "fan01", *folders).code == 0
    edit_manifest(own_models / "fan01/v2", lambda manifest: manifest.update(candidate=True))
    promote = ("models", "promote", "-m", "fan01", "--version", "v3", "--models", own_models)
    assert command_line(*promote).code == 0
    assert command_line("models", "rollback", "-m", "fan01", "--models", own_models).code == 0
    assert current(own_models) == "v1"
    result = command_line("models", "refit", "-m", "fan01", *folders)
    assert "a person has returned from v3 to v1" in result.err
    assert current(own_models) == "v1"


def automatic_refit(models: Path, state: Path) -> tuple[object, ...]:
    """Return the command line by which the daemon refits."""
    return "models", "refit", "-m", "fan01", "--models", models, "--state", state, "--automatic"


def test_a_refit_in_use_deletes_those_before_the_one_that_it_replaces(
    command_line: CommandLine, own_models: Path, state: Path
) -> None:
    refit = automatic_refit(own_models, state)
    for _ in range(2):
        assert command_line(*refit).code == 0
    assert versions_of(command_line, own_models) == ["v1", "v2", "v3"]
    outcome = json.loads(command_line(*refit, "--json").out)
    assert (outcome["version"], outcome["deleted"]) == ("v4", ["v2"])
    assert versions_of(command_line, own_models) == ["v1", "v3", "v4"]
    assert "v3" in command_line(*refit).out
    assert versions_of(command_line, own_models) == ["v1", "v4", "v5"]
    assert command_line("models", "rollback", "-m", "fan01", "--models", own_models).code == 0
    assert current(own_models) == "v4"
    command_line(*refit)  # a candidate, since a person has returned to v4
    assert versions_of(command_line, own_models) == ["v1", "v4", "v5", "v6"]


def test_a_refit_that_a_person_has_started_is_not_deleted(
    command_line: CommandLine, own_models: Path, state: Path
) -> None:
    refit = automatic_refit(own_models, state)
    assert command_line(*refit[:-1]).code == 0
    for _ in range(2):
        assert command_line(*refit).code == 0
    assert json.loads(command_line(*refit, "--json").out)["deleted"] == ["v3"]
    assert versions_of(command_line, own_models) == ["v1", "v2", "v4", "v5"]
    result = command_line(*refit[:-1])  # what the daemon has made is deleted by this one too
    assert "Deleted, since newer refits supersede them: v4." in result.out
    assert versions_of(command_line, own_models) == ["v1", "v2", "v5", "v6"]


@pytest.mark.parametrize(
    "choice", [("promote", "--version", "v2"), ("rollback",)], ids=["promoted", "rolled back"]
)
def test_a_version_that_a_person_has_put_into_use_is_not_deleted(
    command_line: CommandLine, own_models: Path, state: Path, choice: tuple[str, ...]
) -> None:
    refit = automatic_refit(own_models, state)
    models = ("-m", "fan01", "--models", own_models)
    for _ in range(2):
        assert command_line(*refit).code == 0
    assert command_line("models", choice[0], *models, *choice[1:]).code == 0
    assert current(own_models) == "v2"
    assert command_line(*refit).code == 0  # a candidate, since a person has left v3
    assert command_line("models", "promote", *models, "--version", "v4").code == 0
    assert json.loads(command_line(*refit, "--json").out)["deleted"] == ["v3"]
    assert versions_of(command_line, own_models) == ["v1", "v2", "v4", "v5"]


def test_no_version_is_deleted_where_the_list_of_promoted_ones_is_damaged(
    command_line: CommandLine, own_models: Path, state: Path
) -> None:
    refit = automatic_refit(own_models, state)
    for _ in range(2):
        assert command_line(*refit).code == 0
    (own_models / "fan01/promoted").write_text("v2 x")
    outcome = json.loads(command_line(*refit, "--json").out)
    assert (outcome["in_use"], outcome["deleted"]) == (True, [])
    assert "older versions are not deleted" in outcome["notes"][-1]
    assert "promote again what is to be kept" in outcome["notes"][-1]
    assert versions_of(command_line, own_models) == ["v1", "v2", "v3", "v4"]


def test_candidates_and_versions_of_other_trainings_are_not_deleted(
    command_line: CommandLine, own_models: Path, state: Path
) -> None:
    refit = automatic_refit(own_models, state)
    for _ in range(4):
        assert command_line(*refit).code == 0
    other = {"version": "v1", "sha256": "0" * 64}
    home = own_models / "fan01"
    shutil.copytree(home / "v4", home / "v2")
    shutil.copytree(home / "v4", home / "v3")
    edit_manifest(home / "v2", lambda manifest: manifest.update(candidate=True, version="v2"))
    edit_manifest(
        home / "v3",
        lambda manifest: (
            manifest.update(version="v3"),
            manifest["commissioning"].update(first=other),
        ),
    )
    set_current(own_models, "fan01", "v5", load_bundle(own_models, "fan01", "v5").sha256)
    assert json.loads(command_line(*refit, "--json").out)["deleted"] == ["v4"]
    found = versions_of(command_line, own_models)
    assert found == ["v1", "v2", "v3", "v5", "v6"]


def test_without_live_sound_a_refit_is_refused_with_the_remedy(
    command_line: CommandLine, own_models: Path, tmp_path: Path
) -> None:
    folders = ("--models", own_models, "--state", tmp_path / "empty")
    result = command_line("models", "refit", "-m", "fan01", *folders)
    assert result.code == 1
    assert "monitor the machine for an hour" in result.message


def test_a_machine_that_has_been_off_is_no_lack_of_commissioning(
    command_line: CommandLine, own_models: Path, state: Path
) -> None:
    store = CommissioningStore(state / "commissioning/fan01")
    progress = store.progress()
    assert progress is not None
    store.begin(progress)
    result = command_line("models", "refit", "-m", "fan01", "--models", own_models,
                          "--state", state)  # fmt: skip
    assert result.code == 1
    assert "since it has been off: refit again when it has run" in result.message


def test_a_model_without_commissioning_is_to_be_trained_again(
    command_line: CommandLine, own_models: Path, tmp_path: Path
) -> None:
    edit_manifest(
        own_models / "fan01/v1", lambda manifest: manifest["commissioning"].update(days=0)
    )
    result = command_line("models", "refit", "-m", "fan01", "--models", own_models,
                          "--state", tmp_path)  # fmt: skip
    assert result.code == 1
    assert "train again with `commissioning: {days: 7}`" in result.message


def test_a_version_that_is_put_into_use_during_a_refit_stays_in_use_and_is_named(
    command_line: CommandLine, own_models: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = ("--models", own_models, "--state", state)
    assert command_line("models", "refit", "-m", "fan01", *folders).code == 0

    def refit_while_a_person_promotes(*arguments: Any, **options: Any) -> RefitResult:
        promote(own_models, "fan01", "v1")
        return refit_module.refit(*arguments, **options)

    monkeypatch.setattr(refit_run, "refit", refit_while_a_person_promotes)
    result = command_line("models", "refit", "-m", "fan01", *folders)
    assert "another version than v2 has been put into use meanwhile" in result.err
    assert current(own_models) == "v1"


def test_a_refit_of_a_commissioning_whose_live_sound_was_lost_does_not_replace_it(
    command_line: CommandLine, own_models: Path, state: Path
) -> None:
    folders = ("--models", own_models, "--state", state)
    store = CommissioningStore(state / "commissioning/fan01")
    progress, blocks, found = store.progress(), store.blocks(), store.layout()
    assert progress is not None
    assert found is not None
    key, layout = found

    def store_anew(apart_s: float) -> None:
        store.begin(progress)
        live = [
            replace(block, time_s=1.7e9 + apart_s * number) for number, block in enumerate(blocks)
        ]
        store.write(progress, live, key=key, layout=layout)

    store_anew(3600.0)
    assert command_line("models", "refit", "-m", "fan01", *folders).code == 0
    hours = load_bundle(own_models, "fan01").detector.hours
    assert hours >= len(blocks) > 3
    store_anew(60.0)
    result = command_line("models", "refit", "-m", "fan01", *folders)
    assert f"hours of sound and v2 from {hours}" in result.err
    assert "put it into use with `asd-monitor models promote" in result.out
    assert current(own_models) == "v2"
    store_anew(3600.0)
    assert command_line("models", "refit", "-m", "fan01", *folders).code == 0
    assert current(own_models) == "v4"


def test_an_exported_refit_is_refitted_with_the_first_model_that_the_remedy_copies(
    command_line: CommandLine, own_models: Path, state: Path, tmp_path: Path
) -> None:
    assert command_line("models", "refit", "-m", "fan01", "--models", own_models,
                        "--state", state).code == 0  # fmt: skip
    into = tmp_path / "other"
    export = ("models", "export", into, "--machine", "fan01", "--models", own_models)
    assert command_line(*export).code == 0
    refit = ("models", "refit", "-m", "fan01", "--models", into, "--state", state)
    result = command_line(*refit)
    assert result.code == 1
    copy, back, _ = re.findall("`asd-monitor ([^`]+)`", result.message)
    assert command_line(*copy.split(), "--models", own_models).code == 0
    assert command_line(*back.split()).code == 0
    assert current(into) == "v2"
    assert command_line(*refit).code == 0
    assert current(into) == "v3"


def test_live_sound_of_another_model_is_not_learned_from(
    command_line: CommandLine, own_models: Path, state: Path
) -> None:
    edit_manifest(own_models / "fan01/v1", lambda manifest: manifest.update(trained="again"))
    folders = ("--models", own_models, "--state", state)
    result = command_line("models", "refit", "-m", "fan01", *folders)
    assert result.code == 1
    assert "holds no live sound" in result.message


def test_a_bundle_with_a_damaged_reference_is_refused(own_models: Path) -> None:
    path = own_models / "fan01/v1/reference.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(Exception, match=r"reference\.npz was changed"):
        load_bundle(own_models, "fan01")


def test_training_begins_a_commissioning_unless_it_is_configured_otherwise(
    command_line: CommandLine, normal: Path, own_models: Path, tmp_path: Path
) -> None:
    assert load_bundle(own_models, "fan01").commissioning_days == 7
    config = tmp_path / "config.yaml"
    config.write_text("version: 1\nmachines: {fan01: {device: 'hw:1', commissioning: {days: 0}}}\n")
    train = ("train", "-m", "fan01", "-n", normal, "--models", own_models, "--config", config)
    assert command_line(*train, "--no-shipped-encoder").code == 0
    assert load_bundle(own_models, "fan01").commissioning_days == 0


async def test_the_child_refits_a_real_model_within_its_memory(
    own_models: Path, state: Path
) -> None:
    outcome = await refit_in_child("fan01", own_models, state)
    assert outcome.failure is None
    assert (outcome.version, outcome.in_use) == ("v2", True)
    assert outcome.moved is not None
    assert outcome.reason.startswith("commissioning: day 3 of 7")
    manifest = json.loads((own_models / "fan01/v2" / MANIFEST).read_text())
    assert manifest["reason"] == outcome.reason
    assert manifest["commissioning"]["automatic"] is True


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("print('asd-monitor: no live sound', file=sys.stderr); sys.exit(1)", "no live sound"),
        ("print('{}')", "the refit gave no result"),
        (
            "x = bytearray(1 << 30)",
            "the refit needs more memory than the 300 MiB that it may use (MemoryError): run "
            "`asd-monitor models refit --machine fan01 --models M --state S`",
        ),
    ],
)
async def test_a_failed_child_has_its_reason(tmp_path: Path, text: str, failure: str) -> None:
    script = tmp_path / "program.py"
    script.write_text(f"import sys, time\ntime.sleep(0.3)\n{text}")
    outcome = await refit_in_child(
        "fan01", Path("M"), Path("S"), program=(sys.executable, str(script))
    )
    assert outcome.failure is not None
    assert failure in outcome.failure
    assert outcome.version is None


def test_the_manifest_of_a_refit_has_what_other_commands_read(
    command_line: CommandLine, own_models: Path, state: Path, tmp_path: Path
) -> None:
    folders = ("--models", own_models, "--state", state)
    assert command_line("models", "refit", "-m", "fan01", *folders).code == 0
    into = tmp_path / "other"
    export = ("models", "export", into, "-m", "fan01", "--models", own_models)
    assert command_line(*export).code == 0
    assert read_manifest(into / "fan01/v2")["reason"].startswith("commissioning")
    assert (into / "fan01/v2/reference.npz").exists()
