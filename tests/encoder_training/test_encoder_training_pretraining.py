"""Pretraining: going on where it was, and checkpoints that cannot be used."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from asd_monitor.encoder_training import pretraining as pretrain_module
from asd_monitor.encoder_training.augmentation import HighBand
from asd_monitor.encoder_training.batch_feed import Sources
from asd_monitor.encoder_training.checkpoints import CHECKPOINT
from asd_monitor.encoder_training.network import Layer
from asd_monitor.encoder_training.pool import Pool, Supply
from asd_monitor.encoder_training.pretraining import (
    Standing,
    Trained,
    pretrain,
)
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.model_store import atomic_files
from tests.doubles.synthetic_pools import MADE, MadeFeed, small_recipe, synthetic_pool


@pytest.fixture(scope="module")
def small() -> Iterator[None]:
    """Checkpoints after steps 3 and 6, trials after 4 and 8."""
    held_out = Pool(synthetic_pool().instances[-2:], synthetic_pool().backgrounds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretrain_module, "Feed", MadeFeed)
        patch.setattr(pretrain_module, "held_out_pool", lambda *_: held_out)
        for name, value in (("KEEP_EVERY", 3), ("TRY_EVERY", 4), ("TELL_EVERY", 2)):
            patch.setattr(pretrain_module, name, value)
        yield


TOTAL = 8


def run(folder: Path, tell: Callable[[Standing], None] = lambda _: None, **changes: Any) -> Trained:
    """Train; what is not of the sources is of the recipe."""
    folder.mkdir(exist_ok=True)
    total = changes.pop("total", TOTAL)
    sources = changes.pop("sources", MADE)
    return pretrain(sources, small_recipe(**changes), total, folder, tell)


def stop_at(step: int) -> Callable[[Standing], None]:
    def tell(standing: Standing) -> None:
        if standing.step == step:
            raise KeyboardInterrupt

    return tell


def weights(trained: Trained) -> dict[str, "torch.Tensor"]:
    return dict(trained.network.state_dict())


def test_it_tells_how_far_it_is(small: None, tmp_path: Path) -> None:
    told: list[Standing] = []
    trained = run(tmp_path, told.append)
    assert [(standing.step, standing.total) for standing in told] == [(k, 8) for k in (2, 4, 6, 8)]
    assert all(standing.sound_s_per_s > 0 and standing.loss > 0 for standing in told)
    assert [step for step, _ in trained.tried] == [0, 4, 8]
    assert all(0 <= area <= 1 for _, areas in trained.tried for area in areas)
    assert told[-1].areas == trained.tried[-1][1]
    assert not trained.network.training


def test_the_reported_speed_is_in_seconds_of_sound(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that advances by one second at each reading."""
    monkeypatch.setattr(pretrain_module.time, "monotonic", itertools.count().__next__)
    told: list[Standing] = []
    run(tmp_path, told.append, lengths=(50,), instances=3)
    windows = 3 * (2 + 2 * 1)  # per step: two reference windows and two with a fault
    assert told[0].sound_s_per_s == pytest.approx(2 * windows * 50 * 0.032 / 2)


