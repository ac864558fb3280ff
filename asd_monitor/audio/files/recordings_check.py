"""Checks of recordings before they are processed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asd_monitor.audio.devices.device_strings import DeviceSpec
from asd_monitor.audio.files.recording_search import find_recordings
from asd_monitor.audio.files.recordings import RecordingReader
from asd_monitor.errors import AsdMonitorError
from asd_monitor.wording import short_duration


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


def loop_shortage(spec: DeviceSpec, needed_s: float) -> str | None:
    """Return why a repeated recording gives too little sound for a training; None: it does not.

    A path that cannot be read now is no shortage.
    """
    if not spec.loop:
        return None
    try:
        seconds = check_recordings(spec.path, spec.channel).seconds
    except AsdMonitorError:
        return None
    if seconds >= needed_s:
        return None
    return (
        f"{spec} is repeated after {short_duration(seconds)}, and a training uses the same sound "
        f"once: a recording of at least {needed_s:g} s is needed"
    )
