"""Checks recordings before a command starts to process them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asd_monitor.audio.files.recording_search import find_recordings
from asd_monitor.audio.files.recordings import RecordingReader
from asd_monitor.errors import AsdMonitorError


@dataclass(frozen=True, slots=True)
class CheckedRecordings:
    """The readable duration, and the error of each file that cannot be read."""

    seconds: float
    errors: tuple[AsdMonitorError, ...]


def check_recordings(path: Path, channel: int | None) -> CheckedRecordings:
    """Open a recording, or each recording of a folder.

    Raises:
        UsageError: none of them can be read.
        OperationError: no permission.

    """
    seconds = 0.0
    errors: list[AsdMonitorError] = []
    recordings = find_recordings(path)
    for recording in recordings:
        try:
            with RecordingReader(recording, channel) as reader:
                seconds += reader.length_s()
        except AsdMonitorError as error:
            errors.append(error)
    if len(errors) == len(recordings):
        raise errors[0]
    return CheckedRecordings(seconds, tuple(errors))
