"""Shards of instances: the pool of a step depends on the step alone."""

import os
import signal
from concurrent.futures import Executor, Future
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asd_monitor.encoder_training.batch_feed import (
    BatchFeed,
    Shard,
    ShardBuilder,
    Sharding,
    held_out_pool,
)
from asd_monitor.encoder_training.instance_pool import InstancePool, TrainingSounds
from asd_monitor.encoder_training.pretraining_choices import SoundSource
from asd_monitor.encoder_training.sound_sources import ClipLengths
from asd_monitor.errors import OperationError, UsageError
from tests.doubles.synthetic_pools import SYNTHETIC
from tests.doubles.synthetic_sounds import machine_sound, write

SHORT = ClipLengths(reference=1.0, faulty=1.0, background=1.0)
SMALL = Sharding(instances=2, backgrounds=1, steps_per_shard=5)


def names(pool: InstancePool) -> list[str]:
    return [instance.name for instance in pool.instances]


def same(one: InstancePool, other: InstancePool) -> bool:
    clips = [
        [*pool.backgrounds, *(clip for i in pool.instances for clip in (*i.reference, *i.faults))]
        for pool in (one, other)
    ]
    return names(one) == names(other) and all(
        np.array_equal(a, b) for a, b in zip(*clips, strict=True)
    )


class NumberingExecutor(Executor):
    """In place of the child process: shards of numbers, and a record of those rendered."""

    def __init__(self) -> None:
        self.rendered: list[int] = []

    def submit(self, _: Any, number: int, instances: int, backgrounds: int) -> Any:  # type: ignore[override]
        self.rendered.append(number)
        first = number * instances
        shard = Shard(
            tuple(range(first, first + instances)),  # type: ignore[arg-type]
            tuple(f"b{number}" for _ in range(backgrounds)),  # type: ignore[misc]
        )
        done: Future[Shard] = Future()
        done.set_result(shard)
        return done


def numbers(pool: InstancePool) -> list[Any]:
    """Return the numbers in place of the instances."""
    return list(pool.instances)


def numbering_feed(sharding: Sharding) -> tuple[BatchFeed, list[int]]:
    executor = NumberingExecutor()
    return BatchFeed(SYNTHETIC, sharding, executor), executor.rendered


def test_a_pool_is_the_last_shards_up_to_that_of_the_step() -> None:
    sharding = Sharding(instances=2, backgrounds=1, pool_shards=4, steps_per_shard=5)
    feed, rendered = numbering_feed(sharding)
    with closing(feed):
        for step in range(60):
            pool = feed.pool_at(step)
            newest = step // 5 + 2  # there are three shards at step 0
            oldest = max(0, newest - 3)
            assert numbers(pool) == list(range(2 * oldest, 2 * newest + 2))
            assert [str(each) for each in pool.backgrounds] == [
                f"b{n}" for n in range(oldest, newest + 1)
            ]
    assert rendered == sorted(set(rendered)), "each shard is rendered once"


@pytest.mark.parametrize("first", [0, 1, 4, 5, 23, 60])
def test_a_resumed_training_has_the_pools_of_an_uninterrupted_one(first: int) -> None:
    uninterrupted, _ = numbering_feed(SMALL)
    resumed, rendered = numbering_feed(SMALL)
    with closing(uninterrupted), closing(resumed):
        pools = [uninterrupted.pool_at(step) for step in range(70)]
        for step in range(first, 70):
            pool = resumed.pool_at(step)
            assert list(pool.instances) == list(pools[step].instances)
            assert list(pool.backgrounds) == list(pools[step].backgrounds)
    assert min(rendered) >= first // 5 + 2 - 9, "shards that have left the pool are not rendered"


ONE_SHARD = Sharding(instances=2, backgrounds=16, first_shards=1, steps_per_shard=1, shards_ahead=0)


@pytest.fixture
def recorded_background(tmp_path: Path) -> TrainingSounds:
    """A recorded background is rendered faster than a hall."""
    noise = (write(tmp_path / "1.wav", machine_sound(4.1)),)
    return TrainingSounds(3, (), noise, SoundSource.SYNTHETIC, 1.0)


