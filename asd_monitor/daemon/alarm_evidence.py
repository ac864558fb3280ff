"""The evidence of the alarms of one machine: what is captured, from the raise to the end of sound.

It works in the event loop, and copies samples only.  The sound of an alarm is copied out of the
ring buffer when it is complete, or when the capture is interrupted or ends: then what there is.
What takes time is done by `asd_monitor.daemon.evidence_packages`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from asd_monitor.alarm.state import NEW_ALARM, AlarmCondition, TransitionKind
from asd_monitor.audio.ring_buffer import RingBuffer
from asd_monitor.config.machine_settings import MachineDefaults
from asd_monitor.daemon.capture_loop import CaptureLoop
from asd_monitor.daemon.evaluator import Evaluator, RecordedReading
from asd_monitor.daemon.evidence_packages import DEFECTS, EvidencePackages
from asd_monitor.evidence.building import DEFAULT_RATE_HZ, CapturedAlarm
from asd_monitor.evidence.contents import AlarmFacts, ScoresAround
from asd_monitor.evidence.score_history import ScoreHistory, onset_of
from asd_monitor.evidence.sound_span import KeptSound, KeptTimes, SoundContent, joined
from asd_monitor.journal.alarm_records import AlarmRecord, Event
from asd_monitor.model_store.bundle import Bundle
from asd_monitor.monitor import Reading

_NO_MEMORY = (
    "Too many alarms were raised at the same time: there was no memory for the sound of this one."
)


def kept_times(settings: MachineDefaults) -> KeptTimes:
    """Return how much sound around an alarm is kept, as configured."""
    evidence = settings.evidence
    return KeptTimes(evidence.keep_before_s, evidence.keep_after_s)


@dataclass(frozen=True, slots=True, eq=False)
class _Pending:
    """An alarm whose sound is not complete yet."""

    facts: AlarmFacts
    bundle: Bundle | None
    first: int  # sample index of its first sample
    past: int  # one past the last
    notes: tuple[str, ...] = field(default=())


class AlarmEvidence:
    """Captures the evidence of the alarms of one session.

    Args:
        machine: Id of the machine.
        settings: Its configuration.
        capture: Has its sound.
        evaluator: Has its model and its monitor.
        packages: Writes the packages of the box.

    """

    def __init__(
        self,
        machine: str,
        settings: MachineDefaults,
        *,
        capture: CaptureLoop,
        evaluator: Evaluator,
        packages: EvidencePackages,
    ) -> None:
        self._machine = machine
        self._settings = settings
        self._times = kept_times(settings)
        self._content = SoundContent(settings.evidence.sound)
        self._capture = capture
        self._evaluator = evaluator
        self._packages = packages
        self._history = ScoreHistory(())
        self._model: str | None = None  # of the history
        self._pending: list[_Pending] = []

    def note(self, recorded: Sequence[RecordedReading], end: int) -> None:
        """Take up the readings of a block that ends there, and the alarms that they raise."""
        for each in recorded:
            with self._counted():
                self._take_scores(each.reading)
            self._begin_raised(each.events, each.reading)
        self._collect([each for each in self._pending if end >= each.past])

    def note_released(self, events: Sequence[Event]) -> None:
        """Take up the transitions of a held alarm that was raised without a reading."""
        self._begin_raised(events, None)

    def end_sound(self) -> None:
        """Take the sound that there is: no more of the stream follows without a gap."""
        self._collect(list(self._pending))

    def _begin_raised(self, events: Sequence[Event], reading: Reading | None) -> None:
        for event in events:
            if (alarm := _raised(event)) is not None:
                with self._counted(alarm.id):
                    self._begin(alarm, reading)

    @contextmanager
    def _counted(self, alarm_id: str | None = None) -> Iterator[None]:
        """Count a defect: it does not end the monitoring."""
        try:
            yield
        except DEFECTS as error:
            self._packages.note_defect(self._machine, error, alarm_id)

    def _take_scores(self, reading: Reading) -> None:
        evaluator = self._evaluator
        if reading.window is None:
            return
        scales_s = tuple(tail.seconds for tail in evaluator.monitor.rule.tails)
        if (evaluator.model.version, scales_s) != (self._model, self._history.scales_s):
            self._model, self._history = evaluator.model.version, ScoreHistory(scales_s)
        self._history.push(reading)

    def _begin(self, alarm: AlarmRecord, reading: Reading | None) -> None:
        """Note an alarm that was raised just now."""
        ring, evaluator = self._capture.ring, self._evaluator
        if ring is None:
            return
        rate_hz = ring.stream.rate_hz
        raised = self._capture.position if reading is None else reading.sample
        thresholds = evaluator.monitor.rule.thresholds
        onset = onset_of(self._history.trace(), raised, thresholds.alarm)
        if onset is None:
            onset = raised - round(self._settings.alarm.on_delay_s * rate_hz)
        window = None if reading is None else reading.window
        alarm_score = alarm.peak_score
        if reading is not None and window is not None:
            alarm_score = reading.alarm_score
        condition = evaluator.microphone
        bundle = evaluator.model.bundle
        facts = AlarmFacts(
            id=alarm.id,
            machine=self._machine,
            box=self._packages.box,
            raised=alarm.raised,
            raised_sample=raised,
            onset_sample=max(0, onset),
            reason=alarm.reason or "the reason is not known",
            alarm_score=alarm_score,
            time_scale_s=alarm.time_scale_s,
            views=alarm.views if window is None else window.views,
            thresholds=thresholds,
            model=evaluator.model.version,
            provisional=evaluator.model.provisional is not None,
            budget=str(self._settings.alarm.false_alarms),
            budget_note=evaluator.model.budget_text,
            microphone=condition.state,
            microphone_reason=condition.reason,
            lost_samples=self._capture.lost_samples,
            is_quiet=window is not None and window.quiet,
        )
        first, past = self._times.span(facts.onset_sample, raised, rate_hz)
        self._pending.append(_Pending(facts, bundle, first, past))

    def _collect(self, due: Sequence[_Pending]) -> None:
        """Hand over these alarms with the sound that there is."""
        ring = self._capture.ring
        if ring is None or not due:
            return
        self._pending = [each for each in self._pending if each not in due]
        for each in due:
            with self._counted(each.facts.id):
                sound, notes = None, each.notes
                try:
                    sound = self._sound_of(each, ring)
                except MemoryError:
                    notes = (*notes, _NO_MEMORY)
                self._packages.submit(self._captured(each, sound, notes), each.bundle)

    def _sound_of(self, pending: _Pending, ring: RingBuffer) -> KeptSound | None:
        """Return a copy of the sound of an alarm; None: it is not there any more.

        Raises MemoryError where too much waits to be written, or there is no memory for a copy.
        """
        if not self._packages.has_room(4 * (pending.past - pending.first)):
            raise MemoryError
        return joined(ring.span(pending.first, pending.past))

    def _captured(
        self, pending: _Pending, sound: KeptSound | None, notes: tuple[str, ...]
    ) -> CapturedAlarm:
        monitor, facts, bundle = self._evaluator.monitor, pending.facts, pending.bundle
        begin = facts.raised
        if sound is not None:  # by the clock of the raise, which may have been set since
            begin += timedelta(seconds=-sound.at_s(facts.raised_sample))
        return CapturedAlarm(
            facts=facts,
            scores=ScoresAround(self._history.trace(), monitor.block_means, monitor.levels),
            sound=sound,
            content=self._content,
            begin=begin,
            rate_hz=DEFAULT_RATE_HZ if bundle is None else bundle.detector.rate_hz,
            profile=None if bundle is None else bundle.profile,
            geometry=self._settings.machine_geometry,
            notes=notes,
        )


def _raised(event: Event) -> AlarmRecord | None:
    """Return the alarm that an event raises anew; None: it goes on, or is raised again."""
    is_new = (
        event.kind is TransitionKind.ALARM
        and event.before in NEW_ALARM
        and event.after == AlarmCondition.UNACKNOWLEDGED
    )
    return event.alarm if is_new else None
