"""The sound of past alarms in the state folder: ``evidence/<machine>/<alarm id>/``.

A folder holds ``alarm.json``, which ends with its own hash, and ``sound.flac`` at the capture rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import soundfile
import structlog

from asd_monitor.commissioning.store_errors import CommissioningStoreError
from asd_monitor.limited_reading import read_limited
from asd_monitor.records import Samples
from asd_monitor.sealed_json import parsed_json, seal_of

log = structlog.get_logger()

FOLDER = "evidence"
_DOCUMENT = "alarm.json"
_SOUND = "sound.flac"
_MAX_DOCUMENT_BYTES = 16 << 20
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
            CommissioningStoreError: it cannot be read.

        """
        first = 0 if begin is None else self._index(begin)
        past = self.samples if end is None else self._index(end)
        try:
            with soundfile.SoundFile(self.path) as file:
                file.seek(min(first, file.frames))
                read = file.read(max(0, past - first), dtype="float32", always_2d=True)
        except (OSError, soundfile.SoundFileError) as error:
            raise CommissioningStoreError(
                f"{self.path}: the sound of an alarm cannot be read ({error}): delete its folder, "
                "or restore it from a backup"
            ) from error
        return np.ascontiguousarray(read[:, 0])

    def _index(self, time: datetime) -> int:
        return min(self.samples, max(0, round((time - self.begin).total_seconds() * self.rate_hz)))


def alarm_sounds(state: Path, machine: str) -> list[AlarmSound]:
    """Return the sounds that are kept of a machine's alarms, the oldest first.

    A damaged folder is left out and logged.
    """
    found = []
    for document in sorted((state / FOLDER / machine).glob(f"*/{_DOCUMENT}")):
        try:
            sound = _read(document)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            log.warning(
                "the kept sound of an alarm is left out", file=str(document), reason=str(error)
            )
            continue
        if sound is not None:
            found.append(sound)
    return sorted(found, key=lambda each: (each.begin, each.alarm_id))


def _read(document: Path) -> AlarmSound | None:
    """Return the sound of an alarm; None where it has none.

    Raises ValueError, KeyError, TypeError where the document is malformed.
    """
    content = read_limited(document, _MAX_DOCUMENT_BYTES)
    if seal_of(content) is None:
        raise ValueError("has no hash")
    values = parsed_json(content)
    sound, path = values.get("sound"), document.with_name(_SOUND)
    if sound is None or not path.is_file():
        return None
    begin, rate_hz = datetime.fromisoformat(sound["begin"]), int(sound["rate_hz"])
    samples = int(sound["samples"])
    if begin.tzinfo is None or not 0 < rate_hz <= _MAX_RATE_HZ or samples < 0:
        raise ValueError("has a time, a rate or a length that cannot be")
    return AlarmSound(str(values["alarm"]["id"]), path, rate_hz, begin.astimezone(UTC), samples)
