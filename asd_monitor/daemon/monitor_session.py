"""Monitoring of one machine: source → ring buffer → evaluation → messages and journal.

Three tasks: ``capture`` fills the ring buffer (`asd_monitor.daemon.capture_loop`); ``evaluate``
reads it once for each window, has the sound scored together with that of the other machines
(`asd_monitor.daemon.scoring_thread`), writes transitions to the journal
(`asd_monitor.daemon.evaluator`) and publishes the result (`asd_monitor.daemon.session_reporter`);
``report`` publishes the state of the microphone when it changes, also while a block is evaluated.
"""

from __future__ import annotations

import asyncio

import structlog

from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.audio.ring_buffer import RingBuffer
from asd_monitor.backoff import Backoff, doubling
from asd_monitor.config.settings import Machine
from asd_monitor.daemon.capture_loop import CaptureLoop
from asd_monitor.daemon.commissioning import Commissioning
from asd_monitor.daemon.evaluator import Evaluator
from asd_monitor.daemon.evidence_history import EvidenceHistory
from asd_monitor.daemon.hang_detection import WorkProgress
from asd_monitor.daemon.initial_training import InitialTraining
from asd_monitor.daemon.machine_publisher import MachinePublisher, StreamCounts
from asd_monitor.daemon.session_context import SessionContext
from asd_monitor.daemon.session_reporter import SessionReporter
from asd_monitor.detector.detector import Detector
from asd_monitor.errors import UsageError
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.monitor import Reading
from asd_monitor.publish.messages import MachineStatus
from asd_monitor.records import Block
from asd_monitor.worker_thread import WorkerThread

log = structlog.get_logger()

_MAX_BLOCK_S = 5.0  # evaluated at once
_WORKER_LIMIT_S = 5.0  # for the journal or a model at the end of a session


