"""The sound that the packages of a machine's alarms keep, as models learn from it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import soundfile
import structlog

from asd_monitor.evidence.package_files import Package, PackageError, read_package, stored_packages
from asd_monitor.evidence.package_paths import package_folder
from asd_monitor.records import Samples

log = structlog.get_logger()

_MAX_RATE_HZ = 384_000
_GAP_MARGIN_S = 1e-4  # the sidecar rounds the times of gaps to this


@dataclass(frozen=True, slots=True)
class AlarmSound:
    """The sound that is kept of one alarm."""

    alarm_id: str
    path: Path
    rate_hz: int
    begin: datetime  # of its first sample, UTC
    samples: int
    gaps: tuple[tuple[int, int], ...] = ()
    """Without sound: sample indices of the first sample and of one past the last, in order."""

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


@dataclass(frozen=True, slots=True)
class KeptAlarms:
    """What the packages of a machine's alarms keep."""

    sounds: tuple[AlarmSound, ...]
    """The oldest first; some have gaps."""
    without_sound: Mapping[str, str]
    """Why there is no sound of the machine in the package of an alarm, by the ids of alarms."""

    @property
    def whole_sounds(self) -> tuple[AlarmSound, ...]:
        """Those without a gap, from which a model can learn."""
        return tuple(each for each in self.sounds if not each.gaps)


def kept_alarms(state: Path, machine: str) -> KeptAlarms:
    """Return the sound that is kept of a machine's alarms, and why some have none.

    Sound that was low-passed is not that of the machine.  A damaged package is logged.
    """
    found: list[AlarmSound] = []
    missing: dict[str, str] = {}
    for stored in stored_packages(state, machine):
        folder = package_folder(state, machine, stored.alarm_id)
        try:
            sound = _sound_of(read_package(folder))
        except (PackageError, ValueError, KeyError, TypeError) as error:
            log.warning(
                "the kept sound of an alarm is left out", package=str(folder), reason=str(error)
            )
            missing[stored.alarm_id] = "its package is damaged"
            continue
        if isinstance(sound, AlarmSound):
            found.append(sound)
        else:
            missing[stored.alarm_id] = sound
    found.sort(key=lambda each: (each.begin, each.alarm_id))
    return KeptAlarms(tuple(found), missing)


def sound_of_alarm(state: Path, machine: str, alarm_id: str) -> AlarmSound | None:
    """Return the sound of one alarm that a model can learn from; None: there is none."""
    try:
        sound = _sound_of(read_package(package_folder(state, machine, alarm_id)))
    except (PackageError, ValueError, KeyError, TypeError):  # a refit reports what is damaged
        return None
    return sound if isinstance(sound, AlarmSound) and not sound.gaps else None


def _sound_of(package: Package) -> AlarmSound | str:
    """Return the sound of a package, or why it has none of the machine.

    Raises ValueError, KeyError, TypeError where the sidecar is malformed.
    """
    sound, path = package.document["sound"], package.sound_path
    if sound is None or path is None:
        return "no sound of it is kept"
    if not path.is_file():
        return "its sound was deleted"
    begin, rate_hz = datetime.fromisoformat(sound["begin"]), int(sound["rate_hz"])
    samples = int(sound["samples"])
    if begin.tzinfo is None or not 0 < rate_hz <= _MAX_RATE_HZ or samples < 0:
        raise ValueError("has a time, a rate or a length that cannot be")
    if rate_hz != sound["capture_rate_hz"]:
        return "its sound was low-passed"
    gaps = tuple(_gap_of(each, rate_hz, samples) for each in sound["gaps"])
    return AlarmSound(str(package.alarm["id"]), path, rate_hz, begin.astimezone(UTC), samples, gaps)


def _gap_of(gap: Mapping[str, float], rate_hz: int, samples: int) -> tuple[int, int]:
    """Return the sample indices of a gap, with the rounding of its times."""
    first = math.floor((gap["from_s"] - _GAP_MARGIN_S) * rate_hz)
    past = math.ceil((gap["from_s"] + gap["seconds"] + 2 * _GAP_MARGIN_S) * rate_hz)
    return min(samples, max(0, first)), min(samples, max(0, past))
