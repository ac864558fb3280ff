"""Reports of one monitor session: messages, log entries and journal entries of the daemon.

The monitor reports transitions of the machine's state and alarm.  Two kinds of transitions are
observed here instead: those of the microphone, and those to and from the states in which nothing is
evaluated.  They are queued when the state is published and written to the journal by the
evaluation task.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from asd_monitor.alarm.chatter import CHATTER_RAISES, CHATTER_REMEDY, CHATTER_S
from asd_monitor.alarm.state import AlarmCondition, TransitionKind
from asd_monitor.daemon.capture_loop import CaptureLoop
from asd_monitor.daemon.evaluator import Evaluator, RecordedReading
from asd_monitor.daemon.initial_training import InitialTraining
from asd_monitor.daemon.machine_publisher import MachineCondition, MachinePublisher, StreamToken
from asd_monitor.daemon.page_feed import PageFeed
from asd_monitor.daemon.running_input import RunningInput
from asd_monitor.daemon.scoring_thread import ScoringThread
from asd_monitor.journal.alarm_records import AlarmRecord, Event
from asd_monitor.journal.machine_entries import OutOfService
from asd_monitor.publish.messages import Score
from asd_monitor.records import NO_SIGNAL, MachineState, MicrophoneState, WhenQuiet
from asd_monitor.wording import named_period, printable
from asd_monitor.worker_thread import WorkerThread

log = structlog.get_logger()

MAX_CHANGES = 256
"""Changes of state and microphone that wait for the journal."""

_LOGGED_WHERE_THEY_OCCUR = frozenset({*NO_SIGNAL, MachineState.UNAVAILABLE})  # changes to and from
_QUIET = {
    WhenQuiet.WARN: "far quieter than ever in training: check whether the machine runs",
    WhenQuiet.IDLE: "far quieter than ever in training: taken to be off",
    WhenQuiet.ALARM: "far quieter than ever in training, and the machine has to run",
}


def hidden_reason(alarm: AlarmRecord | None, out_of_service: OutOfService | None) -> str | None:
    """Return why a machine's alarm is hidden; None: it is not."""
    if out_of_service is not None:
        return printable(f"out of service: {out_of_service.why} ({out_of_service.who})")
    if alarm is None or alarm.shelved_until is None:
        return None
    return f"shelved until {alarm.shelved_until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True, slots=True)
class _Change:
    """A transition that the daemon has observed and the journal does not have yet."""

    kind: TransitionKind
    before: str
    after: str
    why: str
    time: datetime


