"""Evaluation of one machine's sound: its model, its monitor and its journal.

The monitor is run in the scoring thread of all machines (`asd_monitor.daemon.scoring_thread`).
Loading a model and writing to the journal take time and run in the machine's worker thread.
Nothing is published here.  Without a model, a dead channel is still detected, and requests about
an alarm are applied (`asd_monitor.daemon.no_model`).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import structlog

from asd_monitor.alarm.alarm_score import ScoreLevel
from asd_monitor.alarm.block_means import BlockMean
from asd_monitor.alarm.budget import alarm_rule
from asd_monitor.alarm.state import Transition, TransitionKind
from asd_monitor.alarm.supported_budget import (
    EffectiveBudget,
    effective_budget,
    provisional_text,
)
from asd_monitor.alarm.time_scales import STEP_S
from asd_monitor.config.settings import MachineDefaults
from asd_monitor.daemon.alarm_reasons import AlarmReasons
from asd_monitor.daemon.evidence_history import EvidenceHistory
from asd_monitor.daemon.no_model import NoEvidence, NoScorer
from asd_monitor.detector.detector import Detector
from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.features.windows import Window
from asd_monitor.journal.alarm_changes import Cause
from asd_monitor.journal.alarm_records import AlarmRecord, Event
from asd_monitor.journal.machine_entries import OutOfService
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.machine_requests import MachineRequests
from asd_monitor.microphone.findings import MicrophoneCondition
from asd_monitor.model_store.bundle import Bundle
from asd_monitor.model_store.usable_version import load_usable_bundle
from asd_monitor.model_store.versions import BundleError, versions
from asd_monitor.monitor import Monitor, Reading, Scorer
from asd_monitor.pipeline import Pipeline
from asd_monitor.records import Block, MachineState
from asd_monitor.self_test.recent_scores import RecentScores

log = structlog.get_logger()

LoadModel = Callable[[Path, str], Bundle]
"""(models, machine) → the bundle in use, or in its place the last good one; raises BundleError."""

_PEAK_INTERVAL_S = 10.0  # of sound, between two writes of an active alarm's peak
_SAVE_INTERVAL_S = 600.0  # between two writes of the evidence
_PEAK_STEP = 0.1  # smallest rise of the peak that is written
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
        self.bundle: Bundle | None = None
        """The model in use."""
        self.no_model_reason: str | None = "the model is being loaded"
        """Why the sound is not scored; None: it is."""
        self.model_notice: str | None = None
        """Why the newest model is not the one in use, or what is damaged in the models folder."""
        self.untrained = False
        """Whether the machine has never had a model."""
        self.provisional: EffectiveBudget | None = None
        """The budget of a provisional model; None: the model supports the configured one."""
        self.tap: Callable[[Sequence[Window]], object] | None = None
        """Receives the windows that are scored, in the scoring thread (`Pipeline.tap`)."""
        self.recent_scores = RecentScores()
        """Counts of the scores of the last hours."""
        self._machine = machine
        self._settings = settings
        self._models = models
        self._journal = journal
        self._requests = MachineRequests(journal)
        self._time_of = time_of
        self._load = load
        self.levels: Sequence[ScoreLevel] = ()
        """The level of the evidence at each of the longer time scales."""
        self._levels_due = 0  # sample index
        self._history = history
        self._reasons = reasons or AlarmReasons(machine, threading.Lock())
        self._monotonic_s = monotonic_s
        self._saved_s = monotonic_s()
        self._rate_hz: int | None = None
        self._peak_written_at = 0  # sample index
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
        return MachineState.NO_MODEL if self.no_model_reason else self._monitor.state

    @property
    def quiet(self) -> bool:
        """Whether the sound has been far quieter than ever in training for the on-delay."""
        return self._monitor.quiet

    @property
    def microphone(self) -> MicrophoneCondition:
        """Condition of the microphone by its sound."""
        return self._monitor.microphone

    @property
    def model(self) -> str | None:
        """Version of the model in use."""
        return self.bundle.version if self.bundle else None

    @property
    def budget_text(self) -> str | None:
        """The `provisional_text` of a provisional model; None: see `provisional`."""
        budget, bundle, settings = self.provisional, self.bundle, self._settings
        if budget is None or bundle is None:
            return None
        commissioning = bundle.commissioning(settings.commissioning.days)
        return provisional_text(budget, str(settings.alarm.false_alarms), commissioning)

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
        """Load the current model; return whether another one is in use than before.

        If it cannot be loaded, an earlier one stays in use, and `no_model_reason` or
        `model_notice` has the reason.
        """
        try:
            bundle = self._load(self._models, self._machine)
        except BundleError as error:
            self.untrained = self._is_untrained()
            if self.bundle is None:
                self.no_model_reason = error.reason
            else:
                self._keep_model(error.reason)
            return False
        self.untrained = False
        if self.bundle is not None and not bundle.is_current:
            self._keep_model(bundle.damage or "")
            return False
        self.model_notice = bundle.damage
        if self.bundle is not None and bundle.sha256 == self.bundle.sha256:
            return False
        before, self.bundle = self.bundle, bundle
        self.recent_scores.begin_model()
        budget = effective_budget(self._settings.alarm.criteria, bundle.detector.hours)
        self.provisional = budget if budget.provisional else None
        self._log_differences(bundle)
        is_refit = before is not None and bundle.first == before.first
        if not (is_refit and self._exchange_detector(bundle.detector)):
            self._replace_monitor()
        return True

    def _keep_model(self, reason: str) -> None:
        self.model_notice = f"the new model is not used, {self.model} remains in use: {reason}"

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

    def _is_untrained(self) -> bool:
        try:
            with os.scandir(self._models / self._machine):
                return not versions(self._models, self._machine)
        except FileNotFoundError:
            return True
        except OSError:  # not readable: there may be models; the reason names the cause
            return False

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
                self.recent_scores.push(reading.window, self._monitor.rule.hop_s)
            events = [
                self._record_transition(change, reading, alarm_sound)
                for change in reading.transitions
            ]
            recorded.append(RecordedReading(reading, tuple(events)))
        return RecordedBlock(tuple(recorded), peak_rose=self._record_peak(end))

    def writes_journal(self, readings: Sequence[Reading], end: int) -> bool:
        """Return whether `record` would write to the journal."""
        return any(reading.transitions for reading in readings) or self._is_peak_due(end)

    @property
    def is_save_due(self) -> bool:
        """Whether the evidence was not saved for a while."""
        return self._history is not None and self._monotonic_s() >= self._saved_s + _SAVE_INTERVAL_S

    def save_evidence(self) -> None:
        """Save the evidence of the longer time scales, so that the next run takes it up."""
        self._saved_s = self._monotonic_s()
        blocks = self._monitor.block_means
        if self._history is None or self._rate_hz is None or self.bundle is None or not blocks:
            return
        self._history.save(
            self.bundle.sha256,
            blocks,
            sample_0_s=self._time_of(0).timestamp(),
            rate_hz=self._rate_hz,
        )

    def _saved_evidence(self) -> list[BlockMean]:
        """Return the evidence of an earlier run, where the stream and the model are known."""
        if self._history is None or self._rate_hz is None or self.bundle is None:
            return []
        return self._history.load(
            self.bundle.sha256, sample_0_s=self._time_of(0).timestamp(), rate_hz=self._rate_hz
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
        cause = Cause(provisional=self.provisional is not None)
        if held is not None:
            cause = replace(cause, alarm_score=held.peak, time_scale_s=held.time_scale_s)
        return [
            self._journal.record(change, self._time_of(change.sample), self.model, cause=cause)
            for change in self._monitor.raise_held()
        ]

    def record_change(
        self, kind: TransitionKind, before: str, after: str, why: str, now: datetime
    ) -> Event:
        """Write a change that the daemon has observed and the monitor has not."""
        return self._journal.record(Transition(0, kind, before, after, why), now, self.model)

    def apply_requests(self, now: datetime, at: datetime) -> list[Event]:
        """Apply the requests about the machine and its alarms; raises JournalError.

        ``now`` is the present time, ``at`` that of the sound.
        """
        return self._requests.apply(self._monitor, now, self.model, at=at)

    def expire_shelf(self, now: datetime, at: datetime) -> list[Event]:
        """End the shelving of the newest alarm, where its time is over."""
        return self._requests.expire_shelf(self._monitor, now, self.model, at=at)

    def _is_peak_due(self, at: int) -> bool:
        alarm, record = self._monitor.alarm, self._journal.newest
        due = self._peak_written_at + (self._rate_hz or 0) * _PEAK_INTERVAL_S
        return not (alarm is None or record is None or not alarm.active or at < due)

    def _record_peak(self, at: int) -> bool:
        """Write an active alarm's peak if it has risen."""
        alarm, record = self._monitor.alarm, self._journal.newest
        if not self._is_peak_due(at) or alarm is None or record is None:
            return False
        self._peak_written_at = at
        written = record.peak_score
        if written is not None and alarm.peak_score < written + _PEAK_STEP:
            return False
        self._journal.update_peak(alarm)
        return True

    def _record_transition(
        self, change: Transition, reading: Reading, alarm_sound: Block | None
    ) -> Event:
        """Write a transition with the alarm score of the window that has caused it."""
        window = reading.window
        cause = Cause(provisional=self.provisional is not None)
        if window is not None:
            cause = replace(
                cause,
                alarm_score=reading.alarm_score,
                time_scale_s=reading.time_scale_s,
                views=window.views,
            )
        profile = None if self.bundle is None else self.bundle.profile
        explained = self._reasons.explained(change, reading, alarm_sound, profile)
        return self._journal.record(
            explained, self._time_of(change.sample), self.model, cause=cause
        )

    def _replace_monitor(self) -> None:
        """Build the monitor for the present model and rate; the alarms are kept."""
        standing, held = self._monitor.alarm, self._monitor.held
        settings = self._settings
        detector = self.bundle.detector if self.bundle else None
        rate_hz = self._rate_hz or (detector.rate_hz if detector else _DEFAULT_RATE_HZ)
        if detector is not None:
            self.no_model_reason = None
            if rate_hz < detector.rate_hz:
                self.no_model_reason = (
                    f"model {self.model} needs a sample rate of {detector.rate_hz} Hz and the "
                    f"microphone delivers {rate_hz} Hz: use the microphone that it was trained "
                    "with, or train a new model"
                )
        scorer: Scorer = NoScorer()
        if detector is not None and self.no_model_reason is None:
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

    def _log_differences(self, bundle: Bundle) -> None:
        detector, settings = bundle.detector, self._settings
        configured = front_end_for(max(4000, detector.rate_hz), settings.window_s, settings.hop_s)
        if (configured.window_s, configured.hop_s) != (detector.window_s, detector.hop_s):
            log.warning(
                "the model was trained with another window than configured; the model's is used",
                machine=self._machine,
                model=bundle.version,
                window_s=detector.window_s,
                hop_s=detector.hop_s,
                configured_window_s=settings.window_s,
                configured_hop_s=settings.hop_s,
                hint="train a new model, or configure the model's window_s and hop_s",
            )
