"""The labels of a machine's alarms, read alarm by alarm: a refit has little memory.

As in `asd_monitor.journal.commands`, no lock is taken and nothing is written.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from asd_monitor.journal.alarm_entries import as_alarm
from asd_monitor.journal.alarm_records import AlarmRecord
from asd_monitor.journal.alarm_tables import readable_rows
from asd_monitor.journal.file_image import open_image, read_files
from asd_monitor.journal.journal_file import find_journal
from asd_monitor.journal.sqlite_errors import JournalError, translated
from asd_monitor.records import AlarmLabel


@dataclass(frozen=True, slots=True)
class LabelledAlarms:
    """The labels of a machine's alarms."""

    labels: tuple[AlarmLabel, ...] = ()  # of the oldest alarm first
    damage: str | None = None
    """Why labels may be missing; None: nothing was found."""


def labelled_alarms(state: Path, machine: str) -> LabelledAlarms:
    """Return the labels of a machine's alarms, as far as they can be read; none without a journal.

    Where there is a journal and nothing of it can be read, that is the damage.
    """
    try:
        path = find_journal(state)
        if path is None:
            return LabelledAlarms()
        with translated(path):
            image = open_image(read_files(path))
    except JournalError as error:
        return LabelledAlarms(damage=str(error))
    if image is None:
        return LabelledAlarms(damage=f"{path}: not a journal of alarms")
    damage, labels = image.damage, []
    with contextlib.closing(image.database) as database:
        for row in readable_rows(database, "alarms"):
            record = as_alarm(row)
            if record is None:
                damage = damage or "an alarm cannot be read"
            elif record.machine == machine and record.label is not None:
                labels.append(label_of(record, record.label))
    found = None if damage is None else f"{path}: damaged, labels may be missing ({damage})"
    return LabelledAlarms(tuple(labels), found)


def label_of(record: AlarmRecord, label: str) -> AlarmLabel:
    """Return the label of an alarm."""
    return AlarmLabel(
        record.id,
        record.raised,
        label,
        record.label_why,
        record.labelled_by or "unknown",
        record.cleared,
    )
