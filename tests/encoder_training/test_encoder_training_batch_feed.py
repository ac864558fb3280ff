"""The pool of a step is a matter of the step, not of time."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.encoder_training import batch_feed as feed_module
from asd_monitor.encoder_training.batch_feed import Feed, Maker, Sources, held_out_pool
from asd_monitor.encoder_training.pool import Pool, Supply
from asd_monitor.errors import OperationError, UsageError
from tests.doubles.synthetic_sounds import machine_sound, write

MADE = Sources(3, (), (), Supply.MADE, 0.0)


def names(pool: Pool) -> list[str]:
    return [instance.name for instance in pool.instances]


def same(one: Pool, other: Pool) -> bool:
    clips = [
        [*pool.backgrounds, *(clip for i in pool.instances for clip in (*i.reference, *i.faults))]
        for pool in (one, other)
    ]
    return names(one) == names(other) and all(
        np.array_equal(a, b) for a, b in zip(*clips, strict=True)
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Chapters of names made in this process; return the numbers of those made."""
    made: list[int] = []

    class Now:
        """An executor that is never late."""

        def __init__(self, *_: object) -> None: ...

        def submit(self, make: object, number: int, size: int) -> object:
            made.append(number)
            return Made(number, size)

        def shutdown(self, **_: object) -> None: ...

    class Made:
        def __init__(self, number: int, size: int) -> None:
            self._number, self._size = number, size

        def result(self) -> feed_module.Chapter:
            first = self._number * self._size
            return feed_module.Chapter(
                tuple(range(first, first + self._size)),  # type: ignore[arg-type]
                (f"b{self._number}",),  # type: ignore[arg-type]
            )

    monkeypatch.setattr(feed_module, "ProcessPoolExecutor", Now)
    return made


def test_a_pool_is_the_last_chapters_up_to_the_steps_own(
    quick: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "KEPT", 4)
    with closing(Feed(MADE, chapter=2, steps_a_chapter=5)) as feed:
        for step in range(60):
            pool = feed.pool_at(step)
            newest = step // 5 + 2  # three chapters to begin with
            oldest = max(0, newest - 3)
            assert list(pool.instances) == list(range(2 * oldest, 2 * newest + 2))
            assert list(pool.backgrounds) == [f"b{n}" for n in range(oldest, newest + 1)]
    assert quick == sorted(set(quick))  # none is made twice


@pytest.mark.parametrize("begun", [0, 1, 4, 5, 23, 60])
def test_a_training_that_goes_on_finds_the_pool_of_the_step(quick: list[int], begun: int) -> None:
    with closing(Feed(MADE, chapter=2, steps_a_chapter=5)) as feed:
        through = [feed.pool_at(step) for step in range(70)]
    quick.clear()
    with closing(Feed(MADE, chapter=2, steps_a_chapter=5)) as feed:
        for step in range(begun, 70):
            pool = feed.pool_at(step)
            assert list(pool.instances) == list(through[step].instances)
            assert list(pool.backgrounds) == list(through[step].backgrounds)
    assert min(quick) >= begun // 5 + 2 - 9  # what is out of the pool is not made again


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sources:
    """As little as a pool of the other process can be; a recorded background costs nothing."""
    monkeypatch.setattr(feed_module, "FIRST", 1)
    monkeypatch.setattr(feed_module, "AHEAD", 0)
    return Sources(3, (), (write(tmp_path / "1.wav", machine_sound(4.1)),), Supply.MADE, 1.0)


@pytest.mark.slow
def test_the_other_process_makes_what_this_one_would(cheap: Sources) -> None:
    with closing(Feed(cheap, chapter=2, steps_a_chapter=1)) as feed:
        first, second = feed.pool_at(0), feed.pool_at(1)
    with closing(Feed(cheap, chapter=2, steps_a_chapter=1)) as feed:
        resumed = feed.pool_at(1)
    assert same(second, resumed)
    assert names(second)[:2] == names(first)
    here = Maker(cheap).chapter(0, 2, feed_module.CHAPTER_BACKGROUNDS)
    assert same(Pool(here.instances, here.backgrounds), first)


@pytest.mark.slow
def test_what_is_wrong_in_the_other_process_is_told_here(cheap: Sources, tmp_path: Path) -> None:
    silent = write(tmp_path / "silent.wav", np.zeros(16_000))
    with (
        closing(Feed(Sources(1, (silent,), (), Supply.REAL, 0.0), chapter=2)) as feed,
        pytest.raises(UsageError, match="no sound to train on"),
    ):
        feed.pool_at(0)


@pytest.mark.slow
def test_a_killed_process_is_told_of(cheap: Sources) -> None:
    with closing(Feed(cheap, chapter=2, steps_a_chapter=1)) as feed:
        feed.pool_at(0)
        [child] = feed._executor._processes.values()
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(OperationError, match="start again"):
            feed.pool_at(1)


def sounds(folder: Path, *stems: str, seconds: float = 0.5) -> tuple[Path, ...]:
    return tuple(
        write(folder / f"{stem}.wav", machine_sound(seconds, seed=k))
        for k, stem in enumerate(stems)
    )


NAMES = ("dog", "rain", "saw", "engine", "door", "clock", "bell", "train", "pump", "wind")


def test_both_supplies_take_turns(tmp_path: Path) -> None:
    maker = Maker(Sources(1, sounds(tmp_path, *NAMES), (), Supply.BOTH, 0.5))
    assert [maker.instance(k).kind for k in range(4)] == ["made", "real", "made", "real"]
    only = Maker(Sources(1, sounds(tmp_path, *NAMES), (), Supply.REAL, 0.5))
    assert [only.instance(k).kind for k in range(2)] == ["real", "real"]
    assert Maker(MADE).instance(1).kind == "made"


def test_what_is_held_out_is_other_machines_and_other_recordings(tmp_path: Path) -> None:
    paths = sounds(tmp_path, *NAMES)
    parts = [Maker(Sources(1, paths, (), Supply.BOTH, 0.5, held_out=out)) for out in (False, True)]
    real = [{maker.instance(k).name.split()[0] for k in range(1, 12, 2)} for maker in parts]
    assert real[0]
    assert real[1]
    assert not real[0] & real[1]
    trained, held = (maker.instance(0) for maker in parts)
    assert not np.array_equal(trained.reference[0], held.reference[0])


def test_where_none_of_a_few_is_held_out_machines_are_made(tmp_path: Path) -> None:
    """Recordings that are named by numbers alone stay together, on one side."""
    sources = Sources(1, sounds(tmp_path, "1", "2", "3"), (), Supply.REAL, 0.0)
    assert Maker(sources).instance(0).kind == "real"
    held = Sources(1, sources.sounds, (), Supply.REAL, 0.0, held_out=True)
    pool = held_out_pool(held, 2, 1)
    assert [instance.kind for instance in pool.instances] == ["made", "made"]
    assert len(pool.backgrounds) == 1


def test_recorded_backgrounds_alone_need_long_ones(tmp_path: Path) -> None:
    short = sounds(tmp_path, "1", seconds=3.9)
    with pytest.raises(UsageError, match=r"no recorded background of 4 s .* --noise"):
        Maker(Sources(1, (), short, Supply.MADE, 1.0))
    long = sounds(tmp_path, "2", seconds=4.1)
    chapter = Maker(Sources(1, (), short + long, Supply.MADE, 1.0)).chapter(0, 1, 1)
    assert len(chapter.backgrounds) == 1
