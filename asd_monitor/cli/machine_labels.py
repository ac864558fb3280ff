"""Labels of a machine's alarms and its marked sound, from the journal of a state folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asd_monitor.alarm.state import SoundMark, TransitionKind
from asd_monitor.errors import OperationError
from asd_monitor.journal.commands import read_journal
from asd_monitor.journal.content import JournalContent
from asd_monitor.journal.labelled_alarms import label_of
from asd_monitor.model_store.labels_file import MachineLabels
from asd_monitor.records import WithdrawnMark


@dataclass(frozen=True, slots=True)
class JournalledLabels:
    """What the journal of a state folder has of a machine."""

    said: MachineLabels
    withdrawn: tuple[WithdrawnMark, ...] = ()
    unknown: str | None = None
    """Why labels and marks may be missing, with the remedy; None: the journal was read."""
    notices: tuple[str, ...] = ()
    """What else is wrong with the journal, one sentence each."""

    @property
    def labels(self) -> dict[str, str]:
        """Valid or invalid, by the ids of alarms."""
        return {each.alarm_id: each.label for each in self.said.labels}


def labels_of(state: Path, machine: str) -> JournalledLabels:
    """Return the labels and marks of a machine, as far as they can be read."""
    try:
        journal = read_journal(state)
    except OperationError as error:
        return _unknown(machine, str(error))
    if journal is None:
        return _unknown(
            machine, f"{state}: there is no journal of alarms: name the daemon's state folder"
        )
    labels = tuple(
        label_of(each, each.label)
        for each in reversed(journal.alarms)
        if each.machine == machine and each.label is not None
    )
    spans = tuple(each for each in journal.normal_spans if each.machine == machine)
    withdrawn = _withdrawn(journal, machine)
    damage = journal.damage
    return JournalledLabels(
        MachineLabels(machine, labels, spans),
        withdrawn,
        unknown=damage,
        notices=tuple(each for each in journal.warnings if each != damage),
    )


def _unknown(machine: str, reason: str) -> JournalledLabels:
    return JournalledLabels(
        MachineLabels(machine),
        unknown=f"labels of alarms and marks of {machine} are not known: {reason}",
    )


def _withdrawn(journal: JournalContent, machine: str) -> tuple[WithdrawnMark, ...]:
    """Return the withdrawals of marks; damaged rows set the damage of the journal."""
    return tuple(
        WithdrawnMark(each.time, each.alarm_id)
        for each in journal.all_events()
        if each.machine == machine
        and each.kind is TransitionKind.MARK
        and each.before == SoundMark.NORMAL
    )
