"""Monitoring of one machine: source → ring buffer → evaluation → messages and journal.

Wires the parts of a machine and runs three tasks: ``capture`` fills the ring buffer
(`asd_monitor.daemon.capture_loop`); ``evaluate`` reads it once for each window
(`asd_monitor.daemon.evaluation_loop`); ``report`` publishes the state of the microphone when it
changes, also while a block is evaluated.
"""

from __future__ import annotations

import asyncio
from functools import partial

import structlog

from asd_monitor.audio.devices.device_strings import DeviceSpec, parse_device
from asd_monitor.audio.files.recordings_check import loop_shortage
from asd_monitor.config.field_types import MIN_TRAINING_S
from asd_monitor.config.machine_settings import Machine
from asd_monitor.daemon.alarm_evidence import AlarmEvidence, kept_times
from asd_monitor.daemon.alarm_reasons import AlarmReasons
from asd_monitor.daemon.block_evaluation import END_LIMIT_S
from asd_monitor.daemon.capture_loop import CaptureLoop
from asd_monitor.daemon.commissioning import Commissioning
from asd_monitor.daemon.evaluation_loop import EvaluationLoop
from asd_monitor.daemon.evaluator import Evaluator
from asd_monitor.daemon.evidence_history import EvidenceHistory
from asd_monitor.daemon.hang_detection import WorkProgress
from asd_monitor.daemon.initial_training import InitialTraining
from asd_monitor.daemon.machine_publisher import MachinePublisher, StreamCounts
from asd_monitor.daemon.self_test_subject import SelfTestSubject
from asd_monitor.daemon.session_context import SessionContext
from asd_monitor.daemon.session_reporter import SessionReporter
from asd_monitor.daemon.shelf_pace import ShelfPace
from asd_monitor.detector.detector import Detector
from asd_monitor.errors import UsageError
from asd_monitor.evidence.sound_span import RING_MARGIN_S
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.publish.messages import MachineStatus
from asd_monitor.records import Block
from asd_monitor.worker_thread import WorkerThread

log = structlog.get_logger()

