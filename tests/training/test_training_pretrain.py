"""Training the encoder: batches, steps, and going on where it was."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_pools import MADE, SMALL, MadeFeed, made_pool, pool_at

torch = pytest.importorskip("torch")

from asd_monitor.detector import durable  # noqa: E402 - needs torch
from asd_monitor.errors import OperationError, UsageError  # noqa: E402 - needs torch
from asd_monitor.training import pretraining  # noqa: E402 - needs torch
from asd_monitor.training.augment import HighBand  # noqa: E402 - needs torch
from asd_monitor.training.feed import Sources  # noqa: E402 - needs torch
from asd_monitor.training.network import Layer  # noqa: E402 - needs torch
from asd_monitor.training.pool import Pool, Supply  # noqa: E402 - needs torch
from asd_monitor.training.pretrain import (  # noqa: E402 - needs torch
    Recipe,
    Trainee,
    batch_of,
    cut,
    loudness_db,
    normalised,
    steps,
)
from asd_monitor.training.pretraining import (  # noqa: E402 - needs torch
    CHECKPOINT,
    Standing,
    Trained,
    pretrain,
)

Batch = list[tuple["torch.Tensor", "torch.Tensor"]]


def recipe(**changes: Any) -> Recipe:
    return Recipe(**(SMALL | changes))


def batch(seed: int, **changes: Any) -> Batch:
    rng = np.random.default_rng(seed)
    return batch_of(made_pool(), recipe(**changes), rng, torch.Generator().manual_seed(seed))


@settings(max_examples=20)
@given(st.integers(0, 999), st.integers(2, 4), st.integers(0, 2))
def test_a_label_is_a_machine_while_it_is_well_or_one_of_its_faults(
    seed: int, normals: int, faults: int
) -> None:
    groups = batch(seed, normals=normals, faults=faults)
    labels = torch.cat([labels for _, labels in groups])
    _, count = labels.unique(return_counts=True)
    assert sorted(count.tolist()) == sorted([normals] * 5 + [2] * 5 * faults)
    for views, own in groups:
        assert views.shape == (len(own), views.shape[1], 64)
        assert views.shape[1] in (60, 80)
        assert bool(torch.isfinite(views).all())
    # fellows are heard at two lengths
    first, second = (own.bincount(minlength=len(count)) for _, own in groups)
    assert int((first - second).abs().max()) <= 1


def test_windows_of_a_label_are_of_its_own_machine() -> None:
    """Clips that tell by their level which they are, without anything that bends them."""
    machines = made_pool().instances
    clips = {}
    for number, instance in enumerate(machines):
        for kind, own in (("normals", instance.normals), ("faults", instance.faults)):
            for place, clip in enumerate(own):
                level = -8.0 + 0.5 * number + (0.1 * (place + 1) if kind == "faults" else 0)
                clips[number, kind, place] = np.full_like(clip, level)
    told = [
        type(instance)(
            "made",
            "x",
            tuple(clips[n, "normals", k] for k in range(len(instance.normals))),
            tuple(clips[n, "faults", k] for k in range(len(instance.faults))),
            instance.fault_names,
            instance.severities,
        )
        for n, instance in enumerate(machines)
    ]
    pool = Pool(told, made_pool().backgrounds)
    plain = recipe(mixup=0.0, stretch_bands=0.0, stretch_time=0.0, snr_db=(90.0, 90.0), faults=2)
    groups = batch_of(pool, plain, np.random.default_rng(0), torch.Generator())
    levels: dict[int, set[float]] = {}
    for views, labels in groups:
        for view, label in zip(views, labels.tolist(), strict=True):
            levels.setdefault(label, set()).add(round(float(view.mean()), 2))
    assert all(len(found) == 1 for found in levels.values())
    assert len(set.union(*levels.values())) == len(levels)


def test_the_seed_decides_what_is_drawn() -> None:
    one, same, other = batch(1), batch(1), batch(2)
    for (views, labels), (again, fellows) in zip(one, same, strict=True):
        assert torch.equal(views, again)
        assert torch.equal(labels, fellows)
    assert any(
        views.shape != others.shape or not torch.equal(views, others)
        for (views, _), (others, _) in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("rule", [HighBand.MIX, HighBand.GAIN, HighBand.MEAN])
def test_the_high_band_is_changed_on_one_of_two_views(rule: HighBand) -> None:
    plain, changed = batch(4), batch(4, high_band=rule)
    same = [torch.equal(a, b) for (a, _), (b, _) in zip(plain, changed, strict=True)]
    assert same == [True, False]


@pytest.mark.parametrize(
    "off",
    [{"mixup": 0.0}, {"stretch_bands": 0.0, "stretch_time": 0.0}, {"snr_db": (20.0, 20.0)}],
    ids=lambda off: next(iter(off)),
)
def test_each_part_can_be_switched_off(off: dict[str, Any]) -> None:
    plain, without = batch(4), batch(4, **off)
    assert any(
        views.shape != others.shape or not torch.allclose(views, others)
        for (views, _), (others, _) in zip(plain, without, strict=True)
    )
    assert all(bool(torch.isfinite(views).all()) for views, _ in without)


def test_a_gain_stays_a_gain_when_normalised() -> None:
    x = torch.randn(2, 5, 64)
    added = normalised(x + 1.5) - normalised(x)
    assert torch.allclose(added, torch.full_like(added, 1.0), atol=1e-5)


def test_a_cut_is_a_piece_and_comes_from_anywhere() -> None:
    clip = np.arange(12, dtype=np.float16)[:, None].repeat(64, 1)
    rng = np.random.default_rng(0)
    firsts = set()
    for _ in range(100):
        piece = cut(clip, 9, rng)
        firsts.add(int(piece[0, 0]))
        assert np.array_equal(piece, clip[int(piece[0, 0]) :][:9])
    assert firsts == {0, 1, 2, 3}
    assert np.array_equal(cut(clip, 12, rng), clip)


def test_loudness_is_of_powers() -> None:
    clip = np.array([[0.0, -10.0]], np.float16)
    assert loudness_db(clip) == pytest.approx(10 * np.log10(0.5), abs=1e-3)


def trainee(made: Recipe) -> Trainee:
    torch.manual_seed(0)
    return Trainee(made)


def test_steps_lower_the_loss_and_move_every_weight() -> None:
    made = recipe(lengths=(60,), seed=2)
    one = trainee(made)
    before = {name: weight.detach().clone() for name, weight in one.named_parameters()}
    found = [loss for _, loss, _ in steps(one, made, pool_at, 24)]
    assert np.mean(found[-8:]) < 0.8 * np.mean(found[:4])
    # the last layer's maps are trained by a head of their own, as all that are tapped
    assert all(not torch.equal(before[name], weight) for name, weight in one.named_parameters())


def test_the_pace_rises_first_and_falls_to_the_end() -> None:
    made = recipe(rate=1.0)
    paces = []
    one = trainee(made)
    for number, _, optimiser in steps(one, made, pool_at, 40):
        assert number == len(paces)
        paces.append(optimiser.param_groups[0]["lr"])
    top = int(np.argmax(paces))
    assert 0 < top <= 2
    assert paces[0] < 0.6 * paces[top]
    assert paces[top:] == sorted(paces[top:], reverse=True)
    assert paces[-1] < 0.05


@pytest.fixture(scope="module")
def small() -> Iterator[None]:
    """Checkpoints after steps 3 and 6, trials after 4 and 8."""
    held_out = Pool(made_pool().instances[-2:], made_pool().backgrounds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretraining, "Feed", MadeFeed)
        patch.setattr(pretraining, "held_out_pool", lambda *_: held_out)
        for name, value in (("KEEP_EVERY", 3), ("TRY_EVERY", 4), ("TELL_EVERY", 2)):
            patch.setattr(pretraining, name, value)
        yield


TOTAL = 8


def run(folder: Path, tell: Callable[[Standing], None] = lambda _: None, **changes: Any) -> Trained:
    """Train; what is not of the sources is of the recipe."""
    folder.mkdir(exist_ok=True)
    total = changes.pop("total", TOTAL)
    sources = changes.pop("sources", MADE)
    return pretrain(sources, recipe(**changes), total, folder, tell)


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
        patch.setattr(durable, "write_durably", full)
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
        ({"sources": Sources(3, (Path("a.wav"),), (), Supply.MADE, 0.0)}, "sounds"),
        ({"sources": Sources(3, (), (Path("a.wav"),), Supply.MADE, 0.0)}, "noises"),
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
    mend = rf"another training \({differing} differ\): give the same options.*--output.*delete it"
    with pytest.raises(UsageError, match=mend):
        run(tmp_path, **changes)
    assert (tmp_path / CHECKPOINT).read_bytes() == kept


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
