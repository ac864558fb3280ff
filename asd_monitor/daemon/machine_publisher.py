"""Messages about one machine: its state, scores, alarm condition and events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from operator import attrgetter
from typing import Protocol

from asd_monitor.alarm.alarm_score import ScoreLevel
from asd_monitor.alarm.supported_budget import EffectiveBudget, provisional_note
from asd_monitor.journal.alarm_records import AlarmRecord
from asd_monitor.publish import messages
from asd_monitor.publish.topics import Topics
from asd_monitor.records import NO_SIGNAL, MachineState, MicrophoneState, is_evaluated


class Publisher(Protocol):
    """Accepts messages; the session with the broker is one."""

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """Queue a message; returns at once."""


@dataclass(frozen=True, slots=True)
class MachineCondition:
    """State of a machine and its microphone, as the state message reports it.

    While the microphone delivers no sound the state is `unavailable`, unless it is `stopped`.
    Otherwise it is `idle` while the running signal says that the machine is off (``suppressed``),
    where sound would be evaluated.
    """

    state: MachineState
    microphone: MicrophoneState
    reason: str | None = None
    model: str | None = None
    provisional: EffectiveBudget | None = None  # None: the model supports the configured one
    suppressed: bool = False  # alarms are neither raised nor cleared: the machine is off

    def __post_init__(self) -> None:
        if self.microphone in NO_SIGNAL and self.state is not MachineState.STOPPED:
            object.__setattr__(self, "state", MachineState.UNAVAILABLE)
        elif self.suppressed and is_evaluated(self.state):
            object.__setattr__(self, "state", MachineState.IDLE)

    @property
    def evaluated(self) -> bool:
        """Whether the machine's sound is evaluated."""
        return is_evaluated(self.state) and not self.suppressed

    @property
    def explanation(self) -> str | None:
        """The reason, and while the sound is evaluated, the budget of a provisional model."""
        note = None
        if self.provisional is not None and is_evaluated(self.state):
            note = provisional_note(self.provisional)
        return "; ".join(text for text in (self.reason, note) if text) or None


_TREND_SCALE_S = 3600.0  # shortest time scale whose level is published


@dataclass(frozen=True, slots=True)
class StreamCounts:
    """Counters of one stream of sound, or the sum over several."""

    lost_samples: int = 0
    gaps: int = 0
    restarts: int = 0
    """Restarts of the capture."""
    skipped_windows: int = 0
    """Windows that load shedding has skipped."""
    overrun_samples: int = 0
    """Of the lost samples, those overwritten before they were evaluated."""
    clock_steps: int = 0
    """Steps of the system clock while sound was captured."""
    dropped_outages: int = 0
    """Outages that were forgotten before the evaluation came to them."""
    unread_requests: int = 0
    """Times that requests could not be read from the journal; it is tried again."""
    failed_trainings: int = 0
    """First trainings that failed, or recordings for them."""
    unsaved_evidence: int = 0
    """Times that the evidence of the longer time scales could not be saved."""
    unexplained_alarms: int = 0
    """Alarms whose reason could not be determined; the rule is their reason."""
    dropped_changes: int = 0
    """Changes of state and microphone that are not in the journal."""

    def __add__(self, other: StreamCounts) -> StreamCounts:
        """Return the sum of both."""
        return StreamCounts(*map(int.__add__, _counts_of(self), _counts_of(other)))


_counts_of: Callable[[StreamCounts], tuple[int, ...]] = attrgetter(
    *(field.name for field in fields(StreamCounts))
)


class StreamToken:
    """Identity of a stream for a `MachinePublisher`."""


