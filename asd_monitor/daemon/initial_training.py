"""The first model of a machine (`--learn`): normal sound is recorded, then a model is trained."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path

import structlog

from asd_monitor.daemon.reload_command import own_reload_command
from asd_monitor.daemon.training_child import TrainingOutcome
from asd_monitor.daemon.training_recording import TrainingRecording, min_piece_s
from asd_monitor.errors import OperationError
from asd_monitor.records import Block
from asd_monitor.wording import short_duration
from asd_monitor.worker_thread import WorkerThread

log = structlog.get_logger()

Train = Callable[[str, Path, Path], Coroutine[None, None, TrainingOutcome]]
"""(machine, its sound, models) → outcome: see `asd_monitor.daemon.training_child.train`."""


class InitialTraining:
    """Inactive until `start`; then `push` records, and `train` trains when that is complete.

    Args:
        machine: Id of the machine.
        target_s: How much normal sound is recorded, in s.
        window_s: Window of the model to be trained, in s.
        folder: Where the sound is stored; not touched before the first `push`.
        models: Where the model is stored.
        train: Trains a model in a process of its own.
        shortage: Returns why the device cannot deliver enough sound, or None; it reads files.
        worker: The machine's thread for blocking work.

    """

    def __init__(
        self,
        machine: str,
        target_s: float,
        *,
        window_s: float,
        folder: Path,
        models: Path,
        train: Train,
        shortage: Callable[[], str | None],
        worker: WorkerThread,
    ) -> None:
        self.failures = 0
        """How often recording or training has failed."""
        self.failure: str | None = None
        """Why there is no model, with the remedy; None: nothing has failed."""
        self._machine = machine
        self._target_s = target_s
        self._min_piece_s = min_piece_s(window_s)
        self._folder = folder
        self._models = models
        self._train = train
        self._shortage = shortage
        self._worker = worker
        self._recording: TrainingRecording | None = None
        self._training: asyncio.Task[TrainingOutcome] | None = None

    @property
    def active(self) -> bool:
        """Whether sound is being recorded or a model trained."""
        return self._recording is not None

    @property
    def training(self) -> bool:
        """Whether the recording is complete and the training runs."""
        return self._training is not None

    @property
    def progress(self) -> str:
        """Progress in a few words, which change about once a minute."""
        if self._recording is None or self._training is not None:
            return "training"
        recorded_s, target_s = self._recording.recorded_s, self._target_s
        if target_s < 600:
            return f"recorded {recorded_s // 10 * 10:.0f} of {target_s:g} s"
        return f"recorded {recorded_s // 60:.0f} of {target_s / 60:g} minutes"

    @property
    def shortfall(self) -> str:
        """Why there is no model when the sound has ended, with the remedy."""
        recorded_s = self._recording.recorded_s if self._recording else 0.0
        return (
            f"{short_duration(recorded_s)} of usable sound were recorded and {self._target_s:g} s "
            "are needed: use a longer recording, or a shorter duration for learning (60s at least)"
        )

    def start(self) -> None:
        """Begin to record, or continue the recording of an earlier run."""
        if self._recording is None:
            self.failure = None
            self._recording = TrainingRecording(
                self._folder, self._target_s, min_piece_s=self._min_piece_s
            )
            log.info(
                "no model: recording training sound",
                machine=self._machine,
                seconds=self._target_s,
                folder=str(self._folder),
            )

    def stop(self) -> None:
        """End without a training: there is a model, or none is wanted."""
        self._recording = None
        self.failure = None

    async def push(self, block: Block, rate_hz: int) -> bool:
        """Record normal sound; return whether the recording is complete."""
        recording = self._recording
        if recording is None or self._training is not None:
            return False
        try:
            if not recording.begun:
                if (shortage := await self._worker.run(self._shortage)) is not None:
                    self._fail(shortage)
                    return False
                await self._worker.run(recording.begin, rate_hz)
            await self._worker.run(recording.push, block)
            if recording.complete:
                await self._worker.run(recording.flush)
        except OperationError as error:
            self._fail(str(error))
            return False
        return recording.complete

    async def interrupt(self) -> None:
        """Interrupt the recording: the next block follows an outage."""
        if self._recording is not None and self._training is None:
            try:
                await self._worker.run(self._recording.flush)
            except OperationError as error:
                self._fail(str(error))

    def train(self, tasks: asyncio.TaskGroup, on_end: Callable[[], None]) -> None:
        """Start the training; ``on_end`` is called at its end, for `take_result`."""
        log.info("training started", machine=self._machine, sound=str(self._folder))
        training = self._train(self._machine, self._folder, self._models)
        self._training = tasks.create_task(training, name=f"train {self._machine}")
        self._training.add_done_callback(lambda _: on_end())

    def take_result(self) -> bool:
        """Take the result of an ended training; return whether there is a new model."""
        if self._training is None or not self._training.done():
            return False
        outcome, self._training = self._training.result(), None
        if outcome.failure is not None:
            self._fail(outcome.failure)
            return False
        self._recording = None
        return True

    def _fail(self, failure: str) -> None:
        self._recording = None
        self.failures += 1
        self.failure = f"learning failed: {failure}: correct that, then `{own_reload_command()}`"
        log.error("initial training failed", machine=self._machine, reason=failure)
