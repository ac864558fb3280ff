"""Which model a machine uses after a reload: bundles on disk, real and damaged."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from asd_monitor.config.machine_settings import MachineDefaults
from asd_monitor.daemon.evaluator import Evaluator
from asd_monitor.daemon.model_in_use import ModelInUse
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.store import Journal
from asd_monitor.model_store.bundle import save_bundle
from asd_monitor.model_store.manifest import ARRAYS
from tests.doubles.bundle_files import edit_manifest, write_arrays, write_manifest_text
from tests.doubles.command_line import without_privileges
from tests.doubles.encoder_detector import plain_detector


@pytest.fixture
def models(tmp_path: Path) -> Path:
    save_bundle(tmp_path / "models", "fan", plain_detector(), {"trained": "first"}, {})
    return tmp_path / "models"


@pytest.fixture
def evaluator(models: Path, tmp_path: Path) -> Iterator[Evaluator]:
    with Journal(tmp_path / "state") as opened:
        journal = MachineJournal(opened, "fan")
        loading = Evaluator("fan", MachineDefaults(), models, journal, lambda _: datetime.now(UTC))
        assert loading.load_model()
        yield loading


def test_a_model_trained_again_under_the_same_name_is_loaded(
    evaluator: Evaluator, models: Path
) -> None:
    before, monitor = evaluator.model.bundle, evaluator.monitor
    assert not evaluator.load_model()  # unchanged
    (models / "fan").rename(models / "removed")
    assert save_bundle(models, "fan", plain_detector(), {"trained": "again"}, {}) == "v1"
    assert evaluator.load_model()
    assert evaluator.model.bundle is not before
    assert evaluator.monitor is not monitor


def _overflow(folder: Path) -> None:
    edit_manifest(folder, lambda manifest: manifest.update(idle_dbfs=[10**400, 0]))


def _recursion(folder: Path) -> None:
    write_manifest_text(folder, '{"format": 7, "x": ' + "[" * 100_000 + "]" * 100_000 + "}")


def _no_archive(folder: Path) -> None:
    write_arrays(folder, (folder / ARRAYS).read_bytes()[:-100])


def _directory(folder: Path) -> None:
    (folder / ARRAYS).unlink()
    (folder / ARRAYS).mkdir()


@pytest.mark.parametrize("damage", [_overflow, _recursion, _no_archive, _directory])
def test_the_model_in_use_stays_whatever_is_wrong_with_a_new_one(
    evaluator: Evaluator, models: Path, damage: Callable[[Path], None]
) -> None:
    before, monitor = evaluator.model.bundle, evaluator.monitor
    version = save_bundle(models, "fan", plain_detector(), {}, {})
    damage(models / "fan" / version)
    assert not evaluator.load_model()
    assert (evaluator.model.bundle, evaluator.monitor) == (before, monitor)
    assert evaluator.model.notice is not None
    assert evaluator.model.notice.startswith("the new model is not used, v1 remains in use: ")


def _flip_current(models: Path) -> None:
    path = models / "fan" / "current"
    path.write_bytes(path.read_bytes().replace(b" ", b"!"))


def _cut_arrays(models: Path) -> None:
    path = models / "fan" / "v2" / ARRAYS
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(("damage", "used"), [(_flip_current, "v2"), (_cut_arrays, "v1")])
def test_a_start_with_a_damaged_model_uses_the_last_good_one(
    models: Path, tmp_path: Path, damage: Callable[[Path], None], used: str
) -> None:
    save_bundle(models, "fan", plain_detector(), {"trained": "second"}, {})
    damage(models)
    with Journal(tmp_path / "state") as opened:
        journal = MachineJournal(opened, "fan")
        evaluator = Evaluator(
            "fan", MachineDefaults(), models, journal, lambda _: datetime.now(UTC)
        )
        assert evaluator.load_model()
        assert (evaluator.model.version, evaluator.model.missing_reason) == (used, None)
        notice = evaluator.model.notice or ""
        assert notice.startswith(f"{used} is used in place of the model in use: ")
        assert "asd-monitor models" in notice
        before = evaluator.model.bundle
        assert not evaluator.load_model()  # a reload that finds the same damage
        assert evaluator.model.bundle is before
        version = save_bundle(models, "fan", plain_detector(), {"trained": "third"}, {})
        assert evaluator.load_model()
        assert (evaluator.model.version, evaluator.model.notice) == (version, None)


def test_damage_that_begins_while_the_daemon_runs_is_reported(
    evaluator: Evaluator, models: Path
) -> None:
    before = evaluator.model.bundle
    _flip_current(models)
    assert not evaluator.load_model()
    assert evaluator.model.bundle is before
    assert evaluator.model.notice is not None
    assert "v1 remains in use" in evaluator.model.notice


def test_a_machine_whose_model_may_not_be_read_is_not_trained_anew(open_folder: Path) -> None:
    save_bundle(open_folder, "fan", plain_detector(), {}, {})
    (open_folder / "fan/v1").chmod(0)
    model = ModelInUse("fan", MachineDefaults(), open_folder)
    with without_privileges():
        model.load()
    assert "no permission" in str(model.missing_reason)
    assert not model.untrained
