"""Recording of a source to disk: gapless FLAC files, each with a JSON sidecar."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import soundfile

from asd_monitor import __version__
from asd_monitor.audio.files.levels import LevelAccumulator, LevelSummary, level_defects
from asd_monitor.errors import OperationError
from asd_monitor.records import Samples

SCHEMA = "asd.recording/1"


@dataclass(frozen=True, slots=True)
class RecordingOrigin:
    """Machine and device of a recording, as in its sidecar."""

    machine: str
    device: str
    name: str
    channel: int
    channels: int
    rate_hz: int
    through_daemon: bool


@dataclass(frozen=True, slots=True)
class WrittenRecording:
    """A completed recording."""

    path: Path
    seconds: float
    levels: LevelSummary
    warnings: tuple[str, ...]


class Recorder:
    """Writes gapless segments of sound, a file each.

    The files of a machine are ``<machine>-<UTC time>.flac``.  After a crash, a file is readable
    except for its last seconds; `finish` completes the file and writes its sidecar.

    Raises (all methods):
        OperationError: the folder or a file cannot be written.

    """

    def __init__(self, folder: Path, origin: RecordingOrigin, *, subtype: str = "PCM_16") -> None:
        self.written: list[WrittenRecording] = []
        self._folder = folder
        self._origin = origin
        self._subtype = subtype
        self._file: soundfile.SoundFile | None = None
        self._path = folder
        self._began: datetime
        self._lost_before = 0
        self._levels = LevelAccumulator(origin.rate_hz)

    def write(self, samples: Samples, *, began: datetime, lost_before: int) -> None:
        """Append samples, (n,) float32, to the current file; the first samples begin one.

        ``began`` (UTC) and ``lost_before`` (lost samples so far) describe a file that begins.
        """
        try:
            if self._file is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._began, self._lost_before = began, lost_before
                self._path = self._free_path(began)
                self._levels = LevelAccumulator(self._origin.rate_hz)
                self._file = soundfile.SoundFile(
                    self._path, "x", self._origin.rate_hz, 1, self._subtype, format="FLAC"
                )
            self._file.write(samples)
        except (OSError, soundfile.LibsndfileError) as error:
            raise OperationError(
                f"{self._folder}: cannot be written ({_reason(error)}): choose another folder with "
                "--output"
            ) from error
        self._levels.push(samples)

    def _free_path(self, began: datetime) -> Path:
        stem = f"{self._origin.machine}-{began:%Y%m%dT%H%M%S}Z"
        path = self._folder / f"{stem}.flac"
        number = 2
        while path.exists():
            path = self._folder / f"{stem}-{number}.flac"
            number += 1
        return path

    @property
    def levels(self) -> LevelSummary:
        """Levels of the current file."""
        return self._levels.summary()

    def finish(self, ended: datetime) -> None:
        """Complete the current file, if there is one, and write its sidecar."""
        if self._file is None:
            return
        summary = self._levels.summary()
        warnings = tuple(level_defects(summary).values())
        seconds = self._levels.samples / self._origin.rate_hz
        try:
            self._file.close()
            self._file = None
            with self._path.open("rb") as finished:
                sha256 = hashlib.file_digest(finished, "sha256").hexdigest()
            sidecar = {
                "schema": SCHEMA,
                **asdict(self._origin),
                "began": _utc(self._began),
                "ended": _utc(ended),
                "samples": self._levels.samples,
                "seconds": round(seconds, 3),
                "lost_samples_before": self._lost_before,
                "levels": asdict(summary),
                "warnings": warnings,
                "sha256": sha256,
                "program": f"asd-monitor {__version__}",
            }
            self._path.with_suffix(".json").write_text(json.dumps(sidecar, indent=2) + "\n")
        except (OSError, soundfile.LibsndfileError) as error:
            raise OperationError(
                f"{self._path}: cannot be completed ({_reason(error)}): free some space"
            ) from error
        self.written.append(WrittenRecording(self._path, seconds, summary, warnings))


def _reason(error: OSError | soundfile.LibsndfileError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _utc(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03d}Z"