class MachinePublisher:
    """Publishes everything about one machine since the start of the daemon.

    It outlives the monitor sessions of the machine.  Each session begins a stream, whose sample
    index starts again; scores of different streams are never compared.
    """

    def __init__(
        self,
        machine: str,
        topics: Topics,
        publisher: Publisher,
        *,
        clock_synced: Callable[[], bool],
        publish_events: Callable[[], None],
    ) -> None:
        """``publish_events`` publishes the events that wait in the journal; it returns at once."""
        self.machine = machine
        self.publish_events = publish_events
        self.published_alarm: AlarmRecord | None = None
        """The newest alarm of which the condition was published."""
        self.published_chatter = False
        """Whether it was published as chattering."""
        self.published_out_of_service = False
        """Whether it was published as that of a machine out of service."""
        self.condition = MachineCondition(
            MachineState.UNAVAILABLE, MicrophoneState.NO_DEVICE, "starting"
        )
        self._topics = topics
        self._publisher = publisher
        self._clock_synced = clock_synced
        self._since: datetime | None = None
        self._stated_alarm_active = False  # in the newest message of the state
        self._newest: messages.Score | None = None  # window, while the sound is evaluated
        self._last_evaluated: messages.LastEvaluated | None = None
        self.late_scores = 0
        """Scores of earlier streams that were not published."""
        self._seq = 0
        self._pending: messages.Score | None = None  # largest score not yet published
        self._published_sample: int | None = None  # of the stream
        self._ended_streams = StreamCounts()
        self._streams: dict[StreamToken, Callable[[], StreamCounts]] = {}
        self._stream: StreamToken | None = None  # the newest, whose scores are published

    def begin_stream(self, counts: Callable[[], StreamCounts]) -> StreamToken:
        """Begin a stream; ``counts`` returns its counters so far.

        The token identifies the stream.  Scores of an earlier one are not published any more; its
        counters count until it is ended.
        """
        self._void_scores()
        self._stream = token = StreamToken()
        self._streams[token] = counts
        return token

    def end_stream(self, stream: StreamToken) -> None:
        """Keep the counters of a stream; possible more than once.

        For the newest stream, the pending score is published first.
        """
        counts = self._streams.pop(stream, StreamCounts)
        self._ended_streams += counts()
        if stream is self._stream:
            self._void_scores()
            self._stream = None

    def _void_scores(self) -> None:
        self.flush_score()
        self._newest = None
        self._published_sample = None

    @property
    def counts(self) -> StreamCounts:
        """Counters over all streams since the start of the daemon."""
        return sum((counts() for counts in self._streams.values()), self._ended_streams)

    def status(
        self,
        *,
        model: str | None = None,
        drift_ppm: float | None = None,
        levels: Sequence[ScoreLevel] = (),
        commissioning: messages.CommissioningStatus | None = None,
        running: messages.RunningStatus | None = None,
    ) -> messages.MachineStatus:
        """Return the machine's entry in the status of the box."""
        counts = self.counts
        return messages.MachineStatus(
            state=self.condition.state,
            microphone=self.condition.microphone,
            model=model,
            lost_samples=counts.lost_samples,
            gaps=counts.gaps,
            restarts=counts.restarts,
            drift_ppm=drift_ppm,
            skipped_windows=counts.skipped_windows,
            score_levels=[
                messages.ScoreLevel(each.time_scale_s, each.mean, each.warning, each.alarm)
                for each in levels
                if each.time_scale_s >= _TREND_SCALE_S
            ],
            commissioning=commissioning,
            running=running,
        )

    @property
    def newest_score(self) -> messages.Score | None:
        """The score of the newest window; None while the sound is not evaluated."""
        return self._newest

    @property
    def last_evaluated(self) -> messages.LastEvaluated | None:
        """State and time of the newest window; None: none was evaluated."""
        return self._last_evaluated

    def publish_state(self, condition: MachineCondition, now: datetime) -> bool:
        """Publish the state if it, or whether an alarm is active, has changed; return whether."""
        before, changed = self.condition, condition != self.condition or self._since is None
        changed = changed or self._is_alarm_active != self._stated_alarm_active
        if self._since is None or condition.state != before.state:
            self._since = now
        self.condition = condition
        self._clear_stale_score()
        if changed:
            self.repeat_state(now)
        return changed

    def repeat_state(self, now: datetime) -> None:
        """Publish the state, changed or not."""
        self._clear_stale_score()
        self._stated_alarm_active = self._is_alarm_active
        state = messages.State(
            machine=self.machine,
            time=now,
            state=self.condition.state,
            microphone=self.condition.microphone,
            evaluated=self.condition.evaluated,
            since=self._since or now,
            last_evaluated=self._last_evaluated,
            score=self._newest.score if self._newest else None,
            alarm_score=self._newest.alarm_score if self._newest else None,
            model=self.condition.model,
            provisional=self.condition.provisional is not None,
            box=self._topics.box,
            clock_synced=self._clock_synced(),
            reason=self.condition.explanation,
            alarm_active=self._stated_alarm_active,
        )
        self._send(self._topics.state(self.machine), state, qos=1, retain=True)

    @property
    def _is_alarm_active(self) -> bool:
        return self.published_alarm is not None and self.published_alarm.active

    def _clear_stale_score(self) -> None:
        if not self.condition.evaluated:
            self._newest = None

    def next_seq(self) -> int:
        """Return the sequence number of the next window, from 1."""
        self._seq += 1
        return self._seq

    def publish_score(
        self, score: messages.Score, *, interval_samples: int, stream: StreamToken | None = None
    ) -> None:
        """Publish a window's score, at most once per interval.

        The message carries the window of the largest score since the last message, with the
        largest alarm score.  The first window of a stream is published at once; a score of another
        stream than the newest is not published.
        """
        if stream is not self._stream:
            self.late_scores += 1
            return
        self._newest = score
        self._last_evaluated = messages.LastEvaluated(score.state, score.time)
        newest, pending = score.sample, self._pending
        if pending is not None:
            alarm_score = max(pending.alarm_score or 0.0, score.alarm_score or 0.0)
            larger = score if (score.score or 0.0) >= (pending.score or 0.0) else pending
            score = replace(larger, alarm_score=alarm_score)
        self._pending = score
        if self._published_sample is None or newest - self._published_sample >= interval_samples:
            self._published_sample = newest
            self.flush_score()

    def flush_score(self) -> None:
        """Publish the pending score."""
        if self._pending is not None:
            self._send(self._topics.score(self.machine), self._pending, qos=0, retain=False)
            self._pending = None

    def publish_alarm(
        self, alarm: AlarmRecord | None, *, out_of_service: bool = False, chattering: bool = False
    ) -> None:
        """Publish the alarm condition; None: the machine has never had an alarm.

        It is provisional where the model that raised it is; where that is not known, as of an
        earlier version, where the model in use is.
        """
        self.published_alarm, self.published_chatter = alarm, chattering
        self.published_out_of_service = out_of_service
        provisional = self.condition.provisional is not None
        message = messages.no_alarm(self.machine, self.condition.model, provisional=provisional)
        if alarm is not None:
            known = alarm.provisional
            message = replace(
                message,
                id=alarm.id,
                active=alarm.active,
                acknowledged=alarm.acknowledged,
                shelved_until=alarm.shelved_until,
                latched=alarm.latched,
                provisional=provisional if known is None else known,
                severity=alarm.severity,
                raised=alarm.raised,
                cleared=alarm.cleared,
                acknowledged_at=alarm.acknowledged_at,
                peak_alarm_score=alarm.peak_score,
                time_scale_s=alarm.time_scale_s,
                reason=alarm.reason,
                views=alarm.views,
                evidence=alarm.evidence,
                model=alarm.model,
            )
        message = replace(
            message,
            suppressed=self.condition.suppressed,
            out_of_service=out_of_service,
            chattering=chattering,
        )
        self._send(self._topics.alarm(self.machine), message, qos=1, retain=True)

    def _send(self, topic: str, message: messages.Message, *, qos: int, retain: bool) -> None:
        self._publisher.publish(topic, message.payload(), qos=qos, retain=retain)


def utc(unix_s: float) -> datetime:
    """Return a Unix time, in s, as an aware datetime in UTC."""
    return datetime.fromtimestamp(unix_s, UTC)
