"""What the daemon says of one machine: from what is known to messages on their topics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from asd_monitor.journal.alarm_records import AlarmRecord
from asd_monitor.journal.alarm_records import Event as JournalEvent
from asd_monitor.publish import messages
from asd_monitor.publish.topics import Topics
from asd_monitor.records import MachineState, MicrophoneState, is_evaluated


class Publisher(Protocol):
    """Where messages go; the session with the broker is one."""

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """Take a message and return at once."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What is known of a machine, as its state message tells it."""

    state: MachineState
    microphone: MicrophoneState
    reason: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class StreamCounts:
    """What was counted in one stream of sound, or in several."""

    lost_samples: int = 0
    gaps: int = 0
    restarts: int = 0  # of the microphone
    skipped_windows: int = 0

    def __add__(self, other: StreamCounts) -> StreamCounts:
        """Return the counts of both."""
        return StreamCounts(
            self.lost_samples + other.lost_samples,
            self.gaps + other.gaps,
            self.restarts + other.restarts,
            self.skipped_windows + other.skipped_windows,
        )


class MachinePublisher:
    """Everything published about one machine since the daemon's start.

    It outlives the listeners of the machine.  Each listener begins a stream, whose sample
    index starts again; scores of different streams are never compared.
    """

    def __init__(
        self,
        machine: str,
        topics: Topics,
        publisher: Publisher,
        *,
        clock_synced: Callable[[], bool],
    ) -> None:
        self.machine = machine
        self.condition = Condition(MachineState.NO_MODEL, MicrophoneState.NO_DEVICE, "starting")
        self._topics = topics
        self._publisher = publisher
        self._clock_synced = clock_synced
        self._since: datetime | None = None
        self._newest_score: float | None = None
        self._seq = 0
        self._greatest: messages.Score | None = None  # of those held back
        self._published_sample: int | None = None  # of the stream
        self._ended_streams = StreamCounts()
        self._count_stream: Callable[[], StreamCounts] = StreamCounts

    def begin_stream(self, count: Callable[[], StreamCounts]) -> None:
        """Take up the scores of a new stream; `count` returns what was counted in it so far."""
        self.end_stream()
        self._count_stream = count

    def end_stream(self) -> None:
        """Publish the score held back and keep the counts; the sample index is void from now on."""
        self.flush_score()
        self._newest_score = None
        self._published_sample = None
        self._ended_streams = self.counts
        self._count_stream = StreamCounts

    @property
    def counts(self) -> StreamCounts:
        """The counts of all streams since the daemon's start."""
        return self._ended_streams + self._count_stream()

    def status(
        self, *, model: str | None = None, drift_ppm: float | None = None
    ) -> messages.MachineStatus:
        """Return the machine's line in the status of the box."""
        counts = self.counts
        return messages.MachineStatus(
            state=self.condition.state,
            microphone=self.condition.microphone,
            model=model,
            lost_samples=counts.lost_samples,
            gaps=counts.gaps,
            restarts=counts.restarts,
            drift_ppm=drift_ppm,
            passed_over=counts.skipped_windows,
        )

    def publish_state(self, condition: Condition, now: datetime) -> bool:
        """Publish the state if it is another than before; tell whether it was."""
        before, changed = self.condition, condition != self.condition or self._since is None
        if self._since is None or condition.state != before.state:
            self._since = now
        self.condition = condition
        self._forget_old_score()
        if changed:
            self.repeat_state(now)
        return changed

    def repeat_state(self, now: datetime) -> None:
        """Publish the state as it is."""
        self._forget_old_score()
        state = messages.State(
            machine=self.machine,
            time=now,
            state=self.condition.state,
            microphone=self.condition.microphone,
            since=self._since or now,
            score=self._newest_score,
            model=self.condition.model,
            box=self._topics.box,
            clock_synced=self._clock_synced(),
            reason=self.condition.reason,
        )
        self._send(self._topics.state(self.machine), state, qos=1, retain=True)

    def _forget_old_score(self) -> None:
        if not is_evaluated(self.condition.state, self.condition.microphone):
            self._newest_score = None

    def next_seq(self) -> int:
        """Count one more window."""
        self._seq += 1
        return self._seq

    def publish_score(self, score: messages.Score, *, every_samples: int) -> None:
        """Publish a window's score, or hold it back: one message in `every_samples`.

        What is then published is the window of the greatest score since the last message,
        with the greatest alarm score.  The first window of a stream is published at once.
        """
        self._newest_score = score.score
        newest, best = score.sample, self._greatest
        if best is not None:
            alarm_score = max(best.alarm_score or 0.0, score.alarm_score or 0.0)
            greater = score if (score.score or 0.0) >= (best.score or 0.0) else best
            score = replace(greater, alarm_score=alarm_score)
        self._greatest = score
        if self._published_sample is None or newest - self._published_sample >= every_samples:
            self._published_sample = newest
            self.flush_score()

    def flush_score(self) -> None:
        """Publish what is held back."""
        if self._greatest is not None:
            self._send(self._topics.score(self.machine), self._greatest, qos=0, retain=False)
            self._greatest = None

    def publish_alarm(self, alarm: AlarmRecord | None) -> None:
        """Publish the alarm condition; None: there never was an alarm."""
        message = messages.no_alarm(self.machine, self.condition.model)
        if alarm is not None:
            message = messages.Alarm(
                machine=self.machine,
                id=alarm.id,
                active=alarm.active,
                acknowledged=alarm.acknowledged,
                shelved=False,
                latched=alarm.latched,
                severity=alarm.severity,
                raised=alarm.raised,
                cleared=alarm.cleared,
                acknowledged_at=alarm.acknowledged_at,
                peak_score=alarm.peak_score,
                evidence=alarm.evidence,
                model=alarm.model,
            )
        self._send(self._topics.alarm(self.machine), message, qos=1, retain=True)

    def publish_event(self, event: JournalEvent, *, score: float | None = None) -> None:
        """Publish a transition; `score` is the alarm score that brought it, where one did."""
        message = messages.Event(
            machine=self.machine,
            id=event.id,
            time=event.time,
            alarm_id=event.alarm_id,
            from_=event.before,
            to=event.after,
            who=event.who,
            why=event.why,
            historical=False,
            score=score,
        )
        self._send(self._topics.event(self.machine), message, qos=1, retain=False)

    def _send(self, topic: str, message: messages.Message, *, qos: int, retain: bool) -> None:
        self._publisher.publish(topic, message.payload(), qos=qos, retain=retain)


def utc(unix_s: float) -> datetime:
    """Return a Unix time as a date."""
    return datetime.fromtimestamp(unix_s, UTC)
