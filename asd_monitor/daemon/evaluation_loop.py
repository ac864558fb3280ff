"""Evaluation of one machine's sound: ring buffer → scores → journal and messages.

Each step reads the ring buffer once and has the block evaluated
(`asd_monitor.daemon.block_evaluation`).  The same sound is recorded for a first model, or sampled
for the commissioning of the present one.  What takes time runs in the machine's worker thread.
Between two steps the model is loaded again, and what people ask is applied, where there may be
something (`asd_monitor.daemon.session_requests`).
"""

from __future__ import annotations

import asyncio

import structlog

from asd_monitor.audio.ring_buffer import RingBuffer
from asd_monitor.daemon.alarm_evidence import AlarmEvidence
from asd_monitor.daemon.block_evaluation import END_LIMIT_S, MAX_BLOCK_S, BlockEvaluation
from asd_monitor.daemon.capture_loop import CaptureLoop
from asd_monitor.daemon.commissioning import Commissioning
from asd_monitor.daemon.evaluator import Evaluator
from asd_monitor.daemon.initial_training import InitialTraining
from asd_monitor.daemon.page_feed import PageFeed
from asd_monitor.daemon.running_input import RunningInput
from asd_monitor.daemon.scoring_thread import ScoringThread
from asd_monitor.daemon.session_reporter import SessionReporter
from asd_monitor.daemon.session_requests import SessionRequests
from asd_monitor.records import Block
from asd_monitor.worker_thread import WorkerThread

log = structlog.get_logger()


