"""Writes the transitions of one machine to its journal, with cause and reason of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from asd_monitor.alarm.alarm_hold import HeldAlarm
from asd_monitor.alarm.state import Alarm, Transition, TransitionKind
from asd_monitor.daemon.alarm_reasons import AlarmReasons
from asd_monitor.daemon.model_in_use import ModelInUse
from asd_monitor.journal.alarm_changes import Cause
from asd_monitor.journal.alarm_records import Event
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.monitor import Reading
from asd_monitor.records import Block

_PEAK_INTERVAL_S = 10.0  # of sound, between two writes of an active alarm's peak
_PEAK_STEP = 0.1  # smallest rise of the peak that is written


class TransitionWriter:
    """Writes the transitions of one machine, and the peak of its alarm; waits for the disk.

    Args:
        journal: The journal of the machine.
        model: The model in use.
        reasons: Determines the reasons of alarms.
        time_of: Returns the wall-clock time of a sample index.

    """

    def __init__(
        self,
        journal: MachineJournal,
        model: ModelInUse,
        reasons: AlarmReasons,
        time_of: Callable[[int], datetime],
    ) -> None:
        self._journal = journal
        self._model = model
        self._reasons = reasons
        self._time_of = time_of
        self._peak_written_at = 0  # sample index

    def write(self, change: Transition, reading: Reading, alarm_sound: Block | None) -> Event:
        """Write a transition of a reading; ``alarm_sound`` is the sound before an alarm."""
        window = reading.window
        cause = Cause(provisional=self._model.provisional is not None)
        if window is not None:
            cause = replace(
                cause,
                alarm_score=reading.alarm_score,
                time_scale_s=reading.time_scale_s,
                views=window.views,
            )
        profile = None if self._model.bundle is None else self._model.bundle.profile
        explained = self._reasons.explained(change, reading, alarm_sound, profile)
        return self._write(explained, cause)

    def write_held(self, changes: Sequence[Transition], held: HeldAlarm | None) -> list[Event]:
        """Write the transitions of an alarm that was held."""
        cause = Cause(provisional=self._model.provisional is not None)
        if held is not None:
            cause = replace(cause, alarm_score=held.peak, time_scale_s=held.time_scale_s)
        return [self._write(change, cause) for change in changes]

    def _write(self, change: Transition, cause: Cause) -> Event:
        time, version = self._time_of(change.sample), self._model.version
        return self._journal.record(change, time, version, cause=cause)

    def write_observed(
        self, kind: TransitionKind, before: str, after: str, why: str, now: datetime
    ) -> Event:
        """Write a change that the daemon has observed and the monitor has not."""
        change = Transition(0, kind, before, after, why)
        return self._journal.record(change, now, self._model.version)

    def is_peak_due(self, alarm: Alarm | None, at: int, rate_hz: int) -> bool:
        """Return whether `write_peak` would look at the peak of an alarm at a sample index."""
        due = self._peak_written_at + rate_hz * _PEAK_INTERVAL_S
        is_known = alarm is not None and self._journal.newest is not None
        return is_known and alarm is not None and alarm.active and at >= due

    def write_peak(self, alarm: Alarm | None, at: int, rate_hz: int) -> bool:
        """Write an active alarm's peak if it has risen; return whether it has."""
        record = self._journal.newest
        if not self.is_peak_due(alarm, at, rate_hz) or alarm is None or record is None:
            return False
        self._peak_written_at = at
        written = record.peak_score
        if written is not None and alarm.peak_score < written + _PEAK_STEP:
            return False
        self._journal.update_peak(alarm)
        return True
