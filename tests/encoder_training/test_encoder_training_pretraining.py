"""Pretraining: status, resumption, and checkpoints that cannot be used."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from asd_monitor.encoder_training.checkpoints import CHECKPOINT, load_checkpoint
from asd_monitor.encoder_training.instance_pool import TrainingSounds
from asd_monitor.encoder_training.network import Layer
from asd_monitor.encoder_training.pretraining import (
    Intervals,
    PretrainedNetwork,
    PretrainingStatus,
    pretrain,
)
from asd_monitor.encoder_training.pretraining_choices import HighBand, SoundSource
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.model_store import atomic_files
from tests.doubles.synthetic_pools import (
    SYNTHETIC,
    SyntheticFeed,
    held_out_instances,
    small_config,
    small_layers,
)

TOTAL = 8
INTERVALS = Intervals(status=2, validation=4, checkpoint=3)
OnStatus = Callable[[PretrainingStatus], None]


def run(folder: Path, on_status: OnStatus = lambda _: None, **changes: Any) -> PretrainedNetwork:
    """Train in small batches; changes are of the settings, but for some named here."""
    folder.mkdir(exist_ok=True)
    total = changes.pop("total", TOTAL)
    sounds = changes.pop("sounds", SYNTHETIC)
    clock = {"clock": changes.pop("clock")} if "clock" in changes else {}
    return pretrain(
        sounds,
        small_config(**{"lengths": (31,), "instances": 2, "layers": small_layers(), **changes}),
        total,
        folder,
        on_status,
        feed=SyntheticFeed,
        held_out=held_out_instances(),
        intervals=INTERVALS,
        **clock,
    )


def interrupt_at(step: int) -> OnStatus:
    def on_status(status: PretrainingStatus) -> None:
        if status.step == step:
            raise KeyboardInterrupt

    return on_status


def weights(trained: PretrainedNetwork) -> dict[str, "torch.Tensor"]:
    return dict(trained.network.state_dict())


def test_the_status_reports_step_loss_speed_and_auc(tmp_path: Path) -> None:
    reported: list[PretrainingStatus] = []
    trained = run(tmp_path, reported.append)
    assert [(status.step, status.total) for status in reported] == [(k, 8) for k in (2, 4, 6, 8)]
    assert all(status.sound_s_per_s > 0 and status.loss > 0 for status in reported)
    assert [step for step, _ in trained.auc_history] == [0, 4, 8]
    assert all(0 <= auc <= 1 for _, by_layer in trained.auc_history for auc in by_layer)
    assert reported[-1].auc == trained.auc_history[-1][1]
    assert not trained.network.training


def test_the_reported_speed_is_in_seconds_of_sound(tmp_path: Path) -> None:
    """By a clock that advances by one second at each reading."""
    reported: list[PretrainingStatus] = []
    clock = map(float, itertools.count()).__next__
    run(tmp_path, reported.append, lengths=(50,), instances=3, clock=clock)
    windows = 3 * (2 + 2 * 1)  # of a step: two without a fault and two with one
    assert reported[0].sound_s_per_s == pytest.approx(2 * windows * 50 * 0.032 / 2)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> PretrainedNetwork:
    return run(tmp_path_factory.mktemp("uninterrupted"))


@pytest.mark.parametrize("interrupted", [2, 4, 8])
def test_an_interrupted_training_resumes_to_the_same_weights(
    uninterrupted: PretrainedNetwork, tmp_path: Path, interrupted: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, interrupt_at(interrupted))
    reported: list[PretrainingStatus] = []
    resumed = run(tmp_path, reported.append)
    assert reported[0].step > 3 * (interrupted > 3), "it resumes at the last checkpoint"
    assert weights(resumed).keys() == weights(uninterrupted).keys()
    for name, weight in weights(uninterrupted).items():
        assert torch.equal(weights(resumed)[name], weight), name
    assert resumed.auc_history == uninterrupted.auc_history


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    first = run(tmp_path, total=3)
    reported: list[PretrainingStatus] = []
    again = run(tmp_path, reported.append, total=3)
    assert not reported
    assert all(torch.equal(weights(again)[name], w) for name, w in weights(first).items())
    assert (again.auc_history, again.seconds) == (first.auc_history, first.seconds)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The checkpoint of a training that was interrupted after step 4."""
    folder = tmp_path_factory.mktemp("saved")
    with pytest.raises(KeyboardInterrupt):
        run(folder, interrupt_at(4))
    return (folder / CHECKPOINT).read_bytes()


@pytest.fixture
def folder(saved: bytes, tmp_path: Path) -> Path:
    """The folder of that training."""
    (tmp_path / CHECKPOINT).write_bytes(saved)
    return tmp_path


