"""One block of a machine's sound on its way: scored, recorded in the journal, published.

It is scored together with the sound of the other machines (`asd_monitor.daemon.scoring_thread`).
Once that has begun its readings are recorded and published however the session ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from asd_monitor.daemon.alarm_evidence import AlarmEvidence
from asd_monitor.daemon.alarm_reasons import raised_at
from asd_monitor.daemon.capture_loop import CaptureLoop
from asd_monitor.daemon.commissioning import Commissioning
from asd_monitor.daemon.evaluator import Evaluator
from asd_monitor.daemon.initial_training import InitialTraining
from asd_monitor.daemon.scoring_thread import ScoringThread
from asd_monitor.daemon.session_reporter import SessionReporter
from asd_monitor.explanation.explain import MAX_SOUND_S
from asd_monitor.monitor import Reading
from asd_monitor.records import Block
from asd_monitor.worker_thread import WorkerThread

log = structlog.get_logger()

MAX_BLOCK_S = 5.0
"""Longest sound that is evaluated at once."""
END_LIMIT_S = 5.0
"""At the end of a session: for the block that is being scored, for the journal or a model."""


class BlockEvaluation:
    """Evaluates the blocks of one machine, one after the other.

    Args:
        machine: Id of the machine.
        capture: Has the sound and its times.
        evaluator: Has the model, the monitor and the journal of the machine.
        commissioning: Samples the windows that are scored.
        evidence: Captures the evidence of alarms.
        initial_training: Records sound for a first model; None: no model is trained here.
        reporter: Publishes the results.
        scoring: Scores the sound of all machines.
        worker: The machine's thread for blocking work.

    """

    def __init__(
        self,
        machine: str,
        *,
        capture: CaptureLoop,
        evaluator: Evaluator,
        commissioning: Commissioning,
        evidence: AlarmEvidence,
        initial_training: InitialTraining | None,
        reporter: SessionReporter,
        scoring: ScoringThread,
        worker: WorkerThread,
    ) -> None:
        self.evaluated_blocks = 0
        """Blocks whose readings were published."""
        self._machine = machine
        self._capture = capture
        self._evaluator = evaluator
        self._commissioning = commissioning
        self._evidence = evidence
        self._initial_training = initial_training
        self._reporter = reporter
        self._scoring = scoring
        self._worker = worker
        self._log = log.bind(machine=machine)
        self._being_scored: asyncio.Future[list[Reading]] | None = None

    @property
    def is_scoring(self) -> bool:
        """Whether a block is being scored."""
        return self._being_scored is not None and not self._being_scored.done()

    async def evaluate(self, block: Block) -> None:
        """Evaluate a block; where this is cancelled, wait for it within `END_LIMIT_S`."""
        evaluator = self._evaluator
        self._commissioning.begin_push()
        evaluator.tap = self._commissioning.tap
        self._being_scored = scored = self._scoring.push(evaluator.monitor, block)
        # a task of its own, so that an alarm of this block is published however the session ends
        name = f"readings {self._machine}"
        taking = asyncio.create_task(self._take_readings(scored, block.end), name=name)
        try:
            await asyncio.shield(taking)
        except asyncio.CancelledError:
            await self._finish(taking)
            raise
        self.evaluated_blocks += 1
        if evaluator.is_save_due:
            await self._worker.run(evaluator.save_evidence)

    async def raise_held_alarm(self) -> None:
        """Raise an alarm that a suspicion of the microphone still delays: no scores follow."""
        if self._evaluator.holds_alarm and not self.is_scoring:
            events = await self._worker.run(self._evaluator.raise_held_alarm)
            self._evidence.note_released(events)
            self._reporter.publish_events(events)

    def end(self) -> None:
        """Let the worker write what the last block has left, where that is known.

        It is called once at the end of the session, and does not wait.
        """
        self._evidence.end_sound()
        scored = self._being_scored
        if scored is None or not scored.done() or scored.cancelled() or scored.exception():
            return
        self._worker.post(self._evaluator.save_evidence)

    async def _finish(self, taking: asyncio.Task[None]) -> None:
        """Wait within the limit for the block that is scored at the end of the session."""
        done, _ = await asyncio.wait((taking,), timeout=END_LIMIT_S)
        if done and not taking.cancelled():
            taking.result()
            return
        taking.cancel()
        self._log.error(
            "the session ends before its newest sound is scored and recorded: its readings are"
            " lost",
            limit_s=END_LIMIT_S,
        )

    async def _take_readings(self, scored: asyncio.Future[list[Reading]], end: int) -> None:
        """Record and publish the readings of a block that ends at this sample index."""
        evaluator = self._evaluator
        readings = await scored
        if evaluator.out_of_service is None:
            self._commissioning.push(readings, self._capture.time_of)
        else:
            self._commissioning.leave_out()
        if evaluator.writes_journal(readings, end):
            sound = self._alarm_sound(readings)
            recorded = await self._worker.run(evaluator.record, readings, end, sound)
        else:
            recorded = evaluator.record(readings, end)
        for reading in recorded.readings:
            self._reporter.publish_reading(reading)
        if recorded.peak_rose:
            self._reporter.publish_alarm()
        self._evidence.note(recorded.readings, end)
        self._capture.release(end, self._missing_samples)

    def _alarm_sound(self, readings: Sequence[Reading]) -> Block | None:
        """Return a copy of the sound before an alarm that is raised; None: none is.

        It is copied here, since the capture writes into the ring buffer meanwhile.
        """
        ring, sample = self._capture.ring, raised_at(readings)
        if ring is None or sample is None:
            return None
        return ring.newest_before(sample, round(MAX_SOUND_S * self._capture.rate_hz))

    @property
    def _missing_samples(self) -> int:
        """Samples after which the next evaluation is due."""
        training = self._initial_training
        if training is not None and training.active:
            return 0
        longest = round(MAX_BLOCK_S * self._capture.rate_hz)
        return min(longest, self._evaluator.monitor.missing_samples)
