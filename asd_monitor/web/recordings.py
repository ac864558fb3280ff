"""Recordings of normal sound that were made on the page: what is kept, and its bounds.

A recording is a folder ``<state>/recordings/<machine>/<UTC time>``, as `asd-monitor record` writes
it: a file, or more where sound was lost.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from asd_monitor.errors import OperationError, UsageError
from asd_monitor.limited_reading import read_limited
from asd_monitor.private_files import create_private_folder

MAX_RECORDINGS = 20
"""Of a machine."""
MAX_BYTES = 4_000_000_000
"""Of all machines."""
MAX_MINUTES = 240
"""Of one recording."""
MAX_TRAINING_S = 8 * 3600.0
"""Sound of one training, in s."""
_FREE_BYTES = 500_000_000  # of the disk, that stay free
_BYTES_A_MINUTE = 60 * 48_000 * 2  # at most, of the usual sample rates
_MAX_SIDECAR_BYTES = 1 << 16
_MAX_DBFS = 100.0  # above full scale by far
_MAX_FILES = 1000  # of one recording that are looked at
_NAME = re.compile(r"\d{8}T\d{6}Z")


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording."""

    name: str
    begun: str  # RFC 3339
    seconds: float
    rms_dbfs: float | None
    files: int
    complete: bool  # whether it was ended, by its duration or by a person
    warnings: tuple[str, ...]
    size: int  # in bytes


class Recordings:
    """The recordings in a state folder; all methods read or write the disk.

    Args:
        state: The folder.

    """

    def __init__(self, state: Path) -> None:
        self._home = state / "recordings"

    def folder(self, machine: str) -> Path:
        """Return where the recordings of a machine are."""
        return self._home / machine

    def of_machine(self, machine: str) -> list[Recording]:
        """Return the recordings of a machine, the newest first; a folder without sound is none."""
        found = (_read(folder) for folder in sorted(self._folders(machine), reverse=True))
        return [each for each in found if each is not None]

    def begin(self, machine: str, minutes: float, machines: Collection[str], now: datetime) -> Path:
        """Return the folder of a new recording, which exists; folders without sound are removed.

        Args:
            machine: Id of the machine.
            minutes: Duration of the recording.
            machines: Ids of all machines.
            now: The present time, UTC.

        Raises:
            UsageError: It may not have that duration, or so many recordings are kept already.
            OperationError: The disk has too little space, or cannot be written.

        """
        if not 1 <= minutes <= MAX_MINUTES:
            raise UsageError(f"a recording has 1 to {MAX_MINUTES} minutes: write such a number")
        try:
            for folder in self._folders(machine):
                if not any(folder.glob("*.flac")):
                    shutil.rmtree(folder)
            kept = self.of_machine(machine)
            if len(kept) >= MAX_RECORDINGS:
                raise UsageError(
                    f"{machine} has {MAX_RECORDINGS} recordings: delete some that are not needed"
                )
            wanted = minutes * _BYTES_A_MINUTE
            stored = sum(recording.size for each in machines for recording in self.of_machine(each))
            if stored + wanted > MAX_BYTES:
                raise UsageError(
                    f"the recordings have {stored / 1e9:.1f} GB, with this one they may have more "
                    f"than {MAX_BYTES / 1e9:g} GB: delete some that are not needed"
                )
            folder = self.folder(machine) / f"{now:%Y%m%dT%H%M%SZ}"
            create_private_folder(folder.parent)
            free = shutil.disk_usage(folder.parent).free
            if free - wanted < _FREE_BYTES:
                raise OperationError(
                    f"the disk has {free / 1e9:.1f} GB free, the recording may need "
                    f"{wanted / 1e9:.2f} GB and {_FREE_BYTES / 1e9:g} GB stay free: delete "
                    "recordings or other files, or record fewer minutes"
                )
            create_private_folder(folder)
        except OSError as error:
            raise OperationError(
                f"{self._home}: cannot be written ({error.strerror or error}): allow the user of "
                "the service to, and free some space"
            ) from error
        return folder

    def chosen(self, machine: str, names: Sequence[str]) -> list[Path]:
        """Return the folders of recordings for a training.

        Raises `UsageError` where there is none, one does not exist, or they are too long.
        """
        known = {each.name: each for each in self.of_machine(machine)}
        missing = [name for name in names if name not in known]
        if missing:
            raise UsageError(f"{machine} has no recording {missing[0]}: load the page again")
        if not names:
            raise UsageError("choose the recordings from which the model is trained")
        seconds = sum(known[name].seconds for name in names)
        if seconds > MAX_TRAINING_S:
            raise UsageError(
                f"the chosen recordings have {seconds / 3600:.1f} h: choose "
                f"{MAX_TRAINING_S / 3600:g} h at most"
            )
        return [self.folder(machine) / name for name in names]

    def delete(self, machine: str, name: str) -> None:
        """Delete a recording.

        Raises UsageError where there is none; OperationError where that fails.
        """
        folder = self.folder(machine) / name
        if folder not in self._folders(machine):
            raise UsageError(f"{machine} has no recording {name}: it was deleted already")
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise OperationError(
                f"{folder}: cannot be deleted ({error.strerror or error}): allow the user of the "
                "service to"
            ) from error

    def _folders(self, machine: str) -> list[Path]:
        try:
            inside = list(self.folder(machine).iterdir())
        except OSError:
            return []
        return [
            each
            for each in inside
            if _NAME.fullmatch(each.name) and each.is_dir() and not each.is_symlink()
        ]


def _read(folder: Path) -> Recording | None:
    """Return a recording by the sidecars of its files; None where it has no sound."""
    sidecars, size = [], 0
    for path in sorted(folder.glob("*.flac"))[:_MAX_FILES]:
        try:
            size += path.stat().st_size
        except OSError:
            continue
        sidecars.append(_sidecar(path.with_suffix(".json")))
    if not sidecars:
        return None
    seconds = [float(each["seconds"]) for each in sidecars]
    power = sum(
        length * 10 ** (float(each["levels"]["rms_dbfs"]) / 10)
        for each, length in zip(sidecars, seconds, strict=True)
        if each["levels"]["rms_dbfs"] is not None
    )
    warnings = dict.fromkeys(str(text) for each in sidecars for text in each["warnings"])
    name = folder.name
    return Recording(
        name,
        f"{name[:4]}-{name[4:6]}-{name[6:11]}:{name[11:13]}:{name[13:]}",
        sum(seconds),
        10 * math.log10(power / sum(seconds)) if power > 0 else None,
        len(sidecars),
        all(each["complete"] is True for each in sidecars),
        tuple(warnings),
        size,
    )


def _sidecar(path: Path) -> dict[str, Any]:
    """Return what is needed of a sidecar; of one that is missing or damaged, that it is."""
    try:
        document = json.loads(read_limited(path, _MAX_SIDECAR_BYTES))
        return {
            "seconds": _within(document["seconds"], 0.0, sys.float_info.max),
            "levels": {"rms_dbfs": _within(document["levels"]["rms_dbfs"], -math.inf, _MAX_DBFS)},
            "warnings": list(document["warnings"]),
            "complete": document["complete"],
        }
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        text = "its description is missing or damaged: the training reads the sound all the same"
        return {
            "seconds": 0.0,
            "levels": {"rms_dbfs": None},
            "warnings": [text],
            "complete": False,
        }


def _within(value: Any, low: float, high: float) -> float:
    """Return a number.  Raises ValueError outside of these limits, TypeError for no number."""
    number = float(value)
    if not low <= number <= high:
        raise ValueError(f"{number} is not from {low} to {high}")
    return number
