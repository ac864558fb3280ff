"""Where the package of an alarm is."""

from __future__ import annotations

from pathlib import Path

from asd_monitor.evidence.package_names import FOLDER
from asd_monitor.names import is_id


def package_folder(state: Path, machine: str, alarm_id: str) -> Path:
    """Return the folder of a package, whether it exists or not.

    Raises ValueError for ids that are no names of folders.
    """
    if not is_id(machine) or Path(alarm_id).name != alarm_id or alarm_id.startswith("."):
        raise ValueError(f"no package of machine {machine!r} and alarm {alarm_id!r}")
    return state / FOLDER / machine / alarm_id
