"""Which model a machine uses after a reload: bundles on disk, real and damaged."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from asd_monitor.config.settings import MachineDefaults
from asd_monitor.daemon.evaluator import Evaluator
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.store import Journal
from asd_monitor.model_store.bundle import save_bundle
from asd_monitor.model_store.manifest import ARRAYS
from tests.doubles.bundle_files import edit_manifest, write_arrays, write_manifest_text
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
    before, monitor = evaluator.bundle, evaluator.monitor
    assert not evaluator.load_model()  # unchanged
    (models / "fan").rename(models / "removed")
    assert save_bundle(models, "fan", plain_detector(), {"trained": "again"}, {}) == "v1"
    assert evaluator.load_model()
    assert evaluator.bundle is not before
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
    before, monitor = evaluator.bundle, evaluator.monitor
    version = save_bundle(models, "fan", plain_detector(), {}, {})
    damage(models / "fan" / version)
    assert not evaluator.load_model()
    assert (evaluator.bundle, evaluator.monitor) == (before, monitor)
    assert evaluator.model_notice is not None
    assert evaluator.model_notice.startswith("the new model is not used, v1 remains in use: ")
