"""Labels of a machine's alarms and its marked sound, from the journal of a state folder."""

from __future__ import annotations

from pathlib import Path

from asd_monitor.errors import OperationError
from asd_monitor.journal.commands import read_journal
from asd_monitor.model_store.labels_file import MachineLabels
from asd_monitor.records import AlarmLabel


def labels_of(state: Path, machine: str) -> tuple[MachineLabels, list[str]]:
    """Return labels and marks of a machine, and why some may be missing, one sentence each."""
    if not state.is_dir():
        return MachineLabels(machine), []
    try:
        journal = read_journal(state)
    except OperationError as error:
        return MachineLabels(machine), [f"the labels of its alarms are left out: {error}"]
    if journal is None:
        return MachineLabels(machine), []
    labels = tuple(
        AlarmLabel(
            each.id,
            each.raised,
            each.label,
            each.label_why,
            each.labelled_by or "unknown",
            each.cleared,
        )
        for each in reversed(journal.alarms)
        if each.machine == machine and each.label is not None
    )
    spans = tuple(each for each in journal.normal_spans if each.machine == machine)
    return MachineLabels(machine, labels, spans), journal.warnings