def test_a_checkpoint_has_the_keys_of_earlier_versions(folder: Path) -> None:
    state = torch.load(folder / CHECKPOINT, weights_only=True)
    assert set(state) == {"identity", "step", "seconds", "trainee", "optimiser", "tried"}
    assert set(state["identity"]) == {
        "recipe",
        "steps",
        "supply",
        "recorded_backgrounds",
        "seed",
        "sounds",
        "noises",
    }
    assert state["identity"]["supply"] == "made"
    assert {name.split(".")[0] for name in state["trainee"]} == {"network", "heads"}
    assert "heads.0.normal.weight" in state["trainee"]
    assert "network.blocks.1.2.weight" in state["trainee"]


def test_a_full_disk_is_reported_and_leaves_the_last_checkpoint(
    folder: Path, saved: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        path.write_bytes(data[:100])
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(atomic_files, "write_durably", full)
    with pytest.raises(OperationError, match=r"cannot be written \(No space left.*--output"):
        run(folder)
    assert (folder / CHECKPOINT).read_bytes() == saved
    assert [path.name for path in folder.iterdir()] == [CHECKPOINT]


def sounds(**changes: Any) -> TrainingSounds:
    given = {"seed": 3, "recordings": (), "noise": (), "source": SoundSource.SYNTHETIC}
    return TrainingSounds(**(given | {"recorded_backgrounds": 0.0} | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "differing"),
    [
        ({"layers": (Layer((6, 6), (4, 2), 8), Layer((3, 3), (1, 2), 16)), "taps": (1,)}, "recipe"),
        ({"seed": 7}, "recipe"),
        ({"high_band": HighBand.MIX}, "recipe"),
        ({"total": 9}, "steps"),
        ({"sounds": sounds(recordings=(Path(__file__),))}, "sounds"),
        ({"sounds": sounds(noise=(Path(__file__),))}, "noises"),
        ({"sounds": sounds(seed=4)}, "seed"),
        ({"sounds": sounds(source=SoundSource.BOTH)}, "supply"),
        ({"sounds": sounds(recorded_backgrounds=0.4)}, "recorded_backgrounds"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_the_checkpoint_of_another_training_is_refused(
    folder: Path, saved: bytes, changes: dict[str, Any], differing: str
) -> None:
    remedy = rf"another training \({differing} differ\): give the same options.*--output.*delete it"
    with pytest.raises(UsageError, match=remedy):
        run(folder, **changes)
    assert (folder / CHECKPOINT).read_bytes() == saved


def test_a_recording_whose_content_changed_is_another_one(tmp_path: Path) -> None:
    recording = tmp_path / "1.wav"
    recording.write_bytes(b"before")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "out", interrupt_at(4), sounds=sounds(recordings=(recording,)))
    recording.write_bytes(b"after")
    with pytest.raises(UsageError, match=r"another training \(sounds differ\)"):
        run(tmp_path / "out", sounds=sounds(recordings=(recording,)))


class TouchesFile:
    """Creates a file when it is unpickled by code that it names."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    match how:
        case "truncated":
            path.write_bytes(content[: len(content) // 2])
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("no checkpoint")
        case "inverted bytes":
            middle = len(content) // 2  # within the weights
            path.write_bytes(
                content[:middle]
                + bytes(255 - b for b in content[middle:])[:64]
                + content[middle + 64 :]
            )
        case "list":
            torch.save([1, 2], path)
        case "other keys":
            torch.save({"model": {}}, path)
        case "identity of another type":
            torch.save({"identity": 3}, path)
        case "code":
            torch.save({"identity": TouchesFile(path.with_name("executed"))}, path)


@pytest.mark.parametrize(
    "how",
    [
        *("truncated", "empty", "text", "inverted bytes"),
        *("list", "other keys", "identity of another type", "code"),
    ],
)
def test_a_damaged_checkpoint_is_reported_with_the_remedy(folder: Path, how: str) -> None:
    damage(folder / CHECKPOINT, how)
    with pytest.raises(OperationError, match=r"checkpoint.pt: not a checkpoint.*delete it to beg"):
        load_checkpoint(folder, {})
    assert not (folder / "executed").exists()


def test_a_deleted_checkpoint_begins_anew(folder: Path) -> None:
    (folder / CHECKPOINT).unlink()
    assert load_checkpoint(folder, {}) is None


def test_a_checkpoint_that_is_a_folder_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).mkdir()
    with pytest.raises(OperationError, match=r"checkpoint.pt: cannot be read .*--output"):
        load_checkpoint(tmp_path, {})
