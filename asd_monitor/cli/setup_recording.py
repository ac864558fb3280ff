"""Records the normal sound of a machine for `setup`, and goes on with what was recorded before."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from pathlib import Path

from asd_monitor.audio.devices.device_strings import DeviceSpec
from asd_monitor.audio.files.recording_search import find_recordings
from asd_monitor.audio.files.recordings import RecordingReader
from asd_monitor.audio.sharing.protocol import SOCKET_NAME
from asd_monitor.cli.level_meter import LevelMeter
from asd_monitor.cli.recording_session import RecordingSession
from asd_monitor.cli.recordings_check import check_recordings
from asd_monitor.cli.setup_dialogue import Dialogue
from asd_monitor.errors import UsageError
from asd_monitor.guided_setup.coverage import Coverage, CoverageMeter, coverage_text
from asd_monitor.private_files import create_private_folder
from asd_monitor.records import Block
from asd_monitor.wording import printable

_DETAIL_EVERY_S = 2.0  # between two measurements of the coverage
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


class _CoverageOfBlocks:
    """The coverage of recordings and of live blocks, one sampling rate at a time."""

    def __init__(self, target_s: float) -> None:
        self._target_s = target_s
        self._meter: CoverageMeter | None = None
        self._rate_hz = 0
        self._end: Block | None = None
        self._text = ""
        self._due_s = 0.0

    def listen(self, block: Block) -> None:
        if self._meter is None or block.rate_hz != self._rate_hz:
            self._rate_hz, self._meter = block.rate_hz, CoverageMeter(block.rate_hz)
        elif (
            self._end is None
            or block.stream is not self._end.stream
            or block.start != self._end.end
        ):
            self._meter.interrupt()
        self._end = block
        self._meter.push(block.samples)

    def read(self, paths: tuple[Path, ...], channel: int | None) -> tuple[Path, ...]:
        """Add recordings; return those that can be read, the training reports the others."""
        read = []
        for path in paths:
            try:
                with RecordingReader(path, channel) as reader:
                    for block in reader.blocks():
                        self.listen(block)
            except UsageError:
                continue
            read.append(path)
        return tuple(read)

    def coverage(self) -> Coverage:
        return Coverage(0.0, 1, None) if self._meter is None else self._meter.coverage()

    def text(self) -> str:
        """Return the coverage as a line, measured every two seconds."""
        now_s = time.monotonic()
        if now_s >= self._due_s:
            self._text = coverage_text(self.coverage(), self._target_s)
            self._due_s = now_s + _DETAIL_EVERY_S
        return self._text


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
    covered = _CoverageOfBlocks(0.0)
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
    covered = _CoverageOfBlocks(target_s)
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
