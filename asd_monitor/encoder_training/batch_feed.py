"""Shards of instances, rendered in another process while the network trains.

Shard ``c`` of a seed is always the same.  The pool of a step is the last shards up to the
step's own, whatever the speed of rendering.
"""

from __future__ import annotations

import os
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from threading import Thread

from asd_monitor.encoder_training.instance_pool import InstancePool, TrainingSounds
from asd_monitor.encoder_training.log_mel_frames import RATE_HZ, LogMel
from asd_monitor.encoder_training.pretraining_choices import SoundSource
from asd_monitor.encoder_training.recorded_sounds import read_sounds
from asd_monitor.encoder_training.sound_sources import (
    CLIP_LENGTHS,
    Backgrounds,
    ClipLengths,
    Instance,
    RecordedSounds,
    SyntheticMachines,
)
from asd_monitor.errors import OperationError, UsageError

MIN_BACKGROUND_S = 4.0
HELD_OUT_SEED = 1_000_003
"""Added to the seed of what is held out, so that its synthetic machines differ from the others."""


@dataclass(frozen=True, slots=True)
class Sharding:
    """How the pool of a step is put together."""

    instances: int = 96  # of a shard
    backgrounds: int = 16  # of a shard
    pool_shards: int = 10  # at most
    first_shards: int = 3  # before the first step
    steps_per_shard: int = 40
    shards_ahead: int = 2  # rendered before they are needed

    def shards_at(self, step: int) -> range:
        """Return the numbers of the shards in the pool of a step."""
        newest = step // self.steps_per_shard + self.first_shards - 1
        return range(max(0, newest - self.pool_shards + 1), newest + 1)


SHARDING = Sharding()


@dataclass(frozen=True, slots=True, eq=False)
class Shard:
    """A part of the pool."""

    instances: tuple[Instance, ...]
    backgrounds: tuple[LogMel, ...]


class ShardBuilder:
    """Renders the shards of a set of training sounds."""

    def __init__(self, sounds: TrainingSounds, lengths: ClipLengths = CLIP_LENGTHS) -> None:
        """Read the recordings.

        Where none of the recordings is held out, the held-out instances are synthetic machines
        alone.

        Raises:
            UsageError: there are no recordings and some are needed.

        """
        recordings, names = read_sounds(sounds.recordings, held_out=sounds.held_out)
        noise, noise_names = read_sounds(sounds.noise, held_out=sounds.held_out)
        seed = sounds.seed + HELD_OUT_SEED * sounds.held_out
        self._source = sounds.source
        self._synthetic = SyntheticMachines(seed, lengths=lengths)
        self._recorded = (
            None
            if sounds.source is SoundSource.SYNTHETIC
            or (sounds.held_out and not recordings + noise)
            else RecordedSounds(seed, recordings + noise, names + noise_names, lengths)
        )
        long = [sound for sound in noise if len(sound) >= MIN_BACKGROUND_S * RATE_HZ]
        if sounds.recorded_backgrounds >= 1.0 and not long:
            raise UsageError("no recorded background of 4 s or more: name some with --noise")
        self._backgrounds = Backgrounds(seed, long, sounds.recorded_backgrounds, lengths)

    def instance(self, index: int) -> Instance:
        """Return an instance; of both sources, those of even index are synthetic machines."""
        if self._recorded is None or (self._source is SoundSource.BOTH and index % 2 == 0):
            return self._synthetic.instance(index)
        return self._recorded.instance(index)

    def shard(self, number: int, instances: int, backgrounds: int) -> Shard:
        """Return shard ``number`` of so many instances and backgrounds."""
        return Shard(
            tuple(self.instance(number * instances + k) for k in range(instances)),
            tuple(
                self._backgrounds.background(number * backgrounds + k) for k in range(backgrounds)
            ),
        )


def held_out_pool(sounds: TrainingSounds, instances: int, backgrounds: int) -> InstancePool:
    """Return so many instances and backgrounds as one pool, rendered in this process."""
    shard = ShardBuilder(sounds).shard(0, instances, backgrounds)
    return InstancePool(shard.instances, shard.backgrounds)


class BatchFeed:
    """The pool of each step, rendered by a child process; close it to end the process."""

    def __init__(
        self,
        sounds: TrainingSounds,
        sharding: Sharding = SHARDING,
        executor: Executor | None = None,
    ) -> None:
        """Render in ``executor``, which must have `start_rendering` run in its worker."""
        self._sharding = sharding
        self._executor = executor or ProcessPoolExecutor(
            1, get_context("spawn"), start_rendering, (sounds,)
        )
        self._shards: dict[int, Future[Shard]] = {}

    def close(self) -> None:
        """End the child process and wait for it."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def pool_at(self, step: int) -> InstancePool:
        """Return the pool of a step; blocks until it is rendered.

        Steps must not decrease.

        Raises:
            UsageError: there are no recordings and some are needed.
            OperationError: the child process ended.

        """
        sharding, numbers = self._sharding, self._sharding.shards_at(step)
        for number in range(numbers.start, numbers.stop + sharding.shards_ahead):
            if number not in self._shards:
                self._shards[number] = self._executor.submit(
                    render_shard, number, sharding.instances, sharding.backgrounds
                )
        for number in [number for number in self._shards if number < numbers.start]:
            del self._shards[number]
        try:
            shards = [self._shards[number].result() for number in numbers]
        except BrokenProcessPool as error:
            raise OperationError(
                "the process that renders sounds ended, perhaps for lack of memory: start again "
                "with the same options to resume"
            ) from error
        return InstancePool(
            [instance for shard in shards for instance in shard.instances],
            [background for shard in shards for background in shard.backgrounds],
        )


_sounds: list[TrainingSounds] = []  # of the child process
_builder: list[ShardBuilder] = []


def start_rendering(sounds: TrainingSounds) -> None:
    """Prepare a child process for `render_shard`, and let it end with its parent."""
    _sounds.append(sounds)
    Thread(target=_exit_with_parent, daemon=True).start()


def render_shard(number: int, instances: int, backgrounds: int) -> Shard:
    """Return a shard, in a process prepared by `start_rendering`."""
    if not _builder:  # not in start_rendering: its errors would not reach the caller
        _builder.append(ShardBuilder(_sounds[0]))
    return _builder[0].shard(number, instances, backgrounds)


def _exit_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()  # a parent that is killed does not shut its executor down
        os._exit(1)
