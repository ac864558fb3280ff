"""The sound that the packages of a machine's alarms keep, as models learn from it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import soundfile
import structlog

from asd_monitor.evidence.package_files import (
    Package,
    PackageError,
    package_folder,
    read_package,
    stored_packages,
)
from asd_monitor.records import Samples

log = structlog.get_logger()

_MAX_RATE_HZ = 384_000


@dataclass(frozen=True, slots=True)
class AlarmSound:
    """The sound that is kept of one alarm."""

    alarm_id: str
    path: Path
    rate_hz: int
    begin: datetime  # of its first sample, UTC
    samples: int

    @property
    def end(self) -> datetime:
        """The time of its end, UTC."""
        return self.begin + timedelta(seconds=self.samples / self.rate_hz)

    def overlap_s(self, begin: datetime, end: datetime) -> float:
        """Return how much of it lies between two times, in s."""
        return max(0.0, (min(end, self.end) - max(begin, self.begin)).total_seconds())

    def read(self, begin: datetime | None = None, end: datetime | None = None) -> Samples:
        """Return the sound (n,) between two times, as far as it is there.

        Raises:
            PackageError: it cannot be read.

        """
        first = 0 if begin is None else self._index(begin)
        past = self.samples if end is None else self._index(end)
        try:
            with soundfile.SoundFile(os.fsencode(self.path)) as file:
                file.seek(min(first, file.frames))
                read = file.read(max(0, past - first), dtype="float32", always_2d=True)
        except (OSError, soundfile.SoundFileError) as error:
            raise PackageError(
                f"{self.path}: the sound of an alarm cannot be read ({error}): delete its folder, "
                "or restore it from a backup"
            ) from error
        return np.ascontiguousarray(read[:, 0])

    def _index(self, time: datetime) -> int:
        return min(self.samples, max(0, round((time - self.begin).total_seconds() * self.rate_hz)))


def alarm_sounds(state: Path, machine: str) -> list[AlarmSound]:
    """Return the sounds that are kept of a machine's alarms, the oldest first.

    Sound that was low-passed, or has gaps, is not that of the machine and is left out.  A damaged
    package is left out and logged.
    """
    found = []
    for stored in stored_packages(state, machine):
        folder = package_folder(state, machine, stored.alarm_id)
        try:
            sound = _sound_of(read_package(folder))
        except (PackageError, ValueError, KeyError, TypeError) as error:
            log.warning(
                "the kept sound of an alarm is left out", package=str(folder), reason=str(error)
            )
            continue
        if sound is not None:
            found.append(sound)
    return sorted(found, key=lambda each: (each.begin, each.alarm_id))


def _sound_of(package: Package) -> AlarmSound | None:
    """Return the sound of a package; None where it has none that a model can learn from.

    Raises ValueError, KeyError, TypeError where the sidecar is malformed.
    """
    sound, path = package.document["sound"], package.sound_path
    if sound is None or path is None or not path.is_file():
        return None
    begin, rate_hz = datetime.fromisoformat(sound["begin"]), int(sound["rate_hz"])
    samples = int(sound["samples"])
    if begin.tzinfo is None or not 0 < rate_hz <= _MAX_RATE_HZ or samples < 0:
        raise ValueError("has a time, a rate or a length that cannot be")
    if rate_hz != sound["capture_rate_hz"] or sound["gaps"]:
        return None
    return AlarmSound(str(package.alarm["id"]), path, rate_hz, begin.astimezone(UTC), samples)