class MonitorSession:
    """Monitors one machine until its recording ends, or without end.

    Args:
        machine: Id of the machine.
        settings: Its configuration.
        journal: Its journal, with the alarms of earlier sessions.
        publisher: Publishes its messages; shared with earlier and later sessions.
        context: What all sessions share.

    """

    def __init__(
        self,
        machine: str,
        settings: Machine,
        journal: MachineJournal,
        publisher: MachinePublisher,
        context: SessionContext,
    ) -> None:
        self.machine = machine
        self.loaded = asyncio.Event()
        """Set when the model has been loaded, or loading it has failed."""
        self._publisher = publisher
        self._sharing = context.sharing
        self._scoring = context.scoring
        self._worker = WorkerThread(f"evaluate-{machine}")
        self._log = log.bind(machine=machine)
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()
        device = parse_device(settings.device_text)
        self._published_channel = context.sharing.publish(machine, device)
        self._capture_loop = CaptureLoop(
            machine,
            device,
            context.open_source(device),
            self._published_channel,
            clocks=context.clocks,
            ring_s=context.ring_s,
            throttle=context.throttle,
            on_change=self._changed.set,
            on_due=self._wake.set,
        )
        self._evaluator = Evaluator(
            machine,
            settings,
            context.models,
            journal,
            self._capture_loop.time_of,
            load=context.load_model,
            history=EvidenceHistory(context.state, machine),
            monotonic_s=context.clocks.monotonic_s,
        )
        self._running = context.running_input(machine)
        self._initial_training: InitialTraining | None = None
        if settings.learn is not None:
            self._initial_training = InitialTraining(
                machine,
                settings.learn.seconds,
                window_s=settings.window_s,
                folder=context.state / "learning" / machine,
                models=context.models,
                train=context.train,
                worker=self._worker,
            )
        self._commissioning = Commissioning(
            machine,
            settings,
            models=context.models,
            state=context.state,
            box=context.refits,
            now=self._capture_loop.now,
            read_sound=self._read_sound,
            on_new_model=self.reload_model,
            on_refit_ended=self._wake.set,
        )
        self._stream = publisher.begin_stream(self._counts)
        self._reporter = SessionReporter(
            capture=self._capture_loop,
            evaluator=self._evaluator,
            scoring=self._scoring,
            initial_training=self._initial_training,
            running=self._running,
            publisher=publisher,
            stream=self._stream,
            score_interval_s=settings.score_every_s,
            on_change_queued=self._wake.set,
        )
        self._evaluated_blocks = 0
        self._being_scored: asyncio.Future[list[Reading]] | None = None
        self._rate_set = False
        self._journal_backoff = Backoff(doubling(1.0, 60.0))
        self._logged_journal_error: str | None = None
        self._reload_requested = True
        self._acknowledgements_requested = True

    async def run(self) -> None:
        """Monitor; what is raised here is a defect, handled by the supervision."""
        self._scoring.machine_count += 1
        try:
            async with asyncio.TaskGroup() as tasks:
                report = tasks.create_task(self._report(), name=f"report {self.machine}")
                evaluate = tasks.create_task(self._evaluate(tasks), name=f"evaluate {self.machine}")
                evaluate.add_done_callback(lambda _: report.cancel())
                evaluate.add_done_callback(lambda _: self._commissioning.end())
                tasks.create_task(self._capture_loop.run(), name=f"capture {self.machine}")
        finally:
            self._scoring.machine_count -= 1
            self._sharing.withdraw(self._published_channel)
            try:
                await self._capture_loop.close()
            finally:
                self._publisher.end_stream(self._stream)
                await self._save_evidence()
                await self._commissioning.finish(_WORKER_LIMIT_S)
                await self._end_worker()

    def reload_model(self) -> None:
        """Load the current model again, without a gap in the sound."""
        self._reload_requested = True
        self._wake.set()

    def check_acknowledgements(self) -> None:
        """Apply the acknowledgements that were written to the journal."""
        self._acknowledgements_requested = True
        self._wake.set()

    def repeat_state(self) -> None:
        """Publish the state again, with the losses of the capture since the last time."""
        self._capture_loop.check_losses()
        if not self._publish_state():
            self._reporter.repeat_state()

    def publish_stopped(self, reason: str) -> None:
        """Publish that the monitoring has ended, and why; only the first call has an effect."""
        self._reporter.publish_stopped(reason)

    @property
    def backlog_s(self) -> float:
        """Sound that waits to be evaluated, in s; 0 while it waits for a training."""
        return 0.0 if self._is_training else self._capture_loop.backlog_s

    @property
    def detector(self) -> Detector | None:
        """The detector in use; None if nothing is scored."""
        bundle = None if self._evaluator.no_model_reason else self._evaluator.bundle
        return bundle.detector if bundle else None

    @property
    def refusal(self) -> UsageError | None:
        """Why a recording cannot be read at all."""
        return self._capture_loop.refusal

    @property
    def progress(self) -> WorkProgress:
        """How far the work has advanced, and why it may pause."""
        idle_reason = None
        if self._capture_loop.outage is not None:
            idle_reason = self._capture_loop.outage.reason
        elif self._capture_loop.ended:
            idle_reason = "the recording has ended"
        elif self._is_training:
            idle_reason = "training"
        elif self._waits_for_refit:
            idle_reason = "refit"
        steps = self._evaluated_blocks + self._worker.completed
        return WorkProgress(self._capture_loop.position + steps, idle_reason)

    @property
    def status(self) -> MachineStatus:
        """The machine's entry in the status of the box."""
        return self._publisher.status(
            model=self._evaluator.model,
            drift_ppm=self._capture_loop.drift_ppm,
            levels=self._evaluator.levels,
            commissioning=self._commissioning.status,
            running=None if self._running is None else self._running.status,
        )

    @property
    def _is_training(self) -> bool:
        return self._initial_training is not None and self._initial_training.training

    @property
    def _waits_for_refit(self) -> bool:
        """Whether a recording at full speed waits, so that its scores do not depend on chance."""
        return self._commissioning.refitting and not self._capture_loop.is_paced

    def _counts(self) -> StreamCounts:
        return StreamCounts(
            lost_samples=self._capture_loop.lost_samples,
            gaps=self._capture_loop.gaps,
            restarts=self._capture_loop.restarts,
            skipped_windows=self._reporter.skipped_windows,
        )

    def _publish_state(self) -> bool:
        """Publish the state if it has changed and it is known whether there is a model."""
        if self._running is not None:
            self._running.sample()
        return self.loaded.is_set() and self._reporter.publish_state()

    async def _report(self) -> None:
        """Publish the state of the microphone when it changes, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._publish_state()

    async def _evaluate(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            self._wake.clear()
            if self._initial_training is not None and self._initial_training.take_result():
                self._reload_requested = True
            if self._reload_requested:
                await self._load_model()
            if self._acknowledgements_requested:
                await self._apply_acknowledgements()
            await self._reporter.write_changes(self._worker)
            if await self._evaluate_next(tasks):
                continue
            self._publish_state()
            working = self._is_training or self._waits_for_refit or self._wake.is_set()
            if self._capture_loop.ended and not working:
                self._reporter.publish_ended()
                return
            await self._wake.wait()

    async def _evaluate_next(self, tasks: asyncio.TaskGroup) -> bool:
        """Evaluate the next block in the ring buffer; return whether there was one."""
        ring = self._capture_loop.ring
        if ring is None or not self._capture_loop.is_due:
            return False
        if self._is_training and self._capture_loop.device.is_file:
            return False  # the rest of a recording is evaluated with its new model
        if self._waits_for_refit:
            return False
        if not self._rate_set:
            self._rate_set = True
            await self._worker.run(self._evaluator.set_rate, self._capture_loop.rate_hz)
            self._commission()
            self._publish_state()
        block = self._next_block(ring)
        await self._process_outages(ring.end if block is None else block.start)
        if block is None:
            return False
        microphone = self._evaluator.microphone
        await self._evaluate_block(block)
        self._commissioning.check_refit(tasks)
        await self._record_training_sound(tasks, block)
        if microphone != self._evaluator.microphone:
            self._publish_state()
        return True

    def _next_block(self, ring: RingBuffer) -> Block | None:
        position, outages = self._capture_loop.position, self._capture_loop.outages
        samples = round(_MAX_BLOCK_S * self._capture_loop.rate_hz)
        if outages:  # a block does not span an outage
            samples = max(1, min(samples, outages[0] - position))
        return ring.read(position, samples)

    @property
    def _missing_samples(self) -> int:
        """Samples after which the next evaluation is due."""
        training = self._initial_training
        if training is not None and training.active:
            return 0
        longest = round(_MAX_BLOCK_S * self._capture_loop.rate_hz)
        return min(longest, self._evaluator.monitor.missing_samples)

    @property
    def is_sound_due(self) -> bool:
        """Whether sound is being evaluated or can be."""
        return self._capture_loop.is_due

    async def _evaluate_block(self, block: Block) -> None:
        evaluator = self._evaluator
        if self._running is not None:
            running = self._running.sample().running
            has_changed, evaluator.monitor.running = running != evaluator.monitor.running, running
            if has_changed:
                self._publish_state()
        self._commissioning.begin_push()
        evaluator.tap = self._commissioning.tap
        self._being_scored = self._scoring.push(evaluator.monitor, block)
        readings = await asyncio.shield(self._being_scored)
        self._commissioning.push(readings, self._capture_loop.time_of)
        self._evaluated_blocks += 1
        if evaluator.writes_journal(readings, block.end):
            recorded = await self._worker.run(evaluator.record, readings, block.end)
        else:
            recorded = evaluator.record(readings, block.end)
        self._capture_loop.release(block.end, self._missing_samples)
        for reading in recorded.readings:
            self._reporter.publish_reading(reading)
        if recorded.peak_rose:
            self._reporter.publish_alarm()
        if evaluator.is_save_due:
            await self._worker.run(evaluator.save_evidence)

    async def _record_training_sound(self, tasks: asyncio.TaskGroup, block: Block) -> None:
        training = self._initial_training
        if training is None or not training.active or self._evaluator.microphone.is_fault:
            return
        if not self._evaluator.monitor.running:
            return  # normal sound is that of a machine that runs
        if await training.push(block, self._capture_loop.rate_hz):
            training.train(tasks, self._wake.set)
        self._publish_state()

    async def _process_outages(self, until: int) -> None:
        outages = self._capture_loop.outages
        while outages and outages[0] <= until:
            outages.popleft()
            await self._worker.run(self._evaluator.interrupt)
            if self._initial_training is not None:
                await self._initial_training.interrupt()

    async def _load_model(self) -> None:
        self._reload_requested = False
        evaluator, training = self._evaluator, self._initial_training
        changed = await self._worker.run(evaluator.load_model)
        if changed:
            self._commission()
            budget = evaluator.budget_text
            self._log.info(
                "model loaded",
                model=evaluator.model,
                provisional=budget is not None,
                **({} if budget is None else {"budget": budget}),
            )
        elif evaluator.model_notice:
            self._log.error("model not loaded", reason=evaluator.model_notice)
        if training is not None and evaluator.untrained:
            training.start()
        elif training is not None and not training.training:
            training.stop()
        if evaluator.no_model_reason and not (training is not None and training.active):
            self._log.warning("no model", reason=evaluator.no_model_reason)
        self.loaded.set()
        self._publish_state()
        self._reporter.publish_alarm()

    def _commission(self) -> None:
        """Extend the model in use from live sound, once the rate of its sound is known."""
        if self._rate_set:
            bundle = None if self._evaluator.no_model_reason else self._evaluator.bundle
            self._commissioning.take_model(bundle, self._capture_loop.rate_hz)

    def _read_sound(self, start: int, end: int) -> Block | None:
        ring = self._capture_loop.ring
        return None if ring is None else ring.read(start, end - start)

    async def _apply_acknowledgements(self) -> None:
        self._acknowledgements_requested = False
        try:
            events = await self._worker.run(
                self._evaluator.apply_acknowledgements, self._capture_loop.now()
            )
        except JournalError as error:
            # not cleared: the wish remains, and is tried again after a pause
            retry_s = self._journal_backoff.delay_s()
            asyncio.get_running_loop().call_later(retry_s, self.check_acknowledgements)
            if str(error) != self._logged_journal_error:
                self._logged_journal_error = str(error)
                self._log.error("acknowledgements cannot be read", reason=str(error))
            return
        self._journal_backoff.reset()
        self._logged_journal_error = None
        self._reporter.publish_events(events)
        self._publish_state()

    async def _save_evidence(self) -> None:
        """Save the evidence after the block that is being scored, which changes it."""
        scored = self._being_scored
        if scored is not None and not scored.done():
            await asyncio.wait((scored,), timeout=_WORKER_LIMIT_S)
        if scored is None or not scored.done() or scored.cancelled() or scored.exception():
            return
        self._worker.post(self._evaluator.save_evidence)

    async def _end_worker(self) -> None:
        """Wait for the worker thread: the next session restores the alarm that it writes."""
        if not await self._worker.finish(_WORKER_LIMIT_S):
            self._log.warning(
                "the session ends before its journal or model is ready", waited_s=_WORKER_LIMIT_S
            )