_LOADING_LIMIT_S = 300.0  # for a model; those of many machines are loaded at the same time


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
        self._publisher = publisher
        self._sharing = context.sharing
        self._scoring = context.scoring
        self._worker = WorkerThread(f"evaluate-{machine}")
        self._log = log.bind(machine=machine)
        self._changed = asyncio.Event()
        self._state_requested = False
        wake = asyncio.Event()
        evidence_s = kept_times(settings).ring_s(settings.alarm.on_delay_s)
        device = parse_device(settings.device_text)
        self._published_channel = context.sharing.publish(machine, device)
        self._capture_loop = CaptureLoop(
            machine,
            device,
            context.open_source(device),
            self._published_channel,
            clocks=context.clocks,
            ring_s=max(context.ring_s, evidence_s),
            kept_s=evidence_s - RING_MARGIN_S,
            throttle=context.throttle,
            on_change=self._changed.set,
            on_due=wake.set,
        )
        self._history = EvidenceHistory(context.state, machine)
        self._reasons = AlarmReasons(machine, context.reason_turn, settings.machine_geometry)
        self._evaluator = Evaluator(
            machine,
            settings,
            context.models,
            journal,
            self._capture_loop.time_of,
            load=context.load_model,
            history=self._history,
            reasons=self._reasons,
            monotonic_s=context.clocks.monotonic_s,
        )
        alarm_evidence = AlarmEvidence(
            machine,
            settings,
            capture=self._capture_loop,
            evaluator=self._evaluator,
            packages=context.evidence,
        )
        self._running = context.running_input(machine)
        self._initial_training = initial_training = self._create_initial_training(
            settings, device, context
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
            on_refit_ended=wake.set,
        )
        self._stream = publisher.begin_stream(self._counts)
        self._reporter = SessionReporter(
            capture=self._capture_loop,
            evaluator=self._evaluator,
            scoring=self._scoring,
            initial_training=initial_training,
            running=self._running,
            publisher=publisher,
            stream=self._stream,
            page=context.page,
            score_interval_s=settings.score_every_s,
            on_change_queued=wake.set,
        )
        self._evaluation_loop = EvaluationLoop(
            machine,
            capture=self._capture_loop,
            evaluator=self._evaluator,
            commissioning=self._commissioning,
            evidence=alarm_evidence,
            initial_training=initial_training,
            running=self._running,
            reporter=self._reporter,
            scoring=self._scoring,
            page=context.page,
            worker=self._worker,
            wake=wake,
        )

    async def run(self) -> None:
        """Monitor; what is raised here is a defect, handled by the supervision."""
        self._scoring.machine_count += 1
        try:
            async with asyncio.TaskGroup() as tasks:
                report = tasks.create_task(self._report(), name=f"report {self.machine}")
                evaluate = tasks.create_task(
                    self._evaluation_loop.run(tasks), name=f"evaluate {self.machine}"
                )
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
                await self._evaluation_loop.end()
                await self._commissioning.finish(END_LIMIT_S)
                await self._end_worker()

    def reload_model(self) -> None:
        """Load the current model again, without a gap in the sound."""
        self._evaluation_loop.reload_model()

    def check_requests(self) -> None:
        """Apply the requests that were written to the journal."""
        self._evaluation_loop.requests.check()

    def expire_shelf(self, pace: ShelfPace) -> None:
        """End the shelving of the alarm, where its time is over and the pace allows."""
        self._evaluation_loop.requests.expire_shelf(pace)

    def request_state(self) -> None:
        """Publish the state again in a task of the session, so that a failure is one of this."""
        self._state_requested = True
        self._changed.set()

    def repeat_state(self) -> None:
        """Publish the state again, with the losses of the capture since the last time."""
        self._capture_loop.check_losses()
        if not self._evaluation_loop.publish_state():
            self._reporter.repeat_state()

    def publish_stopped(self, reason: str) -> None:
        """Publish that the monitoring has ended, and why; only the first call has an effect."""
        self._reporter.publish_stopped(reason)

    @property
    def loaded(self) -> asyncio.Event:
        """Set when the model has been loaded, or loading it has failed."""
        return self._evaluation_loop.loaded

    @property
    def backlog_s(self) -> float:
        """Sound that waits to be evaluated, in s; 0 while it waits for a training."""
        return 0.0 if self._evaluation_loop.is_training else self._capture_loop.backlog_s

    @property
    def level_dbfs(self) -> float | None:
        """Level of the newest tenth of a second of sound; None: there is no sound now."""
        return self._capture_loop.level_dbfs

    @property
    def has_reported(self) -> bool:
        """Whether the source has delivered sound or reported an outage."""
        return self._capture_loop.has_reported

    @property
    def detector(self) -> Detector | None:
        """The detector in use; None if nothing is scored."""
        bundle = None if self._evaluator.model.missing_reason else self._evaluator.model.bundle
        return bundle.detector if bundle else None

    @property
    def self_test_subject(self) -> SelfTestSubject:
        """What the self-test reads of this session."""
        return SelfTestSubject(self.machine, self._capture_loop, self._evaluator)

    @property
    def refusal(self) -> UsageError | None:
        """Why a recording cannot be read at all."""
        return self._capture_loop.refusal

    @property
    def progress(self) -> WorkProgress:
        """How far the work has advanced, and why it may pause.

        A block counts at the end of its way, when its readings are published: none advances where
        capture, ring buffer, scoring, evaluation or publishing stands still.
        """
        capture, evaluation = self._capture_loop, self._evaluation_loop
        idle_reason = None
        if capture.outage is not None:
            idle_reason = capture.outage.reason
        elif capture.ended and not capture.is_due:
            idle_reason = "the recording has ended"
        elif capture.is_throttled:
            idle_reason = "the recording waits for the broker"
        elif evaluation.is_training and capture.device.is_file:
            idle_reason = "training"
        elif evaluation.waits_for_refit:
            idle_reason = "refit"
        elif evaluation.is_scoring and self._scoring.does_other_work:
            idle_reason = "the scoring thread does other work"  # which has a limit of its own
        limit_s = _LOADING_LIMIT_S if evaluation.is_loading else None
        return WorkProgress(evaluation.evaluated_blocks, idle_reason, limit_s)

    @property
    def stage(self) -> str:
        """The stage at which the newest block waits, as a noun."""
        if not self._capture_loop.is_due:
            return "the capture of sound"
        return "scoring" if self._evaluation_loop.is_scoring else "the evaluation"

    @property
    def status(self) -> MachineStatus:
        """The machine's entry in the status of the box."""
        return self._publisher.status(
            model=self._evaluator.model.version,
            drift_ppm=self._capture_loop.drift_ppm,
            levels=self._evaluator.levels,
            commissioning=self._commissioning.status,
            running=None if self._running is None else self._running.status,
        )

    def _create_initial_training(
        self, settings: Machine, device: DeviceSpec, context: SessionContext
    ) -> InitialTraining | None:
        """Return what trains the first model of the machine; None: that is not wanted."""
        if settings.learn is None:
            return None
        return InitialTraining(
            self.machine,
            settings.learn.seconds,
            window_s=settings.window_s,
            folder=context.state / "learning" / self.machine,
            models=context.models,
            train=context.train,
            shortage=partial(loop_shortage, device, MIN_TRAINING_S),
            worker=self._worker,
        )

    def _counts(self) -> StreamCounts:
        training = self._initial_training
        return StreamCounts(
            lost_samples=self._capture_loop.lost_samples,
            gaps=self._capture_loop.gaps,
            restarts=self._capture_loop.restarts,
            skipped_windows=self._reporter.skipped_windows,
            overrun_samples=self._capture_loop.overrun_samples,
            clock_steps=self._capture_loop.clock_steps,
            dropped_outages=self._capture_loop.dropped_outages,
            unread_requests=self._evaluation_loop.requests.unread_requests,
            failed_trainings=0 if training is None else training.failures,
            unsaved_evidence=self._history.failed_saves,
            unexplained_alarms=self._reasons.failures,
            dropped_changes=self._reporter.dropped_changes,
        )

    async def _report(self) -> None:
        """Publish the state when it changes or is requested, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            requested, self._state_requested = self._state_requested, False
            if requested:
                self.repeat_state()
            else:
                self._evaluation_loop.publish_state()

    def _read_sound(self, start: int, end: int) -> Block | None:
        ring = self._capture_loop.ring
        return None if ring is None else ring.read(start, end - start)

    async def _end_worker(self) -> None:
        """Wait for the worker thread: the next session restores the alarm that it writes."""
        if not await self._worker.finish(END_LIMIT_S):
            self._log.warning(
                "the session ends before its journal or model is ready", waited_s=END_LIMIT_S
            )
