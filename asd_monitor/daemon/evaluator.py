"""What is known of one machine: its model, its monitor and its journal.

The monitor is pushed in the thread of all machines (`asd_monitor.daemon.scoring_thread`).  The rest
of what takes time, loading a model and writing to the journal, runs in the machine's own
thread.  Nothing here publishes; it returns what there is to tell.  Without a model the sound
is still watched for a dead channel, and standing alarms can be acknowledged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog

from asd_monitor.alarm.budget import rule_for
from asd_monitor.alarm.state import Transition, TransitionKind
from asd_monitor.config.settings import MachineDefaults
from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.journal.alarm_records import AlarmRecord, Event
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.model_store.bundle import Bundle, BundleError, load_bundle, versions
from asd_monitor.monitor import Monitor, Reading
from asd_monitor.pipeline import Pipeline
from asd_monitor.records import Block, MachineState, WindowScore

log = structlog.get_logger()

_PEAK_EVERY_S = 10.0  # of sound; the peak of a standing alarm is written no more often
_PEAK_STEP = 0.1


@dataclass(frozen=True, slots=True)
class Verdict:
    """One reading, and what the journal made of its transitions."""

    reading: Reading
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one block told."""

    verdicts: tuple[Verdict, ...]
    peak_grew: bool  # that of the standing alarm


class _NoModel:
    """Scores nothing."""

    def push(self, block: Block) -> list[WindowScore]:  # noqa: ARG002 - the shape of a scorer
        return []


@dataclass(frozen=True, slots=True)
class _NothingScored:
    """The alarm scale of a machine without a model: no score ever reaches a threshold."""

    hop_s: float

    def alarm_threshold(self, alarms_per_s: float) -> float:  # noqa: ARG002 - the shape of a scale
        return math.inf


