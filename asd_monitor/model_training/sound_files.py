"""The recordings of a training set: format, length and hash of each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from asd_monitor.audio.files.recorder import SCHEMA
from asd_monitor.audio.files.recordings import RecordingReader
from asd_monitor.dsp.front_end import MIN_RATE_HZ
from asd_monitor.errors import AsdMonitorError, OperationError, UsageError
from asd_monitor.limited_reading import read_limited
from asd_monitor.model_training.training_progress import Progress, no_progress
from asd_monitor.wording import printable

_MAX_SIDECAR_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class SoundFile:
    """One readable recording."""

    path: Path  # may contain any bytes: see `name`
    sha256: str  # of the file's bytes, hexadecimal
    rate_hz: int
    seconds: float
    modified: datetime  # UTC
    began: datetime | None = None  # UTC; None: not known, there is no sidecar of `record`

    @property
    def name(self) -> str:
        """File name in printable characters."""
        return printable(self.path.name)


def inspect_recording(path: Path, channel: int | None = None) -> SoundFile:
    """Return format, length and hash of a recording.

    Raises:
        UsageError: absent, empty, not a recording, or without that channel.
        OperationError: no permission.

    """
    with RecordingReader(path, channel) as reader:
        seconds, rate_hz = reader.length_s(), reader.rate_hz
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        modified_s = path.stat().st_mtime
    except OSError as error:
        raise OperationError(
            f"{printable(path)}: cannot be read: {error.strerror}: check the disk"
        ) from error
    return SoundFile(path, digest, rate_hz, seconds, _as_time(modified_s), _began(path, digest))


def _began(path: Path, sha256: str) -> datetime | None:
    """Return when a recording began by its sidecar; None without one that belongs to it."""
    try:
        sidecar = json.loads(read_limited(path.with_suffix(".json"), _MAX_SIDECAR_BYTES))
        if sidecar["schema"] != SCHEMA or sidecar["sha256"] not in {None, sha256}:
            return None
        began = datetime.fromisoformat(sidecar["began"])
        return None if began.tzinfo is None else began.astimezone(UTC)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def _as_time(modified_s: float) -> datetime:
    """Return a time of a file system; one that no calendar contains is the start of 1970."""
    try:
        return datetime.fromtimestamp(modified_s, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def survey_recordings(
    paths: Sequence[Path], channel: int | None = None, progress: Progress = no_progress
) -> tuple[list[SoundFile], list[str]]:
    """Return the usable recordings, each content once, and a notice for every other path.

    Raises:
        UsageError: none of them is usable; the message is that of the first.
        OperationError: none of them is usable, the first for lack of permission.

    """
    files: list[SoundFile] = []
    notices: list[str] = []
    path_of_hash: dict[str, Path] = {}
    refusals: list[AsdMonitorError] = []
    for number, path in enumerate(paths):
        progress("opening the recordings", number / len(paths))
        try:
            file = _inspect_usable(path, channel)
        except AsdMonitorError as error:
            refusals.append(error)
            continue
        if file.sha256 in path_of_hash:
            first = printable(path_of_hash[file.sha256])
            notices.append(f"{printable(path)}: same content as {first}: used once")
            continue
        path_of_hash[file.sha256] = path
        files.append(file)
    if not files:
        raise refusals[0]
    notices += [f"left out: {error}" for error in refusals]
    return files, notices


def _inspect_usable(path: Path, channel: int | None) -> SoundFile:
    file = inspect_recording(path, channel)
    if file.rate_hz < MIN_RATE_HZ:
        raise UsageError(
            f"{printable(path)}: {file.rate_hz} Hz is too low for machine sound: "
            f"record at {MIN_RATE_HZ} Hz or more"
        )
    return file