@pytest.mark.slow
def test_the_child_process_renders_the_same_shards_as_this_one(
    recorded_background: TrainingSounds,
) -> None:
    with closing(BatchFeed(recorded_background, ONE_SHARD)) as feed:
        first, second = feed.pool_at(0), feed.pool_at(1)
    with closing(BatchFeed(recorded_background, ONE_SHARD)) as feed:
        resumed = feed.pool_at(1)
    assert same(second, resumed)
    assert names(second)[:2] == names(first)
    here = ShardBuilder(recorded_background).shard(0, 2, 16)
    assert same(InstancePool(here.instances, here.backgrounds), first)


@pytest.mark.slow
def test_an_error_in_the_child_process_is_raised_here(tmp_path: Path) -> None:
    silent = write(tmp_path / "silent.wav", np.zeros(16_000))
    sounds = TrainingSounds(1, (silent,), (), SoundSource.RECORDED, 0.0)
    with (
        closing(BatchFeed(sounds, ONE_SHARD)) as feed,
        pytest.raises(UsageError, match="no sound to train on"),
    ):
        feed.pool_at(0)


@pytest.mark.slow
def test_a_killed_child_process_is_reported(recorded_background: TrainingSounds) -> None:
    with closing(BatchFeed(recorded_background, ONE_SHARD)) as feed:
        feed.pool_at(0)
        [child] = feed._executor._processes.values()  # type: ignore[attr-defined]
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(OperationError, match="start again"):
            feed.pool_at(1)


def recordings(folder: Path, *stems: str, seconds: float = 0.5) -> tuple[Path, ...]:
    return tuple(
        write(folder / f"{stem}.wav", machine_sound(seconds, seed=k))
        for k, stem in enumerate(stems)
    )


NAMES = ("dog", "rain", "saw", "engine", "door", "clock", "bell", "train", "pump", "wind")


def builder(
    paths: tuple[Path, ...], source: SoundSource, *, held_out: bool = False
) -> ShardBuilder:
    return ShardBuilder(TrainingSounds(1, paths, (), source, 0.5, held_out=held_out), SHORT)


def test_both_sources_alternate(tmp_path: Path) -> None:
    paths = recordings(tmp_path, *NAMES)
    both = builder(paths, SoundSource.BOTH)
    assert [both.instance(k).source for k in range(3)] == ["synthetic", "recorded", "synthetic"]
    assert builder(paths, SoundSource.RECORDED).instance(0).source == "recorded"
    assert builder(paths, SoundSource.SYNTHETIC).instance(1).source == "synthetic"


def test_held_out_instances_are_other_machines_and_other_recordings(tmp_path: Path) -> None:
    paths = recordings(tmp_path, *NAMES)
    parts = [builder(paths, SoundSource.BOTH, held_out=out) for out in (False, True)]
    recorded = [{part.instance(k).name.split()[0] for k in range(1, 8, 2)} for part in parts]
    assert recorded[0]
    assert recorded[1]
    assert not recorded[0] & recorded[1]
    trained, held_out = (part.instance(0) for part in parts)
    assert not np.array_equal(trained.reference[0], held_out.reference[0])


def test_held_out_instances_are_synthetic_where_no_recording_is_held_out(tmp_path: Path) -> None:
    """Recordings named by numbers alone have the same hash."""
    paths = recordings(tmp_path, "1", "2", "3")
    assert builder(paths, SoundSource.RECORDED).instance(0).source == "recorded"
    sounds = TrainingSounds(1, paths, (), SoundSource.RECORDED, 0.0, held_out=True)
    pool = held_out_pool(sounds, 1, 1)
    assert [instance.source for instance in pool.instances] == ["synthetic"]
    assert len(pool.backgrounds) == 1


def test_recorded_backgrounds_alone_need_recordings_of_4_s(tmp_path: Path) -> None:
    short = recordings(tmp_path, "1", seconds=3.9)
    with pytest.raises(UsageError, match=r"no recorded background of 4 s .* --noise"):
        ShardBuilder(TrainingSounds(1, (), short, SoundSource.SYNTHETIC, 1.0))
    long = recordings(tmp_path, "2", seconds=4.1)
    sounds = TrainingSounds(1, (), short + long, SoundSource.SYNTHETIC, 1.0)
    assert len(ShardBuilder(sounds, SHORT).shard(0, 1, 1).backgrounds) == 1