@pytest.fixture(scope="module")
def through(small: None, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """What comes out when nothing comes between."""
    return run(tmp_path_factory.mktemp("through"))


@pytest.mark.parametrize("stopped", [2, 4, 8])
def test_interrupted_and_started_again_gives_the_same_weights(
    through: Trained, tmp_path: Path, stopped: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", stop_at(stopped))
    told: list[Standing] = []
    resumed = run(tmp_path / "parts", told.append)
    assert told[0].step > 3 * (stopped > 3)  # it went on, and did not begin anew
    assert weights(resumed).keys() == weights(through).keys()
    for name, weight in weights(through).items():
        assert torch.equal(weights(resumed)[name], weight), name
    assert resumed.tried == through.tried


def test_what_is_done_is_not_done_again(small: None, tmp_path: Path) -> None:
    first = run(tmp_path)
    told: list[Standing] = []
    again = run(tmp_path, told.append)
    assert not told
    assert all(torch.equal(weights(again)[name], w) for name, w in weights(first).items())
    assert (again.tried, again.seconds) == (first.tried, first.seconds)


def test_a_full_disk_is_told_of_and_leaves_the_last_checkpoint(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_at(4))
    kept = (tmp_path / CHECKPOINT).read_bytes()

    def full(path: Path, data: bytes) -> None:
        path.write_bytes(data[:100])
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(atomic_files, "write_durably", full)
        with pytest.raises(OperationError, match=r"cannot be written \(No space left.*--output"):
            run(tmp_path)
    assert (tmp_path / CHECKPOINT).read_bytes() == kept
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]
    run(tmp_path)


@pytest.mark.parametrize(
    ("changes", "differing"),
    [
        ({"layers": (Layer((6, 6), (4, 2), 8), Layer((3, 3), (1, 2), 16))}, "recipe"),
        ({"seed": 7}, "recipe"),
        ({"high_band": HighBand.MIX}, "recipe"),
        ({"total": 9}, "steps"),
        ({"sources": Sources(3, (Path(__file__),), (), Supply.MADE, 0.0)}, "sounds"),
        ({"sources": Sources(3, (), (Path(__file__),), Supply.MADE, 0.0)}, "noises"),
        ({"sources": Sources(4, (), (), Supply.MADE, 0.0)}, "seed"),
        ({"sources": Sources(3, (), (), Supply.BOTH, 0.0)}, "supply"),
        ({"sources": Sources(3, (), (), Supply.MADE, 0.4)}, "recorded_backgrounds"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_the_checkpoint_of_another_training_is_refused(
    small: None, tmp_path: Path, changes: dict[str, Any], differing: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_at(4))
    kept = (tmp_path / CHECKPOINT).read_bytes()
    if "layers" in changes:
        changes = changes | {"taps": (1,)}
    remedy = rf"another training \({differing} differ\): give the same options.*--output.*delete it"
    with pytest.raises(UsageError, match=remedy):
        run(tmp_path, **changes)
    assert (tmp_path / CHECKPOINT).read_bytes() == kept


def test_a_recording_that_was_changed_is_another_one(small: None, tmp_path: Path) -> None:
    sound = tmp_path / "1.wav"
    sound.write_bytes(b"before")
    sources = Sources(3, (sound,), (), Supply.MADE, 0.0)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "out", stop_at(4), sources=sources)
    sound.write_bytes(b"after")
    with pytest.raises(UsageError, match=r"another training \(sounds differ\)"):
        run(tmp_path / "out", sources=sources)


class Running:
    """What is called when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


def damaged(path: Path, how: str) -> None:
    content = path.read_bytes()
    match how:
        case "cut":
            path.write_bytes(content[: len(content) // 2])
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("no checkpoint")
        case "flipped":
            middle = len(content) // 2  # among the weights
            path.write_bytes(
                content[:middle]
                + bytes(255 - b for b in content[middle:])[:64]
                + content[middle + 64 :]
            )
        case "list":
            torch.save([1, 2], path)
        case "other":
            torch.save({"model": {}}, path)
        case "strange":
            torch.save({"identity": 3}, path)
        case "code":
            torch.save({"identity": Running(path.with_name("it ran"))}, path)


@pytest.mark.parametrize(
    "how", ["cut", "empty", "text", "flipped", "list", "other", "strange", "code"]
)
def test_a_damaged_checkpoint_is_told_of_with_the_mend(
    small: None, tmp_path: Path, how: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_at(4))
    damaged(tmp_path / CHECKPOINT, how)
    with pytest.raises(OperationError, match=r"checkpoint.pt: not a checkpoint.*delete it to beg"):
        run(tmp_path)
    assert not (tmp_path / "it ran").exists()
    (tmp_path / CHECKPOINT).unlink()
    assert run(tmp_path).total == TOTAL


def test_a_checkpoint_that_is_a_folder_cannot_be_read(small: None, tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).mkdir()
    with pytest.raises(OperationError, match=r"checkpoint.pt: cannot be read .*--output"):
        run(tmp_path)
