"""Feeds the training: chapters of instances, made by another process while the network learns.

Chapter ``c`` of a seed is always the same, and the pool of a step is the last few chapters up
to that step's, however fast they are made.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread

from asd_monitor.encoder_training.pool import Pool, Supply
from asd_monitor.encoder_training.sound_supply import (
    Backgrounds,
    Instance,
    LogMel,
    RealSounds,
    SyntheticMachines,
    read_sounds,
)
from asd_monitor.errors import OperationError, UsageError

CHAPTER = 96  # instances
CHAPTER_BACKGROUNDS = 16
KEPT = 10  # chapters
FIRST = 3  # chapters to begin with
STEPS_A_CHAPTER = 40
AHEAD = 2  # chapters made before they are needed
LONG_S = 4.0  # shorter noises are no background


@dataclass(frozen=True, slots=True)
class Sources:
    """Where sound comes from."""

    seed: int
    sounds: tuple[Path, ...]
    noises: tuple[Path, ...]
    supply: Supply
    recorded_backgrounds: float  # the share of recorded ones
    held_out: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Chapter:
    """A part of the pool."""

    instances: tuple[Instance, ...]
    backgrounds: tuple[LogMel, ...]


class Maker:
    """Makes chapters from sources."""

    def __init__(self, sources: Sources) -> None:
        """Read the recordings.  Raises UsageError where there are none and some are needed.

        Where none of a few is held out, what is held out are made machines alone.
        """
        sounds, names = read_sounds(sources.sounds, held_out=sources.held_out)
        noises, noise_names = read_sounds(sources.noises, held_out=sources.held_out)
        self._supply = sources.supply
        # what is held out is made with another seed, so that its machines are others too
        seed = sources.seed + 1_000_003 * sources.held_out
        self._made = SyntheticMachines(seed)
        self._real = (
            None
            if sources.supply is Supply.MADE or (sources.held_out and not sounds + noises)
            else RealSounds(seed, sounds + noises, names + noise_names)
        )
        long = [noise for noise in noises if len(noise) >= LONG_S * 16_000]
        if sources.recorded_backgrounds >= 1.0 and not long:
            raise UsageError("no recorded background of 4 s or more: name some with --noise")
        self._backgrounds = Backgrounds(seed, long, sources.recorded_backgrounds)

    def instance(self, index: int) -> Instance:
        """Return an instance of one supply or, where both are wanted, of each by turns."""
        if self._real is None or (self._supply is Supply.BOTH and index % 2 == 0):
            return self._made.instance(index)
        return self._real.instance(index)

    def chapter(self, number: int, instances: int, backgrounds: int) -> Chapter:
        """Return a chapter."""
        first, behind = number * instances, number * backgrounds
        return Chapter(
            tuple(self.instance(first + k) for k in range(instances)),
            tuple(self._backgrounds.background(behind + k) for k in range(backgrounds)),
        )


def held_out_pool(sources: Sources, instances: int, backgrounds: int) -> Pool:
    """Return instances of recordings and of machines that are never trained on."""
    chapter = Maker(sources).chapter(0, instances, backgrounds)
    return Pool(chapter.instances, chapter.backgrounds)


class Feed:
    """The pool of each step; close it to end the process that makes it."""

    def __init__(
        self,
        sources: Sources,
        *,
        chapter: int = CHAPTER,
        steps_a_chapter: int = STEPS_A_CHAPTER,
    ) -> None:
        self._size, self._steps = chapter, steps_a_chapter
        self._executor = ProcessPoolExecutor(1, get_context("spawn"), _begin, (sources,))
        self._asked: dict[int, Future[Chapter]] = {}

    def close(self) -> None:
        """End the other process."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def pool_at(self, step: int) -> Pool:
        """Return what may be drawn at a step; waits until it is made.

        Raises:
            UsageError: no sound where some is needed.
            OperationError: the other process ended.

        """
        newest = step // self._steps + FIRST - 1
        oldest = max(0, newest - KEPT + 1)
        for number in range(oldest, newest + 1 + AHEAD):
            if number not in self._asked:
                self._asked[number] = self._executor.submit(_make, number, self._size)
        for number in [number for number in self._asked if number < oldest]:
            del self._asked[number]
        try:
            chapters = [self._asked[number].result() for number in range(oldest, newest + 1)]
        except BrokenProcessPool as error:
            raise OperationError(
                "the process that makes sounds ended, perhaps for want of memory: start again "
                "with the same options, and it goes on where it was"
            ) from error
        return Pool(
            [instance for chapter in chapters for instance in chapter.instances],
            [background for chapter in chapters for background in chapter.backgrounds],
        )


_sources: list[Sources] = []  # of the process that makes chapters
_maker: list[Maker] = []


def _begin(sources: Sources) -> None:
    _sources.append(sources)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()  # one that is killed tells nobody, and this process would wait for ever
        os._exit(1)


def _make(number: int, size: int) -> Chapter:
    if not _maker:  # what it raises goes to who asks for a chapter
        _maker.append(Maker(_sources[0]))
    return _maker[0].chapter(number, size, CHAPTER_BACKGROUNDS)
