"""Evaluation of one machine's sound: its model, its monitor and its journal.

The monitor is run in the scoring thread of all machines (`asd_monitor.daemon.scoring_thread`).
Loading a model and writing to the journal take time and run in the machine's worker thread.
Nothing is published here.  Without a model, a dead channel is still detected, and requests about
an alarm are applied (`asd_monitor.daemon.no_model`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from asd_monitor.alarm.alarm_score import ScoreLevel
from asd_monitor.alarm.block_means import BlockMean
from asd_monitor.alarm.budget import alarm_rule
from asd_monitor.alarm.state import TransitionKind
from asd_monitor.alarm.time_scales import STEP_S
from asd_monitor.config.machine_settings import MachineDefaults
from asd_monitor.daemon.alarm_reasons import AlarmReasons
from asd_monitor.daemon.evidence_history import EvidenceHistory
from asd_monitor.daemon.model_in_use import LoadModel, ModelChange, ModelInUse
from asd_monitor.daemon.no_model import NoEvidence, NoScorer
from asd_monitor.daemon.transition_writer import TransitionWriter
from asd_monitor.detector.detector import Detector
from asd_monitor.features.windows import Window
from asd_monitor.journal.alarm_records import AlarmRecord, Event
from asd_monitor.journal.machine_entries import OutOfService
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.machine_requests import MachineRequests
from asd_monitor.microphone.findings import MicrophoneCondition
from asd_monitor.model_store.usable_version import load_usable_bundle
from asd_monitor.monitor import Monitor, Reading, Scorer
from asd_monitor.pipeline import Pipeline
from asd_monitor.records import Block, MachineState, WindowScore
from asd_monitor.self_test.recent_scores import RecentScores

_SAVE_INTERVAL_S = 600.0  # between two writes of the evidence
_DEFAULT_RATE_HZ = 16_000  # before the capture rate is known; has no effect without scores


@dataclass(frozen=True, slots=True)
class RecordedReading:
    """A reading and the journal entries of its transitions."""

    reading: Reading
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class RecordedBlock:
    """The evaluation of one block of sound."""

    readings: tuple[RecordedReading, ...]
    peak_rose: bool
    """Whether a larger peak of the active alarm was written."""


class Evaluator:
    """The model, the monitor and the journal of one machine; not for concurrent calls.

    Args:
        machine: Id of the machine.
        settings: Its configuration.
        models: The folder of models.
        journal: Its journal, with the alarms of earlier runs.
        time_of: Returns the wall-clock time of a sample index.
        load: Loads the current model.
        history: The evidence of earlier runs.
        reasons: Determines the reasons of alarms.
        monotonic_s: Reads the monotonic clock, in s.

    """

    def __init__(
        self,
        machine: str,
        settings: MachineDefaults,
        models: Path,
        journal: MachineJournal,
        time_of: Callable[[int], datetime],
        *,
        load: LoadModel = load_usable_bundle,
        history: EvidenceHistory | None = None,
        reasons: AlarmReasons | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.model = ModelInUse(machine, settings, models, load=load)
        """The model in use."""
        self.tap: Callable[[Sequence[Window]], object] | None = None
        """Receives the windows that are scored, in the scoring thread (`Pipeline.tap`)."""
        self.recent_scores = RecentScores()
        """Counts of the scores of the last hours."""
        self._settings = settings
        self._journal = journal
        self._requests = MachineRequests(journal)
        self._time_of = time_of
        self.levels: Sequence[ScoreLevel] = ()
        """The level of the evidence at each of the longer time scales."""
        self._levels_due = 0  # sample index
        self._history = history
        reasons = reasons or AlarmReasons(machine, threading.Lock())
        self._writer = TransitionWriter(journal, self.model, reasons, time_of)
        self._monotonic_s = monotonic_s
        self._saved_s = monotonic_s()
        self._rate_hz: int | None = None
        rule = alarm_rule(settings.alarm_criteria, NoEvidence(settings.window_s, settings.hop_s))
        self._monitor = Monitor(
            NoScorer(),
            rule,
            _DEFAULT_RATE_HZ,
            journal.restored_alarm(),
            in_service=journal.out_of_service is None,
        )

    @property
    def state(self) -> MachineState:
        """State of the machine."""
        return MachineState.NO_MODEL if self.model.missing_reason else self._monitor.state

    @property
    def quiet(self) -> bool:
        """Whether the sound has been far quieter than ever in training for the on-delay."""
        return self._monitor.quiet

    @property
    def microphone(self) -> MicrophoneCondition:
        """Condition of the microphone by its sound."""
        return self._monitor.microphone

    @property
    def monitor(self) -> Monitor:
        """The monitor in use; each change of model or rate replaces it."""
        return self._monitor

    @property
    def alarm(self) -> AlarmRecord | None:
        """The machine's newest alarm."""
        return self._journal.newest

    @property
    def out_of_service(self) -> OutOfService | None:
        """Since when the machine is out of service; None: it is in service."""
        return self._journal.out_of_service

    def is_chattering(self, now: datetime) -> bool:
        """Return whether the machine's alarms chatter now."""
        return self._journal.is_chattering(now)

    @property
    def is_alarm_known(self) -> bool:
        """Whether `alarm` is known: the journal of earlier runs may not be readable yet."""
        return self._journal.is_known

    def take_up_alarm(self) -> bool:
        """Take up the alarm of a journal that was read late; return whether there is a change."""
        return self._journal.take_up_late(self._monitor)

    def load_model(self) -> bool:
        """Load the current model; return whether another one is in use than before."""
        change, bundle = self.model.load(), self.model.bundle
        if change is ModelChange.NONE or bundle is None:
            return False
        self.recent_scores.begin_model()
        if change is ModelChange.OTHER or not self._exchange_detector(bundle.detector):
            self._replace_monitor()
        return True

    def _exchange_detector(self, detector: Detector) -> bool:
        """Score by a refitted detector without a gap; return whether that is possible.

        The alarm, its delays and its span are kept.
        """
        scorer = self._monitor.scorer
        if not isinstance(scorer, Pipeline) or not scorer.exchange(detector):
            return False
        self._monitor.replace_rule(alarm_rule(self._settings.alarm_criteria, detector))
        self._monitor.replace_baseline(detector.microphone)
        return True

    def set_rate(self, rate_hz: int) -> None:
        """Set the sample rate of the blocks that follow."""
        self._rate_hz = rate_hz
        self._replace_monitor()

    def record(
        self, readings: Sequence[Reading], end: int, alarm_sound: Block | None = None
    ) -> RecordedBlock:
        """Write the transitions of a block's readings.

        Args:
            readings: The readings.
            end: The end of the block.
            alarm_sound: The sound before an alarm that they raise, for its reason.

        """
        if end >= self._levels_due:
            self.levels = self._monitor.levels
            self._levels_due = end + round(STEP_S * (self._rate_hz or 0))
        recorded = []
        for reading in readings:
            if reading.window is not None:
                self._count_score(reading.window)
            events = [
                self._writer.write(change, reading, alarm_sound) for change in reading.transitions
            ]
            recorded.append(RecordedReading(reading, tuple(events)))
        peak_rose = self._writer.write_peak(self._monitor.alarm, end, self._rate_hz or 0)
        return RecordedBlock(tuple(recorded), peak_rose=peak_rose)

    def _count_score(self, window: WindowScore) -> None:
        if self.out_of_service is None:
            self.recent_scores.push(window, self._monitor.rule.hop_s)
        else:
            self.recent_scores.leave_out()

    def writes_journal(self, readings: Sequence[Reading], end: int) -> bool:
        """Return whether `record` would write to the journal."""
        return any(reading.transitions for reading in readings) or self._writer.is_peak_due(
            self._monitor.alarm, end, self._rate_hz or 0
        )

    @property
    def is_save_due(self) -> bool:
        """Whether the evidence was not saved for a while."""
        return self._history is not None and self._monotonic_s() >= self._saved_s + _SAVE_INTERVAL_S

    def save_evidence(self) -> None:
        """Save the evidence of the longer time scales, so that the next run takes it up.

        While the machine is out of service that from before is kept: the sound is that of the work.
        """
        self._saved_s = self._monotonic_s()
        if self._monitor.in_service:
            self._save_evidence()

    def _save_evidence(self) -> None:
        blocks, bundle = self._monitor.block_means, self.model.bundle
        if self._history is None or self._rate_hz is None or bundle is None or not blocks:
            return
        self._history.save(
            bundle.sha256,
            blocks,
            sample_0_s=self._time_of(0).timestamp(),
            rate_hz=self._rate_hz,
        )

    def _saved_evidence(self) -> list[BlockMean]:
        """Return the evidence of an earlier run, where the stream and the model are known."""
        if self._history is None or self._rate_hz is None or self.model.bundle is None:
            return []
        return self._history.load(
            self.model.bundle.sha256, sample_0_s=self._time_of(0).timestamp(), rate_hz=self._rate_hz
        )

    def interrupt(self) -> None:
        """Interrupt the evaluation: the next block follows an outage."""
        self._monitor.interrupt()

    @property
    def holds_alarm(self) -> bool:
        """Whether an alarm is delayed by a suspicion of the microphone."""
        return self._monitor.held is not None

    def raise_held_alarm(self) -> list[Event]:
        """Raise and write the alarm that is held, at the end of the monitoring."""
        held = self._monitor.held
        return self._writer.write_held(self._monitor.raise_held(), held)

    def record_change(
        self, kind: TransitionKind, before: str, after: str, why: str, now: datetime
    ) -> Event:
        """Write a change that the daemon has observed and the monitor has not."""
        return self._writer.write_observed(kind, before, after, why, now)

    def apply_requests(self, now: datetime, at: datetime) -> list[Event]:
        """Apply the requests about the machine and its alarms; raises JournalError.

        ``now`` is the present time, ``at`` that of the sound.
        """
        was_in_service = self._monitor.in_service
        events = self._requests.apply(self._monitor, now, self.model.version, at=at)
        if was_in_service and not self._monitor.in_service:
            self._save_evidence()  # that from before the work
        return events

    def expire_shelf(self, now: datetime, at: datetime) -> list[Event]:
        """End the shelving of the newest alarm, where its time is over."""
        return self._requests.expire_shelf(self._monitor, now, self.model.version, at=at)

    def _replace_monitor(self) -> None:
        """Build the monitor for the present model and rate; the alarms are kept."""
        standing, held = self._monitor.alarm, self._monitor.held
        settings = self._settings
        detector = self.model.detector
        rate_hz = self._rate_hz or (detector.rate_hz if detector else _DEFAULT_RATE_HZ)
        scorer: Scorer = NoScorer()
        if self.model.check_rate(rate_hz) and detector is not None:
            scorer = Pipeline(detector)
            scorer.tap = self._tap_windows
        evidence = detector or NoEvidence(settings.window_s, settings.hop_s)
        rule = alarm_rule(settings.alarm_criteria, evidence)
        baseline = detector.microphone if isinstance(scorer, Pipeline) and detector else None
        self._monitor = Monitor(
            scorer,
            rule,
            rate_hz,
            standing,
            self._saved_evidence(),
            held=held,
            baseline=baseline,
            in_service=self._monitor.in_service,
        )
        self.levels, self._levels_due = (), 0

    def _tap_windows(self, windows: Sequence[Window]) -> None:
        if self.tap is not None:
            self.tap(windows)
