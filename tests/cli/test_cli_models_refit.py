"""`models refit`: the new version, and the refusals with their remedies."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from asd_monitor.commissioning.store import CommissioningStore
from asd_monitor.model_store.bundle import load_bundle
from tests.doubles.bundle_files import edit_manifest, read_manifest
from tests.doubles.command_line import CommandLine
from tests.doubles.model_versions import current, version_rows


def test_a_refit_is_a_new_version_in_use_with_its_reason(
    command_line: CommandLine, own_models: Path, commissioned: Path
) -> None:
    folders = ("--models", own_models, "--state", commissioned)
    result = command_line("models", "refit", "--automatic", "-m", "fan01", *folders, "--json")
    assert result.code == 0, result.err
    outcome = json.loads(result.out)
    assert (outcome["version"], outcome["in_use"]) == ("v2", True)
    assert outcome["reason"] == f"commissioning: day 3 of 7, {outcome['blocks']} blocks"
    assert current(own_models) == "v2"
    first, second = version_rows(command_line, own_models)
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

    result = command_line(
        "models", "refit", "--automatic", "-m", "fan01", *folders
    )  # a refit of the refit
    assert result.code == 0, result.err
    assert "fan01 uses v3" in result.out
    assert load_bundle(own_models, "fan01").first.version == "v1"


def test_without_live_sound_a_refit_is_refused_with_the_remedy(
    command_line: CommandLine, own_models: Path, tmp_path: Path
) -> None:
    folders = ("--models", own_models, "--state", tmp_path / "empty")
    result = command_line("models", "refit", "--automatic", "-m", "fan01", *folders)
    assert result.code == 1
    assert "monitor the machine for an hour" in result.message


def test_a_machine_that_has_been_off_is_no_lack_of_commissioning(
    command_line: CommandLine, own_models: Path, commissioned: Path
) -> None:
    store = CommissioningStore(commissioned / "commissioning/fan01")
    progress = store.progress()
    assert progress is not None
    store.begin(progress)
    result = command_line("models", "refit", "--automatic", "-m", "fan01", "--models", own_models,
                          "--state", commissioned)  # fmt: skip
    assert result.code == 1
    assert "since it has been off: refit again when it has run" in result.message


def test_a_model_without_commissioning_is_to_be_trained_again(
    command_line: CommandLine, own_models: Path, tmp_path: Path
) -> None:
    edit_manifest(
        own_models / "fan01/v1", lambda manifest: manifest["commissioning"].update(days=0)
    )
    result = command_line("models", "refit", "--automatic", "-m", "fan01", "--models", own_models,
                          "--state", tmp_path)  # fmt: skip
    assert result.code == 1
    assert "train again with `commissioning: {days: 7}`" in result.message


def test_an_exported_refit_is_refitted_with_the_first_model_that_the_remedy_copies(
    command_line: CommandLine, own_models: Path, commissioned: Path, tmp_path: Path
) -> None:
    assert command_line("models", "refit", "--automatic", "-m", "fan01", "--models", own_models,
                        "--state", commissioned).code == 0  # fmt: skip
    into = tmp_path / "other"
    export = ("models", "export", into, "--machine", "fan01", "--models", own_models)
    assert command_line(*export).code == 0
    refit = (
        "models",
        "refit",
        "--automatic",
        "-m",
        "fan01",
        "--models",
        into,
        "--state",
        commissioned,
    )
    result = command_line(*refit)
    assert result.code == 1
    copy, back, _ = re.findall("`asd-monitor ([^`]+)`", result.message)
    assert command_line(*copy.split(), "--models", own_models).code == 0
    assert command_line(*back.split()).code == 0
    assert current(into) == "v2"
    assert command_line(*refit).code == 0
    assert current(into) == "v3"


def test_live_sound_of_another_model_is_not_learned_from(
    command_line: CommandLine, own_models: Path, commissioned: Path
) -> None:
    edit_manifest(own_models / "fan01/v1", lambda manifest: manifest.update(trained="again"))
    folders = ("--models", own_models, "--state", commissioned)
    result = command_line("models", "refit", "--automatic", "-m", "fan01", *folders)
    assert result.code == 1
    assert "holds no live sound" in result.message


def test_a_bundle_with_a_damaged_reference_is_refused(own_models: Path) -> None:
    path = own_models / "fan01/v1/reference.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(Exception, match=r"reference\.npz was changed"):
        load_bundle(own_models, "fan01")


@pytest.mark.usefixtures("unmeasured")
def test_training_begins_a_commissioning_unless_it_is_configured_otherwise(
    command_line: CommandLine, normal: Path, own_models: Path, tmp_path: Path
) -> None:
    assert load_bundle(own_models, "fan01").commissioning_days == 7
    config = tmp_path / "config.yaml"
    config.write_text("version: 1\nmachines: {fan01: {device: 'hw:1', commissioning: {days: 0}}}\n")
    train = ("train", "-m", "fan01", "-n", normal, "--models", own_models, "--config", config)
    assert command_line(*train, "--no-shipped-encoder").code == 0
    assert load_bundle(own_models, "fan01").commissioning_days == 0


def test_the_manifest_of_a_refit_has_what_other_commands_read(
    command_line: CommandLine, own_models: Path, commissioned: Path, tmp_path: Path
) -> None:
    folders = ("--models", own_models, "--state", commissioned)
    assert command_line("models", "refit", "--automatic", "-m", "fan01", *folders).code == 0
    into = tmp_path / "other"
    export = ("models", "export", into, "-m", "fan01", "--models", own_models)
    assert command_line(*export).code == 0
    assert read_manifest(into / "fan01/v2")["reason"].startswith("commissioning")
    assert (into / "fan01/v2/reference.npz").exists()
