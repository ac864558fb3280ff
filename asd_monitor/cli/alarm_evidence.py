"""`asd-monitor alarms show`: the evidence of an alarm, and its page in the browser."""

from __future__ import annotations

import os
import sys
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from asd_monitor.errors import OperationError

if TYPE_CHECKING:
    from asd_monitor.journal.alarm_records import AlarmRecord

_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")


@dataclass(frozen=True, slots=True)
class FoundEvidence:
    """The package of an alarm on disk."""

    folder: Path
    bytes: int


def find_evidence(state: Path, record: AlarmRecord) -> FoundEvidence | None:
    """Return the package of an alarm; None: it was not written, or was deleted."""
    from asd_monitor.evidence.package_names import SIDECAR
    from asd_monitor.evidence.package_paths import package_folder

    try:
        folder = package_folder(state, record.machine, record.id)
        if not (folder / SIDECAR).is_file():
            return None
        return FoundEvidence(folder, sum(each.stat().st_size for each in folder.iterdir()))
    except (OSError, ValueError):
        return None


def evidence_text(state: Path, record: AlarmRecord) -> str | None:
    """Return the package of an alarm and its size; None: there is none."""
    found = find_evidence(state, record)
    if found is not None:
        return f"{found.folder} ({found.bytes / 1e6:.1f} MB)"
    return None if record.evidence is None else "deleted"


def open_evidence(state: Path, record: AlarmRecord) -> None:
    """Open the page of an alarm in the browser; without a display, print where it is.

    Raises OperationError where the alarm has no evidence.
    """
    from asd_monitor.evidence.package_names import PAGE

    found = find_evidence(state, record)
    if found is None:
        raise OperationError(
            f"{record.id} has no evidence: it is written when its sound is complete, some seconds "
            "after the alarm, and deleted by evidence.max_bytes and max_age_days; see "
            "`evidence` in the counters of the box's status"
        )
    page = (found.folder / PAGE).resolve()
    has_display = sys.platform == "darwin" or any(os.environ.get(each) for each in _DISPLAYS)
    if not has_display or not webbrowser.open(page.as_uri()):
        typer.echo(str(page))
        typer.echo(
            "asd-monitor: no browser could be opened here: copy the folder "
            f"{found.folder} to a computer with a browser, and open {PAGE} there",
            err=True,
        )
