"""One machine: source → ring → judge → messages and journal.

Two tasks: `hear` fills the ring (`asd_monitor.daemon.capture_loop`), `judge` takes the sound
out of it, has it scored beside that of the other machines (`asd_monitor.daemon.scoring_thread`),
has written what changed (`asd_monitor.daemon.evaluator`) and tells what came of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import structlog

from asd_monitor.alarm.state import Condition as AlarmCondition
from asd_monitor.alarm.state import TransitionKind
from asd_monitor.audio.devices.device_strings import DeviceSpec, parse_device
from asd_monitor.audio.sharing.server import SoundSharing
from asd_monitor.audio.source import Source
from asd_monitor.config.settings import Machine
from asd_monitor.daemon.capture_loop import CaptureLoop, Clocks
from asd_monitor.daemon.evaluator import Evaluator, Verdict
from asd_monitor.daemon.initial_training import Learner, Train
from asd_monitor.daemon.machine_publisher import Condition, MachinePublisher, StreamCounts
from asd_monitor.daemon.scoring_thread import Scoring
from asd_monitor.daemon.watchdog import WorkProgress
from asd_monitor.detector.detector import Detector
from asd_monitor.errors import UsageError
from asd_monitor.journal.alarm_records import Event
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.publish.messages import MachineStatus, Score
from asd_monitor.records import MachineState, MicrophoneState

log = structlog.get_logger()

_JUDGED_AT_ONCE_S = 5.0
_WRITTEN_WITHIN_S = 5.0  # what the journal or a model still needs at the end
_UNMODELLED = frozenset(
    {MachineState.NO_MODEL, MachineState.LEARNING}
)  # what the hearing logs itself, with the name of the device
_DEAD_CHANNEL = "the microphone gives one value only: it is muted or broken"
_DEAF = frozenset({MicrophoneState.FAULT, MicrophoneState.NO_DEVICE})

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class SessionContext:
    """What every listener of a daemon shares."""

    models: Path
    state: Path
    sharing: SoundSharing
    open_source: Callable[[DeviceSpec], Source]
    scoring: Scoring
    train: Train
    ease: Callable[[], Awaitable[None]]
    """Waits while messages pile up; only recordings do so."""
    clocks: Clocks = field(default_factory=Clocks)


class MonitorSession:
    """Listens to one machine until its recording ends, or for ever."""

    def __init__(
        self,
        machine: str,
        settings: Machine,
        journal: MachineJournal,
        report: MachinePublisher,
        around: SessionContext,
    ) -> None:
        self.machine = machine
        self.settings = settings
        self.loaded = asyncio.Event()
        """Set when a model was loaded, or could not be."""
        self._report = report
        self._sharing = around.sharing
        self._scoring = around.scoring
        self._worker = ThreadPoolExecutor(1, thread_name_prefix=f"judge-{machine}")
        self._log = log.bind(machine=machine)
        self._news = asyncio.Event()
        device = parse_device(settings.device_text)
        self._outlet = around.sharing.outlet(machine, device)
        self._capture_loop = CaptureLoop(
            machine,
            device,
            around.open_source(device),
            self._outlet,
            clocks=around.clocks,
            ease=around.ease,
            changed=self._tell_state,
            news=self._news.set,
        )
        self._judge = Evaluator(
            machine, settings, around.models, journal, self._capture_loop.time_of
        )
        self._learner: Learner | None = None
        if settings.learn is not None:
            self._learner = Learner(
                machine,
                settings.learn.seconds,
                window_s=settings.window_s,
                folder=around.state / "learning" / machine,
                models=around.models,
                train=around.train,
                work=self._work,
            )
        self._steps = 0
        self._skipped_windows = 0
        self._begun = False
        self._stopped = False
        self._reload_wanted = True
        self._acknowledgements_wanted = True
        self._notes: deque[tuple[TransitionKind, str, str, str, datetime]] = deque()
        self._state_told = False
        self._noted_microphone: MicrophoneState | None = None
        report.begin_stream(self._count)

    async def run(self) -> None:
        """Listen.  Whatever is raised here is a defect, and contained by who calls it."""
        self._scoring.machines += 1
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._judge_sound(tasks), name=f"judge {self.machine}")
                tasks.create_task(self._capture_loop.run(), name=f"hear {self.machine}")
        finally:
            self._scoring.machines -= 1
            self._sharing.withdraw(self._outlet)
            try:
                await self._capture_loop.close()
            finally:
                self._report.end_stream()
                await self._end_work()

    async def _end_work(self) -> None:
        """Wait for the worker thread: the next listener takes up the alarm that it writes."""
        ended = self._worker.submit(lambda: None)
        self._worker.shutdown(wait=False)
        _, pending = await asyncio.wait((asyncio.wrap_future(ended),), timeout=_WRITTEN_WITHIN_S)
        if pending:
            self._log.warning(
                "the journal or the model is not ready in time: the listener ends without it",
                waited_s=_WRITTEN_WITHIN_S,
            )

    def reload(self) -> None:
        """Load the current model again, without losing any sound."""
        self._reload_wanted = True
        self._news.set()

    def look_for_acknowledgements(self) -> None:
        """Take up what was acknowledged in the journal."""
        self._acknowledgements_wanted = True
        self._news.set()

    def repeat_state(self) -> None:
        """Publish the state anew, and judge how well the microphone hears."""
        self._capture_loop.check_losses()
        if not self._tell_state():
            self._report.repeat_state(self._capture_loop.now())

    def publish_stopped(self, reason: str) -> None:
        """Publish that nobody listens any more, and why, unless that was said already."""
        if self._stopped:
            return
        self._stopped = True
        self._report.flush_score()
        condition = Condition(MachineState.STOPPED, self._microphone(), reason, self._judge.model)
        self._report.publish_state(condition, self._capture_loop.now())

    @property
    def behind_s(self) -> float:
        """Seconds of sound that wait to be judged; 0 where they wait for something else."""
        training = self._learner is not None and self._learner.training
        return 0.0 if training else self._capture_loop.behind_s

    @property
    def detector(self) -> Detector | None:
        """The detector that scores; None where nothing is scored."""
        bundle = None if self._judge.no_model else self._judge.bundle
        return bundle.detector if bundle else None

    @property
    def refusal(self) -> UsageError | None:
        """Why a recording could not be heard at all."""
        return self._capture_loop.refusal

    @property
    def pulse(self) -> WorkProgress:
        """Whether the work advances, and if not, why that is all right."""
        excuse = None
        if self._capture_loop.outage is not None:
            excuse = self._capture_loop.outage.reason
        elif self._capture_loop.ended:
            excuse = "the recording has ended"
        elif self._learner is not None and self._learner.training:
            excuse = "training"
        return WorkProgress(self._capture_loop.position + self._steps, excuse)

    @property
    def status(self) -> MachineStatus:
        """The machine's line in the status of the box."""
        return self._report.status(model=self._judge.model, drift_ppm=self._capture_loop.drift_ppm)

    def _count(self) -> StreamCounts:
        hearing = self._capture_loop
        return StreamCounts(
            lost_samples=hearing.lost_samples,
            gaps=hearing.gaps,
            restarts=hearing.restarts,
            skipped_windows=self._skipped_windows,
        )

    async def _judge_sound(self, tasks: asyncio.TaskGroup) -> None:
        hearing = self._capture_loop
        while True:
            self._news.clear()
            if self._learner is not None and self._learner.take_result():
                self._reload_wanted = True
            if self._reload_wanted:
                await self._reload()
            if self._acknowledgements_wanted:
                await self._take_up_acknowledgements()
            await self._write_notes()
            if await self._judge_next(tasks):
                continue
            self._tell_state()
            training = self._learner is not None and self._learner.training
            if hearing.ended and not training and not self._news.is_set():
                self.publish_stopped(self._ending())
                return
            await self._news.wait()

    def _ending(self) -> str:
        """Return what is told at a recording's end: that it was never judged is an error."""
        hearing, judge, learner = self._capture_loop, self._judge, self._learner
        reason = hearing.reason or "the recording has ended"
        if judge.no_model is None or hearing.reason is not None:
            return reason
        if learner is not None and learner.active:
            why = learner.shortfall
            if judge.dead_channel:
                why = f"{_DEAD_CHANNEL}; {why}"
        else:
            why = (learner.failure if learner else None) or judge.no_model
        self._log.error("the recording has ended without a model: nothing was judged", reason=why)
        return f"{reason} without a model: {why}"

    async def _judge_next(self, tasks: asyncio.TaskGroup) -> bool:
        """Judge the next sound in the ring; false when there is none."""
        hearing, learner = self._capture_loop, self._learner
        if hearing.ring is None:
            return False
        if learner is not None and learner.training and hearing.device.is_file:
            return False  # a recording waits until there is a model for the rest of it
        if not self._begun:
            self._begun = True
            await self._work(self._judge.begin, hearing.rate_hz)
            self._tell_state()
        at_once = round(_JUDGED_AT_ONCE_S * hearing.rate_hz)
        if hearing.outages:  # never read across one
            at_once = max(1, min(at_once, hearing.outages[0] - hearing.position))
        block = hearing.ring.read(hearing.position, at_once)
        await self._judge_outages(hearing.ring.end if block is None else block.start)
        if block is None:
            return False
        dead = self._judge.dead_channel
        readings = await self._scoring.push(self._judge.monitor, block)
        self._steps += 1
        judge = self._judge
        writes = judge.has_to_write(readings, block.end)
        judgement = (
            await self._work(judge.write, readings, block.end)
            if writes
            else judge.write(readings, block.end)
        )
        hearing.judged(block.end)
        for verdict in judgement.verdicts:
            self._tell(verdict)
        if judgement.peak_grew:
            self._report.publish_alarm(self._judge.alarm)
        if learner is not None and learner.active and not self._judge.dead_channel:
            if await learner.push(block, hearing.rate_hz):
                learner.train(tasks, self._news.set)
            self._tell_state()
        elif dead != self._judge.dead_channel:
            self._tell_state()
        return True

    async def _judge_outages(self, until: int) -> None:
        while self._capture_loop.outages and self._capture_loop.outages[0] <= until:
            self._capture_loop.outages.popleft()
            await self._work(self._judge.outage)
            if self._learner is not None:
                await self._learner.gap()

    async def _reload(self) -> None:
        self._reload_wanted = False
        judge, learner = self._judge, self._learner
        renewed = await self._work(judge.load)
        if renewed:
            self._log.info("model loaded", model=judge.model)
        elif judge.notice:
            self._log.error("model not loaded", reason=judge.notice)
        if learner is not None and judge.untrained:
            learner.start()
        elif learner is not None and not learner.training:
            learner.stop()
        if judge.no_model and not (learner is not None and learner.active):
            self._log.warning("no model", reason=judge.no_model)
        self.loaded.set()
        self._tell_state()
        self._report.publish_alarm(judge.alarm)

    async def _take_up_acknowledgements(self) -> None:
        self._acknowledgements_wanted = False
        try:
            events = await self._work(self._judge.take_up, self._capture_loop.now())
        except JournalError as error:
            self._log.error("acknowledgements cannot be read", reason=str(error))
            return
        self._tell_events(events)
        self._tell_state()

    def _tell(self, verdict: Verdict) -> None:
        reading, hearing = verdict.reading, self._capture_loop
        window = reading.window
        self._tell_events(verdict.events, score=reading.alarm_score if window else None)
        if window is not None:
            self._skipped_windows += window.hops - 1
            score = Score(
                machine=self.machine,
                time=hearing.time_of(window.end),
                sample=window.end,
                seq=self._report.next_seq(),
                window_s=(window.end - window.start) / hearing.rate_hz,
                score=window.score,
                alarm_score=reading.alarm_score,
                views=window.views,
                thresholds=self._judge.monitor.rule.thresholds,
                state=reading.state,
                microphone=self._microphone(),
                rms_dbfs=window.rms_dbfs,
                lost_samples=self._report.counts.lost_samples,
                model=self._judge.model,
            )
            every_samples = round(self.settings.score_every_s * hearing.rate_hz)
            self._report.publish_score(score, every_samples=every_samples)
        self._report.publish_state(self._condition(reading.state), hearing.time_of(reading.sample))

    def _tell_events(self, events: Iterable[Event], *, score: float | None = None) -> None:
        for event in events:
            self._log_event(event)
            self._tell_event(event, score=score)

    def _log_event(self, event: Event) -> None:
        facts = {"why": event.why, "who": event.who, "alarm": event.alarm_id}
        rises = event.kind is TransitionKind.ALARM and event.after == AlarmCondition.UNACKNOWLEDGED
        self._log.log(
            logging.WARNING if rises else logging.INFO,
            f"{event.kind}: {event.before} → {event.after}",
            **{key: value for key, value in facts.items() if value is not None},
        )

    def _tell_event(self, event: Event, *, score: float | None = None) -> None:
        newest = self._judge.alarm
        # the acknowledgement of an older alarm leaves the published condition as it is
        if event.alarm is not None and newest is not None and event.alarm.id == newest.id:
            self._report.publish_alarm(event.alarm)
        self._report.publish_event(event, score=score)

    def _tell_state(self) -> bool:
        """Publish the state if it has changed; what the monitor cannot see becomes an event."""
        if not self.loaded.is_set():
            return False  # it is not known yet whether there is a model
        condition, now = self._condition(self._judge.state), self._capture_loop.now()
        if self._capture_loop.heard_something:
            before, microphone = self._noted_microphone, self._capture_loop.microphone
            if before not in (None, microphone):
                why = condition.reason or "sound comes in"
                self._notes.append((TransitionKind.MICROPHONE, before, microphone, why, now))
                self._news.set()
            self._noted_microphone = microphone
        told, state = self._report.condition.state, condition.state
        if self._state_told and told != state and {told, state} & _UNMODELLED:
            why = condition.reason or f"model {condition.model} is in use"
            self._notes.append((TransitionKind.STATE, told, state, why, now))
            self._news.set()
        self._state_told = True
        return self._report.publish_state(condition, now)

    async def _write_notes(self) -> None:
        while self._notes:
            event = await self._work(self._judge.note, *self._notes.popleft())
            if not {event.before, event.after} & _DEAF:  # which the hearing has logged
                self._log_event(event)
            self._tell_event(event)

    def _condition(self, state: MachineState) -> Condition:
        judge, learner = self._judge, self._learner
        reasons = [self._capture_loop.reason]
        if judge.dead_channel and self._capture_loop.outage is None:
            reasons = [_DEAD_CHANNEL]
        if judge.no_model is None:
            reasons.append(judge.notice)
        elif learner is not None and learner.active:
            state = MachineState.LEARNING
            reasons.append(learner.progress)
        else:
            state = MachineState.NO_MODEL
            reasons.append((learner.failure if learner else None) or judge.no_model)
        every = judge.monitor.every
        if every > 1 and judge.no_model is None:
            reasons.append(
                f"the box is too slow for all its machines: {every - 1} of {every} windows are "
                "passed over"
            )
        reason = "; ".join(reason for reason in reasons if reason)
        return Condition(state, self._microphone(), reason or None, judge.model)

    def _microphone(self) -> MicrophoneState:
        if self._capture_loop.outage is None and self._judge.dead_channel:
            return MicrophoneState.FAULT
        return self._capture_loop.microphone

    async def _work(self, work: Callable[..., R], *arguments: object) -> R:
        """Do something in the worker thread."""
        loop = asyncio.get_running_loop()
        result = await loop.run_in_executor(self._worker, lambda: work(*arguments))
        self._steps += 1
        return result
