"""A state folder with many alarms, each with its events and a small package of evidence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from asd_monitor.alarm.state import Alarm, AlarmCondition, Transition, TransitionKind
from asd_monitor.evidence.contents import AlarmFacts, PackageContent, ScoresAround
from asd_monitor.evidence.package_files import write_package
from asd_monitor.evidence.package_names import relative_path
from asd_monitor.evidence.score_history import ScoreTrace
from asd_monitor.evidence.sound_span import SoundContent
from asd_monitor.journal.alarm_changes import NO_CAUSE, Cause
from asd_monitor.journal.alarm_entries import AlarmEntry, Entry
from asd_monitor.journal.alarm_records import AlarmRecord
from asd_monitor.journal.limited_disk import DiskLimits
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.store import Journal
from asd_monitor.records import MicrophoneState, Thresholds

RETURNED_S, ACKNOWLEDGED_S, BETWEEN_S = 40.0, 600.0, 700.0
"""Since an alarm was raised, and the shortest time between two of a machine."""
MODEL = "v1"
_AT_ONCE = 200
"""Alarms that are written in one transaction."""
_PATIENT = DiskLimits(answer_s=60.0)
_SCORE, _SCALE_S = 7.0, 10.0
_REASON = "9 dB louder at 1.0 to 1.25 kHz (alarm score 7.00 over 10 s)"
_CAUSE = Cause(_SCORE, _SCALE_S, {"encoder": 3.1, "spectrum": 2.4, "level": 0.7})


@dataclass(frozen=True, slots=True)
class AlarmHistory:
    """How many alarms there are, and when they were raised."""

    alarms: int
    machines: int
    unacknowledged: int
    """The newest, which have returned to normal; the others are closed."""
    days: float
    """In which they were raised, up to the end."""

    def raised(self, end: datetime) -> list[tuple[datetime, str]]:
        """Return when each alarm is raised, and of which machine, the oldest first.

        Raises ValueError where the alarms of a machine would overlap.
        """
        number = -(-self.alarms // self.machines)
        step = timedelta(days=self.days) / number
        if step.total_seconds() < BETWEEN_S:
            raise ValueError(f"{number} alarms of a machine are too many for {self.days:g} days")
        machines = [f"fan{at:02}" for at in range(1, self.machines + 1)]
        times = [end - step * (number - at) for at in range(number)]
        return [(time, machine) for time in times for machine in machines][-self.alarms :]


def make_folder(state: Path, history: AlarmHistory, end: datetime) -> None:
    """Write alarms, events and packages to a new state folder.

    Raises OSError, and ValueError for alarms that would overlap.
    """
    raised = history.raised(end)
    with Journal(state, limits=_PATIENT) as journal:
        machines = {name: MachineJournal(journal, name) for _, name in raised}
        for begin in range(0, len(raised), _AT_ONCE):
            written: list[Entry] = []
            for number, (time, name) in enumerate(raised[begin : begin + _AT_ONCE], start=begin):
                closes = number < len(raised) - history.unacknowledged
                written += _take_up_alarm(machines[name], time, closes=closes)
                record = _newest(machines[name])
                write_package(state, _package(record), "<p>A benchmark</p>")
                with_package = replace(record, evidence=relative_path(name, record.id))
                machines[name].replace_newest(with_package)
                written.append(AlarmEntry(with_package))
            journal.write(written)
            for name in machines:
                _publish(journal, name)


def _take_up_alarm(machine: MachineJournal, raised: datetime, *, closes: bool) -> list[Entry]:
    """Take up an alarm from its raising to its acknowledgement; return what is to be written."""
    written: list[Entry] = []
    for transition, after_s in _transitions(machine.number + 1, closes=closes):
        cause = NO_CAUSE if after_s else _CAUSE
        time = raised + timedelta(seconds=after_s)
        written += machine.entries_of(transition, time, MODEL, cause=cause)[1]
    return written


def _newest(machine: MachineJournal) -> AlarmRecord:
    if machine.newest is None:
        raise ValueError(f"{machine.machine}: no alarm was raised")
    return machine.newest


def _transitions(number: int, *, closes: bool) -> Iterator[tuple[Transition, float]]:
    """Return the transitions of an alarm, each with its time since the alarm, in s."""

    def of_alarm(
        before: AlarmCondition, after: AlarmCondition, why: str, who: str | None = None
    ) -> Transition:
        alarm = Alarm(number, after, _SCORE, _SCALE_S, scale_peaks={_SCALE_S: _SCORE, 60.0: 3.2})
        return Transition(0, TransitionKind.ALARM, before, after, why, who, alarm)

    normal, returned = AlarmCondition.NORMAL, AlarmCondition.RETURNED
    unacknowledged = AlarmCondition.UNACKNOWLEDGED
    yield Transition(0, TransitionKind.STATE, "normal", "alarm", _REASON), 0.0
    yield of_alarm(normal, unacknowledged, _REASON), 0.0
    yield Transition(0, TransitionKind.STATE, "alarm", "normal", "normal sound"), RETURNED_S
    yield of_alarm(unacknowledged, returned, "normal sound"), RETURNED_S
    if closes:
        yield of_alarm(returned, normal, "belt replaced", "ann"), ACKNOWLEDGED_S


def _publish(journal: Journal, machine: str) -> None:
    """Let the events of a machine be acknowledged by a broker."""
    for waiting in journal.outbox.take(machine, limit=5 * _AT_ONCE):
        journal.outbox.settle(waiting, None)


def _package(record: AlarmRecord) -> PackageContent:
    """Return a package without sound, and with the scores of three windows."""
    scores = np.full(3, _SCORE)
    trace = ScoreTrace((_SCALE_S,), np.arange(3), scores, scores, scores[:, np.newaxis])
    facts = AlarmFacts(
        id=record.id,
        machine=record.machine,
        box="benchmark",
        raised=record.raised,
        raised_sample=0,
        onset_sample=0,
        reason=_REASON,
        alarm_score=_SCORE,
        time_scale_s=_SCALE_S,
        views=_CAUSE.views,
        thresholds=Thresholds(4.0, 6.0),
        model=MODEL,
        provisional=False,
        budget="1 per month",
        budget_note=None,
        microphone=MicrophoneState.OK,
        microphone_reason=None,
        lost_samples=0,
    )
    return PackageContent(
        facts,
        ScoresAround(trace, (), ()),
        sound=None,
        content=SoundContent.NONE,
        begin=record.raised,
        sentence=_REASON,
    )
