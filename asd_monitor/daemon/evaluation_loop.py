"""Evaluation of one machine's sound: ring buffer → scores → journal and messages.

Each step reads the ring buffer once, has the sound scored together with that of the other machines
(`asd_monitor.daemon.scoring_thread`), writes transitions to the journal
(`asd_monitor.daemon.evaluator`) and publishes the result (`asd_monitor.daemon.session_reporter`).
The same sound is recorded for a first model, or sampled for the commissioning of the present one.
What takes time runs in the machine's worker thread.  Between two steps the model is loaded again
and requests of people are applied, where there may be some.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

import structlog

from asd_monitor.audio.ring_buffer import RingBuffer
from asd_monitor.backoff import Backoff, doubling
from asd_monitor.daemon.alarm_evidence import AlarmEvidence
from asd_monitor.daemon.alarm_reasons import raised_at
from asd_monitor.daemon.capture_loop import CaptureLoop
from asd_monitor.daemon.commissioning import Commissioning
from asd_monitor.daemon.evaluator import Evaluator
from asd_monitor.daemon.initial_training import InitialTraining
from asd_monitor.daemon.page_feed import PageFeed
from asd_monitor.daemon.running_input import RunningInput
from asd_monitor.daemon.scoring_thread import ScoringThread
from asd_monitor.daemon.session_reporter import SessionReporter
from asd_monitor.daemon.shelf_pace import ShelfPace
from asd_monitor.explanation.explain import MAX_SOUND_S
from asd_monitor.journal.alarm_records import Event
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.monitor import Reading
from asd_monitor.records import Block
from asd_monitor.worker_thread import WorkerThread

log = structlog.get_logger()

END_LIMIT_S = 5.0
"""At the end of a session: for the block that is being scored, for the journal or a model."""

_MAX_BLOCK_S = 5.0  # evaluated at once


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
        self.evaluated_blocks = 0
        """Blocks whose readings were published."""
        self.unread_requests = 0
        """How often requests could not be read."""
        self._machine = machine
        self._capture = capture
        self._evaluator = evaluator
        self._commissioning = commissioning
        self._evidence = evidence
        self._initial_training = initial_training
        self._running = running
        self._reporter = reporter
        self._scoring = scoring
        self._page = page
        self._worker = worker
        self._wake = wake
        self._log = log.bind(machine=machine)
        self._being_scored: asyncio.Future[list[Reading]] | None = None
        self._rate_set = False
        self._journal_backoff = Backoff(doubling(1.0, 60.0))
        self._logged_journal_error: str | None = None
        self._reload_requested = True
        self._has_requests = True
        self._shelf_pace: ShelfPace | None = None  # None: the shelf is not to be ended

    def reload_model(self) -> None:
        """Load the current model again, without a gap in the sound."""
        self._reload_requested = True
        self._wake.set()

    def check_requests(self) -> None:
        """Apply the requests that were written to the journal."""
        self._has_requests = True
        self._wake.set()

    def expire_shelf(self, pace: ShelfPace) -> None:
        """End the shelving of the alarm, where its time is over and the pace allows."""
        self._shelf_pace = pace
        self._wake.set()

    @property
    def is_training(self) -> bool:
        """Whether the first model is being trained."""
        return self._initial_training is not None and self._initial_training.training

    @property
    def is_scoring(self) -> bool:
        """Whether a block is being scored."""
        return self._being_scored is not None and not self._being_scored.done()

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
            if self._has_requests:  # before a model is loaded, which takes time
                await self._apply_requests()
            if self._shelf_pace is not None:
                await self._expire_shelf(self._shelf_pace)
            if self._reload_requested:
                await self._load_model()
            await self._reporter.write_changes(self._worker)
            if await self._evaluate_next(tasks):
                continue
            self.publish_state()
            working = self.is_training or self.waits_for_refit or self._wake.is_set()
            if self._capture.ended and not working:
                await self._raise_held_alarm()
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
                await self._raise_held_alarm()
        except TimeoutError:
            self._log.warning(
                "the session ends before its journal is written", waited_s=END_LIMIT_S
            )
        self._evidence.end_sound()
        scored = self._being_scored
        if scored is None or not scored.done() or scored.cancelled() or scored.exception():
            return
        self._worker.post(self._evaluator.save_evidence)

    async def _raise_held_alarm(self) -> None:
        """Raise an alarm that a suspicion of the microphone still delays: no scores follow."""
        if self._evaluator.holds_alarm and not self.is_scoring:
            events = await self._worker.run(self._evaluator.raise_held_alarm)
            self._evidence.note_released(events)
            self._reporter.publish_events(events)

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
        await self._evaluate_block(block)
        self._commissioning.check_refit(tasks)
        await self._record_training_sound(tasks, block)
        if microphone != self._evaluator.microphone:
            self.publish_state()
        return True

    def _next_block(self, ring: RingBuffer) -> Block | None:
        position, outages = self._capture.position, self._capture.outages
        samples = round(_MAX_BLOCK_S * self._capture.rate_hz)
        if outages:  # a block does not span an outage
            samples = max(1, min(samples, outages[0] - position))
        return ring.read(position, samples)

    @property
    def _missing_samples(self) -> int:
        """Samples after which the next evaluation is due."""
        training = self._initial_training
        if training is not None and training.active:
            return 0
        longest = round(_MAX_BLOCK_S * self._capture.rate_hz)
        return min(longest, self._evaluator.monitor.missing_samples)

    async def _evaluate_block(self, block: Block) -> None:
        evaluator = self._evaluator
        if self._running is not None:
            running = self._running.sample().running
            has_changed, evaluator.monitor.running = running != evaluator.monitor.running, running
            if has_changed:
                self.publish_state()
        self._commissioning.begin_push()
        evaluator.tap = self._commissioning.tap
        self._being_scored = scored = self._scoring.push(evaluator.monitor, block)
        # a task of its own, so that an alarm of this block is published however the session ends
        name = f"readings {self._machine}"
        taking = asyncio.create_task(self._take_readings(scored, block.end), name=name)
        try:
            await asyncio.shield(taking)
        except asyncio.CancelledError:
            await self._finish_block(taking)
            raise
        self.evaluated_blocks += 1
        if evaluator.is_save_due:
            await self._worker.run(evaluator.save_evidence)

    async def _finish_block(self, taking: asyncio.Task[None]) -> None:
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
            await self._raise_held_alarm()  # nothing is scored that could release it
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

    async def _apply_requests(self) -> None:
        self._has_requests = False
        if not self._evaluator.is_alarm_known and await self._worker.run(
            self._evaluator.take_up_alarm
        ):
            self._reporter.publish_alarm()
        try:
            await self._publish_changes(self._evaluator.apply_requests)
        except JournalError as error:
            # the requests remain, and are tried again after a pause
            self.unread_requests += 1
            retry_s = self._journal_backoff.delay_s()
            asyncio.get_running_loop().call_later(retry_s, self.check_requests)
            if str(error) != self._logged_journal_error:
                self._logged_journal_error = str(error)
                self._log.error("requests about alarms cannot be read", reason=str(error))
            return
        self._journal_backoff.reset()
        self._logged_journal_error = None

    async def _expire_shelf(self, pace: ShelfPace) -> None:
        self._shelf_pace = None
        expire = partial(self._publish_changes, self._evaluator.expire_shelf)
        await pace.end(self._evaluator.alarm, expire)

    async def _publish_changes(self, change: Callable[[datetime, datetime], list[Event]]) -> bool:
        """Publish the transitions that a change of the alarm has written to the journal.

        Returns whether there are some.  Raises `JournalError`; what was changed before is
        published, and the events by the journal.
        """
        capture = self._capture
        try:
            events = await self._worker.run(change, capture.present_time(), capture.now())
        except JournalError:
            self._reporter.publish_changed_alarm()
            self.publish_state()
            raise
        self._reporter.publish_events(events)
        self._reporter.publish_changed_alarm()
        self.publish_state()
        return bool(events)
