"""A look at the recordings that a command is given, before it begins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asd_monitor.audio.files.recordings import RecordingReader, find_recordings
from asd_monitor.errors import AsdMonitorError


@dataclass(frozen=True, slots=True)
class Given:
    """What can be heard of them."""

    seconds: float
    refusals: tuple[AsdMonitorError, ...]  # of those that cannot be read


def look_at_all(path: Path, channel: int | None) -> Given:
    """Look into a recording, or each of a folder.

    Raises:
        UsageError: none of them is a recording that can be read.
        OperationError: no permission.

    """
    seconds = 0.0
    refusals: list[AsdMonitorError] = []
    paths = find_recordings(path)
    for each in paths:
        try:
            with RecordingReader(each, channel) as reader:
                seconds += reader.frames / reader.rate_hz
        except AsdMonitorError as error:
            refusals.append(error)
    if len(refusals) == len(paths):
        raise refusals[0]
    return Given(seconds, tuple(refusals))
