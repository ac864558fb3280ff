"""Recording of a source to disk: gapless FLAC files, each with a JSON sidecar.

FLAC: RFC 9639.  Its encoder writes the number of samples into the header only when it ends; here
that number is updated as the file grows, so that the file is complete at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

import soundfile

from asd_monitor import __version__
from asd_monitor.audio.files.levels import LevelAccumulator, LevelSummary, level_defects
from asd_monitor.errors import OperationError
from asd_monitor.records import Samples

SCHEMA = "asd.recording/1"
INTERVAL_S = 1.0
"""What is lost of a recording, at most, when the process is killed."""
_STALE_S = 60.0
_LENGTH_AT = 18  # in the file: eight bytes that end with the 36 bits of the number of samples
_LENGTH_BITS = 36


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

    The files of a machine are ``<machine>-<UTC time>.flac``.  A process that is killed leaves a
    complete file with its sidecar, without the last `INTERVAL_S` at most and without its SHA-256;
    the first `INTERVAL_S` of a file have the suffix ``.part``.  `finish` completes both.

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
        self._is_published = False
        self._updated = 0  # samples at the last update of the sidecar
        self._began: datetime
        self._lost_before = 0
        self._levels = LevelAccumulator(origin.rate_hz)

    def write(self, samples: Samples, *, began: datetime, lost_before: int) -> None:
        """Append samples, (n,) float32, to the current file; the first samples begin one.

        ``began`` (UTC) and ``lost_before`` (lost samples so far) describe a file that begins.
        """
        try:
            if self._file is None:
                self._began, self._lost_before = began, lost_before
                self._file = self._begin()
            self._file.write(samples)
            self._levels.push(samples)
            self._update()
        except FileExistsError as error:
            raise OperationError(
                f"{error.filename} is a file: choose a folder with --output"
            ) from error
        except (OSError, soundfile.LibsndfileError) as error:
            raise OperationError(
                f"{self._folder}: cannot be written ({_reason(error)}): free some space, or choose "
                "another folder with --output"
            ) from error

    def _begin(self) -> soundfile.SoundFile:
        self._folder.mkdir(parents=True, exist_ok=True)
        _remove_stale(self._folder, self._origin.machine)
        self._path = self._free_path(self._began)
        self._is_published, self._updated = False, 0
        self._levels = LevelAccumulator(self._origin.rate_hz)
        return soundfile.SoundFile(
            os.fsencode(_partial(self._path)),
            "x",
            self._origin.rate_hz,
            1,
            self._subtype,
            format="FLAC",
        )

    @property
    def _place(self) -> Path:
        """Where the file is now."""
        return self._path if self._is_published else _partial(self._path)

    def _update(self) -> None:
        """Bring the header, and once per interval the sidecar, to the state of the sound."""
        samples = _update_length(self._place, self._levels.samples)
        if samples - self._updated < INTERVAL_S * self._origin.rate_hz:
            return
        self._updated = samples
        ended = self._began + timedelta(seconds=samples / self._origin.rate_hz)
        self._write_sidecar(samples, ended, None)
        if not self._is_published:
            _partial(self._path).rename(self._path)
            self._is_published = True

    def _free_path(self, began: datetime) -> Path:
        stem = f"{self._origin.machine}-{began:%Y%m%dT%H%M%S}Z"
        path = self._folder / f"{stem}.flac"
        number = 2
        while path.exists() or _partial(path).exists():
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
            place = self._place
            with place.open("rb") as finished:
                sha256 = hashlib.file_digest(finished, "sha256").hexdigest()
                os.fsync(finished.fileno())
            self._write_sidecar(self._levels.samples, ended, sha256)
            place.rename(self._path)
        except (OSError, soundfile.LibsndfileError) as error:
            raise OperationError(
                f"{self._path}: cannot be completed ({_reason(error)}): free some space"
            ) from error
        self.written.append(WrittenRecording(self._path, seconds, summary, warnings))

    def _write_sidecar(self, samples: int, ended: datetime, sha256: str | None) -> None:
        """Write or replace the sidecar; ``sha256`` is None while the recording goes on."""
        summary = self._levels.summary()
        sidecar = {
            "schema": SCHEMA,
            **asdict(self._origin),
            "began": _utc(self._began),
            "ended": _utc(ended),
            "samples": samples,
            "seconds": round(samples / self._origin.rate_hz, 3),
            "lost_samples_before": self._lost_before,
            "levels": asdict(summary),
            "warnings": tuple(level_defects(summary).values()),
            "complete": sha256 is not None,
            "sha256": sha256,
            "program": f"asd-monitor {__version__}",
        }
        path = self._path.with_suffix(".json")
        _partial(path).write_text(json.dumps(sidecar, indent=2) + "\n", encoding="utf-8")
        _partial(path).rename(path)


def _update_length(path: Path, pushed: int) -> int:
    """Write the number of samples into the header of a FLAC file that is being written.

    Returns the number: the samples that are in the file, of those ``pushed`` to the encoder, which
    writes a block as soon as it has one sample of the next one.
    """
    with path.open("r+b", buffering=0) as file:
        header = file.read(_LENGTH_AT + 8)
        block = int.from_bytes(header[8:10], "big")
        if len(header) < _LENGTH_AT + 8 or block == 0:  # not written yet
            return 0
        samples = max(0, pushed - 1) // block * block
        rest = int.from_bytes(header[_LENGTH_AT:], "big") >> _LENGTH_BITS << _LENGTH_BITS
        file.seek(_LENGTH_AT)
        file.write((rest | samples).to_bytes(8, "big"))
    return samples


def _partial(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _remove_stale(folder: Path, machine: str) -> None:
    """Remove what processes have left that were killed in the first `INTERVAL_S` of a file."""
    for path in folder.glob(f"{machine}-*.part"):
        if path.stat().st_mtime < time.time() - _STALE_S:
            path.unlink(missing_ok=True)


def _reason(error: OSError | soundfile.LibsndfileError) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    text = str(error).strip().rstrip(".")
    return "the disk is full or failing" if text == "System error" else text  # of a write


def _utc(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03d}Z"
