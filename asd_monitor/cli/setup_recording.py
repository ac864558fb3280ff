"""Records the normal sound of a machine for `setup`, and goes on with what was recorded before."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

from asd_monitor.audio.devices.device_strings import DeviceSpec
from asd_monitor.audio.files.recording_search import find_recordings
from asd_monitor.audio.files.recordings_check import check_recordings
from asd_monitor.audio.sharing.protocol import SOCKET_NAME
from asd_monitor.cli.level_meter import LevelMeter
from asd_monitor.cli.recorded_coverage import RecordedCoverage
from asd_monitor.cli.recording_session import RecordingSession
from asd_monitor.cli.setup_dialogue import Dialogue
from asd_monitor.guided_setup.coverage import Coverage
from asd_monitor.private_files import create_private_folder
from asd_monitor.wording import printable

_MIN_SESSION_S = 2.0  # shorter rests are not recorded


@dataclass(frozen=True, slots=True)
class NormalSound:
    """The recordings of a machine, and what they show."""

    paths: tuple[Path, ...]
    coverage: Coverage

    @property
    def seconds(self) -> float:
        """Their duration, in s."""
        return self.coverage.seconds


def kept_recordings(folder: Path, device: str) -> tuple[Path, ...]:
    """Return the recordings of a device in a folder of `record`, by their sidecars."""
    paths = []
    for sidecar in sorted(folder.glob("*.json")):
        try:
            document = json.loads(sidecar.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # not one of a recording that was completed
        recording = sidecar.with_suffix(".flac")
        if isinstance(document, dict) and document.get("device") == device and recording.is_file():
            paths.append(recording)
    return tuple(paths)


def recording_of(device: DeviceSpec) -> NormalSound:
    """Return the recordings that a ``file:`` device names; raises `UsageError`."""
    check_recordings(device.path, device.channel)
    covered = RecordedCoverage(0.0)
    paths = covered.read(tuple(find_recordings(device.path)), device.channel)
    return NormalSound(paths, covered.coverage())


def record(
    device: DeviceSpec,
    machine: str,
    folder: Path,
    *,
    target_s: float,
    state: Path,
    dialogue: Dialogue,
) -> NormalSound:
    """Record until there is so much sound, earlier recordings included.

    Ctrl-C and a signal to end keep what was recorded: the next call goes on.

    Raises:
        KeyboardInterrupt: interrupted.
        OperationError: nothing can be recorded, or the daemon that shares the sound has ended.

    """
    create_private_folder(folder)
    covered = RecordedCoverage(target_s)
    before = covered.read(kept_recordings(folder, str(device)), None)
    before_s = covered.coverage().seconds
    if before:
        dialogue.say(f"{before_s / 60:.1f} minutes were recorded earlier: {printable(folder)}")
    left_s = target_s - before_s
    if left_s < _MIN_SESSION_S:
        return NormalSound(before, covered.coverage())
    meter = LevelMeter(target_s, before_s=before_s, detail=covered.text)
    session = RecordingSession(device, machine, left_s, folder, listen=covered.listen, meter=meter)
    try:
        asyncio.run(session.run(state / SOCKET_NAME))
    except asyncio.CancelledError as error:
        raise KeyboardInterrupt from error
    finally:
        for each in session.written:
            for warning in each.warnings:
                dialogue.warn(f"{printable(each.path.name)}: {warning}")
    return NormalSound(kept_recordings(folder, str(device)), covered.coverage())