class SessionReporter:
    """Publishes the condition of a machine, its scores and its events.

    Args:
        capture, evaluator, scoring, initial_training, running: The parts of the session, whose
            condition is reported.
        publisher: Publishes the messages of the machine.
        stream: Identifies the session for the publisher.
        page: Shows each window; None: there is no page.
        score_interval_s: Shortest interval between two score messages, in s of sound.
        on_change_queued: Called when `write_changes` has something to write.

    """

    def __init__(
        self,
        *,
        capture: CaptureLoop,
        evaluator: Evaluator,
        scoring: ScoringThread,
        initial_training: InitialTraining | None,
        running: RunningInput | None,
        publisher: MachinePublisher,
        stream: StreamToken,
        page: PageFeed | None = None,
        score_interval_s: float,
        on_change_queued: Callable[[], None],
    ) -> None:
        self.skipped_windows = 0
        """Windows that load shedding has skipped."""
        self.dropped_changes = 0
        """Changes of state and microphone that are not in the journal: too many were waiting."""
        self._capture = capture
        self._evaluator = evaluator
        self._scoring = scoring
        self._initial_training = initial_training
        self._running = running
        self._publisher = publisher
        self._stream = stream
        self._page = page
        self._score_interval_s = score_interval_s
        self._on_change_queued = on_change_queued
        self._log = log.bind(machine=publisher.machine)
        self._changes: deque[_Change] = deque(maxlen=MAX_CHANGES)
        self._state_published = False
        self._last_microphone: MicrophoneState | None = None
        self._stopped = False
        self._logged_chatter = False

    def publish_state(self) -> bool:
        """Publish the state if it has changed; return whether it has."""
        evaluator = self._evaluator
        condition = self._condition(evaluator.state, quiet=evaluator.quiet)
        return self._publish_condition(condition, self._capture.now())

    def _publish_condition(self, condition: MachineCondition, now: datetime) -> bool:
        self._observe_microphone(condition, now)
        before = self._publisher.condition
        # the monitor reports changes between two states in which the sound is evaluated
        is_of_monitor = before.evaluated and condition.evaluated
        if self._state_published and before.state != condition.state and not is_of_monitor:
            why = condition.reason or self._why_evaluated(before)
            self._queue(_Change(TransitionKind.STATE, before.state, condition.state, why, now))
        self._state_published = True
        has_changed = self._publisher.publish_state(condition, now)
        if before.suppressed != condition.suppressed:
            self.publish_alarm()
        return has_changed

    def repeat_state(self) -> None:
        """Publish the state, changed or not, and the alarm where it chatters no more."""
        now = self._capture.now()
        self._publisher.repeat_state(now)
        if self._publisher.published_chatter and not self._evaluator.is_chattering(now):
            self.publish_alarm()

    def publish_stopped(self, reason: str) -> None:
        """Publish that the monitoring has ended, and why; only the first call has an effect."""
        if self._stopped:
            return
        self._stopped = True
        self._publisher.flush_score()
        evaluator = self._evaluator
        if evaluator.alarm != self._publisher.published_alarm:  # written while the session ended
            self.publish_alarm()
        condition = MachineCondition(
            MachineState.STOPPED,
            self._microphone(),
            reason,
            evaluator.model.version,
            evaluator.model.provisional,
        )
        self._publisher.publish_state(condition, self._capture.now())

    def publish_ended(self) -> None:
        """Publish that the recording has ended; it is an error that nothing was evaluated."""
        evaluator, training = self._evaluator, self._initial_training
        reason = self._capture.reason or "the recording has ended"
        if evaluator.model.missing_reason is None or self._capture.reason is not None:
            self.publish_stopped(reason)
            return
        if training is not None and training.active:
            why = training.shortfall
            if evaluator.microphone.is_fault:
                why = f"{evaluator.microphone.reason}; {why}"
        else:
            why = (training.failure if training else None) or evaluator.model.missing_reason
        self._log.error(
            "the recording has ended without a model: nothing was evaluated", reason=why
        )
        self.publish_stopped(f"{reason} without a model: {why}")

    def publish_alarm(self) -> None:
        """Publish the alarm condition, where it is known: the broker may have an earlier one."""
        if self._evaluator.is_alarm_known:
            self._publish_alarm(self._evaluator.alarm)

    def publish_changed_alarm(self) -> None:
        """Publish the alarm condition where no transition has: after a label, or out of service."""
        publisher, evaluator = self._publisher, self._evaluator
        is_out = evaluator.out_of_service is not None
        if (
            evaluator.alarm != publisher.published_alarm
            or is_out != publisher.published_out_of_service
        ):
            self.publish_alarm()

    def _publish_alarm(self, alarm: AlarmRecord | None) -> None:
        evaluator = self._evaluator
        self._publisher.publish_alarm(
            alarm,
            out_of_service=evaluator.out_of_service is not None,
            chattering=evaluator.is_chattering(self._capture.now()),
        )

    def publish_reading(self, recorded: RecordedReading) -> None:
        """Publish a reading: its events, its score and the state."""
        reading = recorded.reading
        window = reading.window
        self.publish_events(recorded.events)
        if window is not None:
            self.skipped_windows += window.hops - 1
            rate_hz = self._capture.rate_hz
            score = Score(
                machine=self._publisher.machine,
                time=self._capture.time_of(window.end),
                sample=window.end,
                seq=self._publisher.next_seq(),
                window_s=(window.end - window.start) / rate_hz,
                score=window.score,
                alarm_score=reading.alarm_score,
                views=window.views,
                thresholds=self._evaluator.monitor.rule.thresholds,
                state=reading.state,
                microphone=self._microphone(),
                rms_dbfs=window.rms_dbfs,
                lost_samples=self._publisher.counts.lost_samples,
                model=self._evaluator.model.version,
            )
            if self._page is not None:
                self._page.show_window(score.machine, reading, score.thresholds, score.time)
            interval_samples = round(self._score_interval_s * rate_hz)
            self._publisher.publish_score(
                score, interval_samples=interval_samples, stream=self._stream
            )
        condition = self._condition(reading.state, quiet=reading.quiet)
        self._publish_condition(condition, self._capture.time_of(reading.sample))

    def publish_events(self, events: Iterable[Event]) -> None:
        """Log and publish events that the journal has."""
        for event in events:
            self._log_event(event)
            self._publish_event(event)

    async def write_changes(self, worker: WorkerThread) -> None:
        """Write the changes that are queued now to the journal and publish them.

        Where that is cancelled, the worker still writes them.
        """
        if not self._changes:
            return
        changes = list(self._changes)
        self._changes.clear()
        for event in await worker.run(self._record, changes):
            if not {event.before, event.after} & _LOGGED_WHERE_THEY_OCCUR:
                self._log_event(event)
            self._publish_event(event)

    def _record(self, changes: Iterable[_Change]) -> list[Event]:
        return [
            self._evaluator.record_change(each.kind, each.before, each.after, each.why, each.time)
            for each in changes
        ]

    def _observe_microphone(self, condition: MachineCondition, now: datetime) -> None:
        if not self._capture.has_reported:
            return
        before, microphone = self._last_microphone, self._capture.microphone
        if before is not None and before != microphone:
            why = condition.reason or "signal present"
            self._queue(_Change(TransitionKind.MICROPHONE, before, microphone, why, now))
        self._last_microphone = microphone

    def _queue(self, change: _Change) -> None:
        """Queue a change for the journal; where too many wait, the oldest is dropped."""
        if len(self._changes) == self._changes.maxlen:
            if not self.dropped_changes:
                self._log.error(
                    "changes of state and microphone are faster than the journal is written: the"
                    " oldest are dropped",
                    waiting=len(self._changes),
                    hint="check the disk; `dropped.changes` in the status of the box counts them",
                )
            self.dropped_changes += 1
        self._changes.append(change)
        self._on_change_queued()

    def _log_event(self, event: Event) -> None:
        facts = {"why": event.why, "who": event.who, "alarm": event.alarm_id}
        is_alarm = event.kind is TransitionKind.ALARM
        raised = is_alarm and event.after == AlarmCondition.UNACKNOWLEDGED
        self._log.log(
            logging.WARNING if raised else logging.INFO,
            f"{event.kind}: {event.before} → {event.after}",
            **{key: value for key, value in facts.items() if value is not None},
        )

    def _publish_event(self, event: Event) -> None:
        newest = self._evaluator.alarm
        # the acknowledgement of an older alarm does not change the published condition
        if event.alarm is not None and newest is not None and event.alarm.id == newest.id:
            self._publish_alarm(event.alarm)
            self._log_chatter()
        self._publisher.publish_events()

    def _log_chatter(self) -> None:
        """Log once that the machine's alarms have begun to chatter."""
        chatters = self._publisher.published_chatter
        if chatters and not self._logged_chatter:
            self._log.warning(
                f"the machine's alarms chatter: {CHATTER_RAISES} within {named_period(CHATTER_S)}",
                hint=CHATTER_REMEDY,
            )
        self._logged_chatter = chatters

    def _why_evaluated(self, before: MachineCondition) -> str:
        if before.state is MachineState.UNAVAILABLE:
            return "the microphone delivers sound"
        if before.suppressed and self._running is not None:
            return f"running by the message on {self._running.settings.topic}"
        return f"model {self._evaluator.model.version} is in use"

    def _condition(self, state: MachineState, *, quiet: bool) -> MachineCondition:
        evaluator, training = self._evaluator, self._initial_training
        reasons = [self._capture.reason]
        if self._capture.outage is None:
            reasons.append(evaluator.microphone.reason)
        if evaluator.model.missing_reason is None:
            reasons.append(evaluator.model.notice)
            reasons.append(_QUIET[evaluator.monitor.rule.when_quiet] if quiet else None)
            stride = min(self._scoring.stride, evaluator.monitor.scorer.max_stride)
            if stride > 1:
                reasons.append(
                    f"the box is too slow for all its machines: {stride - 1} of {stride} windows "
                    "are skipped"
                )
        elif training is not None and training.active:
            state = MachineState.LEARNING
            reasons.append(training.progress)
        else:
            state = MachineState.NO_MODEL
            reasons.append(
                (training.failure if training else None) or evaluator.model.missing_reason
            )
        running = self._running
        reasons.append(None if running is None else running.reason)
        reasons.append(hidden_reason(evaluator.alarm, evaluator.out_of_service))
        reason = "; ".join(reason for reason in reasons if reason)
        return MachineCondition(
            state,
            self._microphone(),
            reason or None,
            evaluator.model.version,
            evaluator.model.provisional,
            suppressed=running is not None and not running.reading.running,
        )

    def _microphone(self) -> MicrophoneState:
        by_capture, by_sound = self._capture.microphone, self._evaluator.microphone.state
        if self._capture.outage is not None or by_sound is MicrophoneState.OK:
            return by_capture
        return by_sound