class EvaluationLoop:
    """Evaluates the sound of one machine until its recording ends, or without end.

    Args:
        machine: Id of the machine.
        capture: Fills the ring buffer.
        evaluator: Has the model, the monitor and the journal of the machine.
        commissioning: Samples the windows that are scored.
        evidence: Captures the evidence of alarms.
        initial_training: Records sound for a first model; None: no model is trained here.
        running: The signal that says whether the machine runs; None: there is none.
        reporter: Publishes the results.
        scoring: Scores the sound of all machines.
        page: Shows the sound that is evaluated; None: there is no page.
        worker: The machine's thread for blocking work.
        wake: Set when there may be something to do.

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
        running: RunningInput | None,
        reporter: SessionReporter,
        scoring: ScoringThread,
        page: PageFeed | None = None,
        worker: WorkerThread,
        wake: asyncio.Event,
    ) -> None:
        self.loaded = asyncio.Event()
        """Set when the model has been loaded, or loading it has failed."""
        self.is_loading = False
        """Whether a model is being loaded."""
        self.requests = SessionRequests(
            machine,
            capture=capture,
            evaluator=evaluator,
            reporter=reporter,
            publish_state=self.publish_state,
            worker=worker,
            wake=wake,
        )
        """What changes the alarm without sound."""
        self._blocks = BlockEvaluation(
            machine,
            capture=capture,
            evaluator=evaluator,
            commissioning=commissioning,
            evidence=evidence,
            initial_training=initial_training,
            reporter=reporter,
            scoring=scoring,
            worker=worker,
        )
        self._machine = machine
        self._capture = capture
        self._evaluator = evaluator
        self._commissioning = commissioning
        self._evidence = evidence
        self._initial_training = initial_training
        self._running = running
        self._reporter = reporter
        self._page = page
        self._worker = worker
        self._wake = wake
        self._log = log.bind(machine=machine)
        self._rate_set = False
        self._reload_requested = True

    def reload_model(self) -> None:
        """Load the current model again, without a gap in the sound."""
        self._reload_requested = True
        self._wake.set()

    @property
    def is_training(self) -> bool:
        """Whether the first model is being trained."""
        return self._initial_training is not None and self._initial_training.training

    @property
    def is_scoring(self) -> bool:
        """Whether a block is being scored."""
        return self._blocks.is_scoring

    @property
    def evaluated_blocks(self) -> int:
        """Blocks whose readings were published."""
        return self._blocks.evaluated_blocks

    @property
    def waits_for_refit(self) -> bool:
        """Whether a recording at full speed waits, so that its scores do not depend on chance."""
        return self._commissioning.refitting and not self._capture.is_paced

    def publish_state(self) -> bool:
        """Publish the state if it has changed and it is known whether there is a model."""
        if self._running is not None:
            self._running.sample()
        return self.loaded.is_set() and self._reporter.publish_state()

    async def run(self, tasks: asyncio.TaskGroup) -> None:
        """Evaluate; trainings and refits run in the task group."""
        while True:
            self._wake.clear()
            if self._initial_training is not None and self._initial_training.take_result():
                self._reload_requested = True
            await self.requests.apply()  # before a model is loaded, which takes time
            if self._reload_requested:
                await self._load_model()
            await self._reporter.write_changes(self._worker)
            if await self._evaluate_next(tasks):
                continue
            self.publish_state()
            working = self.is_training or self.waits_for_refit or self._wake.is_set()
            if self._capture.ended and not working:
                await self._blocks.raise_held_alarm()
                self._reporter.publish_ended()
                return
            await self._wake.wait()

    async def end(self) -> None:
        """Write what the session leaves: queued changes, a held alarm, the evidence.

        It is called after the end of `run` and waits within the limit; the thread of the machine
        goes on with what is not written then.
        """
        try:
            async with asyncio.timeout(END_LIMIT_S):
                await self._reporter.write_changes(self._worker)
                await self._blocks.raise_held_alarm()
        except TimeoutError:
            self._log.warning(
                "the session ends before its journal is written", waited_s=END_LIMIT_S
            )
        self._blocks.end()

    async def _evaluate_next(self, tasks: asyncio.TaskGroup) -> bool:
        """Evaluate the next block in the ring buffer; return whether there was one."""
        ring = self._capture.ring
        if ring is None or not self._capture.is_due:
            return False
        if self.is_training and self._capture.device.is_file:
            return False  # the rest of a recording is evaluated with its new model
        if self.waits_for_refit:
            return False
        if not self._rate_set:
            self._rate_set = True
            await self._worker.run(self._evaluator.set_rate, self._capture.rate_hz)
            self._commission()
            self.publish_state()
        block = self._next_block(ring)
        await self._process_outages(ring.end if block is None else block.start)
        if block is None:
            return False
        if self._page is not None:
            self._page.show_sound(self._machine, block, self._capture.time_of(block.end))
        microphone = self._evaluator.microphone
        self._take_running()
        await self._blocks.evaluate(block)
        self._commissioning.check_refit(tasks)
        await self._record_training_sound(tasks, block)
        if microphone != self._evaluator.microphone:
            self.publish_state()
        return True

    def _next_block(self, ring: RingBuffer) -> Block | None:
        position, outages = self._capture.position, self._capture.outages
        samples = round(MAX_BLOCK_S * self._capture.rate_hz)
        if outages:  # a block does not span an outage
            samples = max(1, min(samples, outages[0] - position))
        return ring.read(position, samples)

    def _take_running(self) -> None:
        """Let the monitor know whether the machine runs."""
        if self._running is None:
            return
        monitor, running = self._evaluator.monitor, self._running.sample().running
        has_changed, monitor.running = running != monitor.running, running
        if has_changed:
            self.publish_state()

    async def _record_training_sound(self, tasks: asyncio.TaskGroup, block: Block) -> None:
        training = self._initial_training
        if training is None or not training.active or self._evaluator.microphone.is_fault:
            return
        if not self._evaluator.monitor.running or self._evaluator.out_of_service is not None:
            return  # normal sound is that of a machine that runs, without other work at it
        if await training.push(block, self._capture.rate_hz):
            training.train(tasks, self._wake.set)
        self.publish_state()

    async def _process_outages(self, until: int) -> None:
        outages = self._capture.outages
        while outages and outages[0] <= until:
            outages.popleft()
            self._evidence.end_sound()
            await self._worker.run(self._evaluator.interrupt)
            if self._initial_training is not None:
                await self._initial_training.interrupt()

    async def _load_model(self) -> None:
        self._reload_requested = False
        evaluator, training = self._evaluator, self._initial_training
        self.is_loading = True
        changed = await self._worker.run(evaluator.load_model)
        self.is_loading = False
        if changed:
            self._commission()
            budget = evaluator.model.budget_text
            self._log.info(
                "model loaded",
                model=evaluator.model.version,
                provisional=budget is not None,
                **({} if budget is None else {"budget": budget}),
            )
        if evaluator.model.missing_reason:
            await self._blocks.raise_held_alarm()  # nothing is scored that could release it
        if evaluator.model.notice:
            self._log.error("a model is damaged or not loaded", reason=evaluator.model.notice)
        if training is not None and evaluator.model.untrained:
            training.start()
        elif training is not None and not training.training:
            training.stop()
        if evaluator.model.missing_reason and not (training is not None and training.active):
            self._log.warning("no model", reason=evaluator.model.missing_reason)
        self.loaded.set()
        self.publish_state()
        self._reporter.publish_alarm()

    def _commission(self) -> None:
        """Extend the model in use from live sound, once the rate of its sound is known."""
        if self._rate_set:
            bundle = None if self._evaluator.model.missing_reason else self._evaluator.model.bundle
            self._commissioning.take_model(bundle, self._capture.rate_hz)
