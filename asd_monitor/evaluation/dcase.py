"""The data of DCASE 2020, task 2: what lies where, and which clip is what.

    TYPE/train/normal_id_XX_NNNNNNNN.wav
    TYPE/test/{normal,anomaly}_id_XX_NNNNNNNN.wav

WAV or FLAC; one model an id.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from asd_monitor.audio.recordings import AbsentRecordingError, find_recordings
from asd_monitor.errors import UsageError

LAYOUT = "TYPE/train/normal_id_00_00000000.wav and TYPE/test/anomaly_id_00_00000000.wav"
_NAME = re.compile(r"(normal|anomaly)_(id_\d+)_\d+\.(?:wav|flac)", re.IGNORECASE)
_PROBLEMS_TOLD = 5


@dataclass(frozen=True, slots=True)
class Clip:
    """One test recording."""

    path: Path
    anomalous: bool


@dataclass(frozen=True, slots=True)
class TestedMachine:
    """One id of one type."""

    type: str
    id: str  # id_00
    train: tuple[Path, ...]
    test: tuple[Clip, ...]

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"{self.type} {self.id}"


def find_machines(root: Path) -> list[TestedMachine]:
    """Return every id of every type below a folder, or of the one type that the folder is.

    Raises:
        UsageError: not this layout, or an id lacks what its evaluation needs.
        OperationError: no permission.

    """
    if not root.is_dir():
        what = "a folder is needed" if root.exists() else "no such folder"
        raise AbsentRecordingError(f"{root}: {what}: name a folder that holds {LAYOUT}")
    folders = [root] if _is_type(root) else sorted(filter(_is_type, root.iterdir()))
    if not folders:
        raise UsageError(f"{root}: not the layout of DCASE 2020: it must hold {LAYOUT}")
    problems: list[str] = []
    machines = [machine for folder in folders for machine in _machines_of(folder, problems)]
    if problems:
        more = len(problems) - _PROBLEMS_TOLD
        told = "; ".join(problems[:_PROBLEMS_TOLD]) + (f"; and {more} more" if more > 0 else "")
        raise UsageError(f"{root}: {told}: the layout is {LAYOUT}")
    return machines


def _is_type(folder: Path) -> bool:
    return (folder / "train").is_dir() or (folder / "test").is_dir()


def _machines_of(folder: Path, problems: list[str]) -> list[TestedMachine]:
    name = folder.resolve().name
    train: dict[str, list[Path]] = {}
    test: dict[str, list[Clip]] = {}
    for path in _recordings(folder / "train", problems):
        match = _NAME.fullmatch(path.name)
        if match is None or match[1].lower() != "normal":
            problems.append(f"{path} is not called as a training clip is")
        else:
            train.setdefault(match[2].lower(), []).append(path)
    for path in _recordings(folder / "test", problems):
        match = _NAME.fullmatch(path.name)
        if match is None:
            problems.append(f"{path} is not called as a test clip is")
        else:
            clip = Clip(path, anomalous=match[1].lower() == "anomaly")
            test.setdefault(match[2].lower(), []).append(clip)
    machines = []
    for number in sorted(train.keys() | test.keys()):
        clips = test.get(number, [])
        if number not in train:
            problems.append(f"{name} {number} has no training clip")
        if not clips:
            problems.append(f"{name} {number} has no test clip")
        elif len({clip.anomalous for clip in clips}) == 1:
            missing = "normal" if clips[0].anomalous else "anomalous"
            problems.append(f"{name} {number} has no {missing} test clip")
        machines.append(TestedMachine(name, number, tuple(train.get(number, ())), tuple(clips)))
    return machines


def _recordings(folder: Path, problems: list[str]) -> list[Path]:
    if not folder.is_dir():
        problems.append(f"{folder} is missing")
        return []
    try:
        return find_recordings(folder)
    except UsageError as error:
        problems.append(str(error).split(": put ")[0])
        return []