class Evaluator:
    """One machine's detector, alarm rule and journal; asked for one thing at a time."""

    def __init__(
        self,
        machine: str,
        settings: MachineDefaults,
        models: Path,
        journal: MachineJournal,
        time_of: Callable[[int], datetime],
        *,
        load: Callable[[Path, str], Bundle] = load_bundle,
    ) -> None:
        """`time_of` gives the wall-clock time of a sample; nothing is loaded yet."""
        self.bundle: Bundle | None = None
        self.no_model: str | None = "the model is being loaded"
        self.notice: str | None = None  # what is not as asked for, though it works
        self.untrained = False  # there has never been a model
        self._machine = machine
        self._settings = settings
        self._models = models
        self._journal = journal
        self._time_of = time_of
        self._load = load
        self._rate_hz: int | None = None
        self._peak_at = 0
        rule = rule_for(settings.alarm, _NothingScored(settings.hop_s))
        # the rate is not known before the microphone is open, and plays no part without scores
        self._monitor = Monitor(_NoModel(), rule, 16_000, journal.restored_alarm())

    @property
    def state(self) -> MachineState:
        """What is known of the machine."""
        return MachineState.NO_MODEL if self.no_model else self._monitor.state

    @property
    def dead_channel(self) -> bool:
        """Whether the microphone gives one value for ever."""
        return self._monitor.microphone_fault

    @property
    def model(self) -> str | None:
        """Name of the model version in use."""
        return self.bundle.version if self.bundle else None

    @property
    def monitor(self) -> Monitor:
        """The monitor in use; another one after each change of model or rate."""
        return self._monitor

    @property
    def alarm(self) -> AlarmRecord | None:
        """The machine's newest alarm."""
        return self._journal.newest

    def load(self) -> bool:
        """Load the model that is current now; tell whether another one is in use than before.

        One that cannot be loaded leaves an earlier one in use; `no_model` or `notice` then
        tell why.
        """
        try:
            bundle = self._load(self._models, self._machine)
        except BundleError as error:
            self.untrained = self._is_untrained()
            if self.bundle is None:
                self.no_model = error.reason
            else:
                self.notice = f"the new model is not used, {self.model} goes on: {error.reason}"
            return False
        self.notice, self.untrained = None, False
        if self.bundle is not None and bundle.version == self.bundle.version:
            return False
        self.bundle = bundle
        self._tell_differences(bundle)
        self._renew()
        return True

    def _is_untrained(self) -> bool:
        try:
            return not versions(self._models, self._machine)
        except OSError:  # nobody knows, and the reason that there is no model tells it
            return False

    def begin(self, rate_hz: int) -> None:
        """Take note of the rate of the blocks to come."""
        self._rate_hz = rate_hz
        self._renew()

    def write(self, readings: Sequence[Reading], end: int) -> Judgement:
        """Write down what readings changed; `end` is that of the block that told them."""
        verdicts = []
        for reading in readings:
            events = [self._record(change) for change in reading.transitions]
            verdicts.append(Verdict(reading, tuple(events)))
        return Judgement(tuple(verdicts), peak_grew=self._keep_peak(end))

    def has_to_write(self, readings: Sequence[Reading], end: int) -> bool:
        """Tell whether `write` would write anything to the journal."""
        return any(reading.transitions for reading in readings) or self._peak_is_due(end)

    def outage(self) -> None:
        """Nobody listens from here on, until the next block."""
        self._monitor.outage()

    def note(self, kind: TransitionKind, before: str, after: str, why: str, now: datetime) -> Event:
        """Write down a change that the daemon saw, not the monitor."""
        return self._journal.record(Transition(0, kind, before, after, why), now, self.model)

    def take_up(self, now: datetime) -> list[Event]:
        """Apply the acknowledgements made by `alarms ack`; raises JournalError."""
        return self._journal.apply_acknowledgements(self._monitor, now, self.model)

    def _peak_is_due(self, at: int) -> bool:
        alarm, record = self._monitor.alarm, self._journal.newest
        due = self._peak_at + (self._rate_hz or 0) * _PEAK_EVERY_S
        return not (alarm is None or record is None or not alarm.active or at < due)

    def _keep_peak(self, at: int) -> bool:
        """Write a standing alarm's peak where it has grown."""
        alarm, record = self._monitor.alarm, self._journal.newest
        if not self._peak_is_due(at) or alarm is None or record is None:
            return False
        self._peak_at = at
        if alarm.peak_score < record.peak_score + _PEAK_STEP:
            return False
        self._journal.update_peak(alarm)
        return True

    def _record(self, change: Transition) -> Event:
        return self._journal.record(change, self._time_of(change.sample), self.model)

    def _renew(self) -> None:
        """Build the monitor for the model and rate at hand; alarms stand as they did."""
        standing = self._monitor.alarm
        settings = self._settings
        detector = self.bundle.detector if self.bundle else None
        rate_hz = self._rate_hz or (detector.rate_hz if detector else 16_000)
        if detector is not None:
            self.no_model = None
            if rate_hz < detector.rate_hz:
                self.no_model = (
                    f"model {self.model} needs sound of {detector.rate_hz} Hz and the microphone "
                    f"gives {rate_hz} Hz: use the microphone that it was trained with, or train "
                    "anew"
                )
        scorer = _NoModel() if detector is None or self.no_model else Pipeline(detector, rate_hz)
        self._monitor = Monitor(
            scorer,
            rule_for(settings.alarm, detector or _NothingScored(settings.hop_s)),
            rate_hz,
            standing,
        )

    def _tell_differences(self, bundle: Bundle) -> None:
        detector, settings = bundle.detector, self._settings
        asked = front_end_for(max(4000, detector.rate_hz), settings.window_s, settings.hop_s)
        if (asked.window_s, asked.hop_s) != (detector.window_s, detector.hop_s):
            log.warning(
                "the model was trained with another window than configured; the model's is used",
                machine=self._machine,
                model=bundle.version,
                window_s=detector.window_s,
                hop_s=detector.hop_s,
                configured_window_s=settings.window_s,
                configured_hop_s=settings.hop_s,
                hint="train anew, or write the model's window_s and hop_s into the configuration",
            )
