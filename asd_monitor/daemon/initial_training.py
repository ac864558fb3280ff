"""Takes one machine from nothing to a model: record, train, done or failed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Protocol, TypeVar

import structlog

from asd_monitor.daemon.training_child import LearningSound, Training, shortest_piece_s
from asd_monitor.errors import OperationError
from asd_monitor.records import Block

log = structlog.get_logger()

R = TypeVar("R")
Train = Callable[[str, Path, Path], Coroutine[None, None, Training]]
"""(machine, its sound, models) → how it ended: `asd_monitor.daemon.training_child.train`."""


class Work(Protocol):
    """Does something in the machine's worker thread."""

    async def __call__(self, work: Callable[..., R], *arguments: object) -> R:
        """Return what `work(*arguments)` returns."""


class Learner:
    """Idle until `start`; `push` and `gap` then do what is next."""

    def __init__(
        self,
        machine: str,
        wanted_s: float,
        *,
        window_s: float,
        folder: Path,
        models: Path,
        train: Train,
        work: Work,
    ) -> None:
        """`window_s` is that of the model to come; nothing is touched before `start`."""
        self.failure: str | None = None
        self._machine = machine
        self._wanted_s = wanted_s
        self._shortest_s = shortest_piece_s(window_s)
        self._folder = folder
        self._models = models
        self._train = train
        self._work = work
        self._sound: LearningSound | None = None
        self._training: asyncio.Task[Training] | None = None

    @property
    def active(self) -> bool:
        """Whether a model is on its way."""
        return self._sound is not None

    @property
    def training(self) -> bool:
        """Whether the recording is complete and the training runs."""
        return self._training is not None

    @property
    def progress(self) -> str:
        """How far it is, in a few words that change about once a minute."""
        if self._sound is None or self._training is not None:
            return "training"
        heard_s, wanted_s = self._sound.heard_s, self._wanted_s
        if wanted_s < 600:
            return f"recorded {heard_s // 10 * 10:.0f} of {wanted_s:g} s"
        return f"recorded {heard_s // 60:.0f} of {wanted_s / 60:g} minutes"

    @property
    def shortfall(self) -> str:
        """Why there is no model when no more sound will come."""
        heard_s = self._sound.heard_s if self._sound else 0.0
        return (
            f"{heard_s:.0f} s of usable sound came and {self._wanted_s:g} s were to be learned "
            "from: give a longer recording, or learn from less (60s at least)"
        )

    def start(self) -> None:
        """Begin, or go on where an earlier run stopped."""
        if self._sound is None:
            self.failure = None
            self._sound = LearningSound(self._folder, self._wanted_s, shortest_s=self._shortest_s)
            log.info(
                "no model yet: learning",
                machine=self._machine,
                seconds=self._wanted_s,
                folder=str(self._folder),
            )

    def stop(self) -> None:
        """End, since there is a model or there shall be none."""
        self._sound = None
        self.failure = None

    async def push(self, block: Block, rate_hz: int) -> bool:
        """Record normal sound; true when there is enough and the training may begin."""
        sound = self._sound
        if sound is None or self._training is not None:
            return False
        try:
            if not sound.begun:
                await self._work(sound.begin, rate_hz)
            await self._work(sound.push, block)
            if sound.complete:
                await self._work(sound.flush)
        except OperationError as error:
            self._fail(str(error))
            return False
        return sound.complete

    async def gap(self) -> None:
        """Take note that the sound to come does not join what was recorded."""
        if self._sound is not None and self._training is None:
            try:
                await self._work(self._sound.flush)
            except OperationError as error:
                self._fail(str(error))

    def train(self, tasks: asyncio.TaskGroup, done: Callable[[], None]) -> None:
        """Begin the training; `done` is called at its end, and `take_result` follows."""
        log.info("training", machine=self._machine, sound=str(self._folder))
        training = self._train(self._machine, self._folder, self._models)
        self._training = tasks.create_task(training, name=f"train {self._machine}")
        self._training.add_done_callback(lambda _: done())

    def take_result(self) -> bool:
        """Return whether there is a new model; false also while there is no result."""
        if self._training is None or not self._training.done():
            return False
        training, self._training = self._training.result(), None
        if training.failure is not None:
            self._fail(training.failure)
            return False
        self._sound = None
        return True

    def _fail(self, failure: str) -> None:
        self._sound = None
        self.failure = f"learning failed: {failure}: mend it, then reload (SIGHUP)"
        log.error("learning failed", machine=self._machine, reason=failure)
