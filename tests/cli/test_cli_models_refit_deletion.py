"""Which refits `models refit` deletes as superseded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from asd_monitor.journal.store import Journal
from asd_monitor.model_store.bundle import load_bundle
from asd_monitor.model_store.versions import set_current
from tests.doubles.bundle_files import edit_manifest
from tests.doubles.command_line import CommandLine
from tests.doubles.model_versions import current, versions_of


def automatic_refit(models: Path, state: Path) -> tuple[object, ...]:
    """Return the command line by which the daemon refits."""
    return "models", "refit", "-m", "fan01", "--models", models, "--state", state, "--automatic"


def test_a_refit_in_use_deletes_those_before_the_one_that_it_replaces(
    command_line: CommandLine, own_models: Path, commissioned: Path
) -> None:
    refit = automatic_refit(own_models, commissioned)
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
    command_line: CommandLine, own_models: Path, commissioned: Path
) -> None:
    refit = automatic_refit(own_models, commissioned)
    Journal(commissioned).close()
    result = command_line(*refit[:-1], "--promote")
    assert result.code == 0, result.err
    assert current(own_models) == "v2"
    for _ in range(2):
        assert command_line(*refit).code == 0
    assert json.loads(command_line(*refit, "--json").out)["deleted"] == ["v3"]
    assert versions_of(command_line, own_models) == ["v1", "v2", "v4", "v5"]


@pytest.mark.parametrize(
    "choice", [("promote", "--version", "v2"), ("rollback",)], ids=["promoted", "rolled back"]
)
def test_a_version_that_a_person_has_put_into_use_is_not_deleted(
    command_line: CommandLine, own_models: Path, commissioned: Path, choice: tuple[str, ...]
) -> None:
    refit = automatic_refit(own_models, commissioned)
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
    command_line: CommandLine, own_models: Path, commissioned: Path
) -> None:
    refit = automatic_refit(own_models, commissioned)
    for _ in range(2):
        assert command_line(*refit).code == 0
    (own_models / "fan01/promoted").write_text("v2 x")
    outcome = json.loads(command_line(*refit, "--json").out)
    assert (outcome["in_use"], outcome["deleted"]) == (True, [])
    assert "older versions are not deleted" in outcome["notes"][-1]
    assert "promote again what is to be kept" in outcome["notes"][-1]
    assert versions_of(command_line, own_models) == ["v1", "v2", "v3", "v4"]


def test_candidates_and_versions_of_other_trainings_are_not_deleted(
    command_line: CommandLine, own_models: Path, commissioned: Path
) -> None:
    refit = automatic_refit(own_models, commissioned)
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
