"""Which version is in use after `models refit`: candidates, promotion, return to an earlier one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asd_monitor.commissioning.store import CommissioningStore
from asd_monitor.model_store.bundle import load_bundle
from asd_monitor.model_store.catalogue import promote
from asd_monitor.model_training import refit as refit_module
from asd_monitor.model_training import refit_run
from asd_monitor.model_training.refit import RefitResult
from tests.doubles.bundle_files import edit_manifest
from tests.doubles.command_line import CommandLine
from tests.doubles.model_versions import current, version_rows


@pytest.fixture
def promoted_candidate(
    command_line: CommandLine, own_models: Path, commissioned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Put v2 into use, a refit that is a candidate since it moved far."""
    models = ("-m", "fan01", "--models", own_models)
    with monkeypatch.context() as moved_far:
        moved_far.setattr(refit_module, "MAX_MOVED", -1.0)
        assert (
            command_line("models", "refit", "--automatic", *models, "--state", commissioned).code
            == 0
        )
    assert command_line("models", "promote", *models, "--version", "v2").code == 0


def test_a_refit_that_moved_far_is_a_candidate_that_a_person_promotes(
    command_line: CommandLine, own_models: Path, commissioned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refit_module, "MAX_MOVED", -1.0)
    folders = ("--models", own_models, "--state", commissioned)
    result = command_line("models", "refit", "--automatic", "-m", "fan01", *folders)
    assert result.code == 0, result.err
    assert "promote fan01 v2" in result.out
    assert "a person must decide" in result.err
    assert current(own_models) == "v1"
    assert version_rows(command_line, own_models)[1]["candidate"]
    assert "candidate" in command_line("models", "list", "--models", own_models).out
    show = ("models", "show", "-m", "fan01", "--version", "v2", "--models", own_models)
    assert "a candidate: a person decides on its use" in command_line(*show).out
    promote = ("models", "promote", "-m", "fan01", "--version", "v2", "--models", own_models)
    assert command_line(*promote).code == 0
    assert current(own_models) == "v2"
    assert "a candidate: put into use by a person" in command_line(*show).out


@pytest.mark.usefixtures("promoted_candidate")
def test_rollback_returns_to_a_candidate_that_a_person_has_put_into_use_and_not_left(
    command_line: CommandLine, own_models: Path, commissioned: Path
) -> None:
    models = ("-m", "fan01", "--models", own_models)
    refit = ("models", "refit", "--automatic", *models, "--state", commissioned)
    assert command_line(*refit).code == 0
    assert current(own_models) == "v3"
    for version in ("v2", "v1"):
        assert command_line("models", "rollback", *models).code == 0
        assert current(own_models) == version
    assert command_line("models", "promote", *models, "--version", "v3").code == 0
    assert command_line("models", "rollback", *models).code == 0
    assert current(own_models) == "v1"  # v2 has been left for it


@pytest.mark.usefixtures("promoted_candidate")
def test_a_refit_does_not_replace_the_version_for_which_a_person_has_left_a_candidate(
    command_line: CommandLine, own_models: Path, commissioned: Path
) -> None:
    models = ("-m", "fan01", "--models", own_models)
    refit = ("models", "refit", "--automatic", *models, "--state", commissioned)
    assert command_line("models", "rollback", *models).code == 0
    result = command_line(*refit)
    assert "a person has returned from v2 to v1" in result.err
    assert current(own_models) == "v1"


def test_rollback_passes_over_candidates_and_holds_back_the_refits_after_it(
    command_line: CommandLine, own_models: Path, commissioned: Path
) -> None:
    folders = ("--models", own_models, "--state", commissioned)
    for _ in range(2):
        assert command_line("models", "refit", "--automatic", "-m", "fan01", *folders).code == 0
    edit_manifest(own_models / "fan01/v2", lambda manifest: manifest.update(candidate=True))
    promote = ("models", "promote", "-m", "fan01", "--version", "v3", "--models", own_models)
    assert command_line(*promote).code == 0
    assert command_line("models", "rollback", "-m", "fan01", "--models", own_models).code == 0
    assert current(own_models) == "v1"
    result = command_line("models", "refit", "--automatic", "-m", "fan01", *folders)
    assert "a person has returned from v3 to v1" in result.err
    assert current(own_models) == "v1"


def test_a_version_that_is_put_into_use_during_a_refit_stays_in_use_and_is_named(
    command_line: CommandLine, own_models: Path, commissioned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = ("--models", own_models, "--state", commissioned)
    assert command_line("models", "refit", "--automatic", "-m", "fan01", *folders).code == 0

    def refit_while_a_person_promotes(*arguments: Any, **options: Any) -> RefitResult:
        promote(own_models, "fan01", "v1")
        return refit_module.refit(*arguments, **options)

    monkeypatch.setattr(refit_run, "refit", refit_while_a_person_promotes)
    result = command_line("models", "refit", "--automatic", "-m", "fan01", *folders)
    assert "another version than v2 has been put into use meanwhile" in result.err
    assert current(own_models) == "v1"


def test_a_refit_of_a_commissioning_whose_live_sound_was_lost_does_not_replace_it(
    command_line: CommandLine, own_models: Path, commissioned: Path
) -> None:
    folders = ("--models", own_models, "--state", commissioned)
    store = CommissioningStore(commissioned / "commissioning/fan01")
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
    assert command_line("models", "refit", "--automatic", "-m", "fan01", *folders).code == 0
    hours = load_bundle(own_models, "fan01").detector.hours
    assert hours >= len(blocks) > 3
    store_anew(60.0)
    result = command_line("models", "refit", "--automatic", "-m", "fan01", *folders)
    assert f"hours of sound and v2 from {hours}" in result.err
    assert "put it into use with `asd-monitor models promote" in result.out
    assert current(own_models) == "v2"
    store_anew(3600.0)
    assert command_line("models", "refit", "--automatic", "-m", "fan01", *folders).code == 0
    assert current(own_models) == "v4"
