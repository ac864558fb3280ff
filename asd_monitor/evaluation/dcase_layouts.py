"""Data sets of DCASE Task 2, 2020 to 2026: what lies where, and which clip is what.

    TYPE/train/                                     normals to learn from
    TYPE/test/, or source_test/ and target_test/    clips to score (the latter in 2021)
    TYPE/attributes_00.csv                          how the machine ran in each clip
    TYPE/supplemental/                              the machine, or the noise, alone (2025)

WAV or FLAC, named as `names` says; one model an id or section.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile

from asd_monitor.audio.files.recordings import AbsentRecordingError, find_recordings
from asd_monitor.errors import UsageError
from asd_monitor.evaluation.clip_names import Domain, Name, read_name, stem_of
from asd_monitor.evaluation.dcase_rules import Rules
from asd_monitor.evaluation.dcase_tables import Labels, labels_beside, read_attributes, read_labels

LAYOUT = (
    "TYPE/train/normal_id_00_00000000.wav and TYPE/test/anomaly_id_00_00000000.wav, or "
    "TYPE/train/section_00_source_train_normal_0000.wav and "
    "TYPE/test/section_00_target_test_anomaly_0000.wav"
)
TRAIN, TESTS, SUPPLEMENTAL = "train", ("test", "source_test", "target_test"), "supplemental"
_PROBLEMS_TOLD = 5


@dataclass(frozen=True, slots=True)
class Clip:
    """One test recording."""

    path: Path
    anomalous: bool
    domain: Domain | None = None  # None: the data know none (2020)
    condition: str = ""  # how the machine ran (car_A1_spd_28V); empty where it is hidden


@dataclass(frozen=True, slots=True)
class Normal:
    """One training recording."""

    path: Path
    domain: Domain | None = None
    condition: str = ""


@dataclass(frozen=True, slots=True)
class TestedMachine:
    """One id or section of one type: what gets a model of its own."""

    type: str
    id: str  # id_00, section_00
    reference: tuple[Normal, ...]
    test: tuple[Clip, ...]
    supplemental: tuple[Path, ...] = ()  # the machine or the noise alone
    channel: int | None = None  # of its recordings; None: the first

    @property
    def train(self) -> tuple[Path, ...]:
        """The training recordings."""
        return tuple(normal.path for normal in self.reference)

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"{self.type} {self.id}"


@dataclass(frozen=True, slots=True)
class DataSet:
    """A tree, and by whose rules it is measured."""

    rules: Rules
    chosen: bool  # the rules were asked for, not recognised
    machines: tuple[TestedMachine, ...]  # by type, then id
    notices: tuple[str, ...]


def find_machines(root: Path) -> list[TestedMachine]:
    """Return every id or section below a folder; see `find_data_set`."""
    return list(find_data_set(root).machines)


def find_data_set(
    root: Path,
    rules: Rules | None = None,
    labels: Path | None = None,
    channel: int | None = None,
) -> DataSet:
    """Return every id or section of every type below a folder, or of the one that it is.

    ``rules`` of None are recognised from the tree.  ``labels`` is a table, or a folder of
    them, for test clips whose names tell none; None: what lies beside the types.

    Raises:
        UsageError: not such a layout, rules that do not fit it, or a machine lacks what its
            evaluation needs.
        OperationError: no permission.

    """
    if not root.is_dir():
        what = "a folder is needed" if root.exists() else "no such folder"
        raise AbsentRecordingError(f"{root}: {what}: name a folder that holds {LAYOUT}")
    folders = [root] if _is_type(root) else sorted(filter(_is_type, root.iterdir()))
    if not folders:
        raise UsageError(f"{root}: not a layout of DCASE: it must hold {LAYOUT}")
    tree = _Tree(_labels_of(root, labels))
    for folder in folders:
        tree.read(folder)
    recognised = tree.recognised()
    used = rules or recognised
    fits = used.has_domains is recognised.has_domains
    if fits:
        tree.require_classes(used)
    tree.refuse(root)
    if not fits:
        has, lacks = ("ids", "domains") if used.has_domains else ("sections", "ids")
        raise UsageError(
            f"{root}: the rules of {used} do not fit: its clips are named by {has} and know no "
            f"{lacks}: leave --rules out, then those of {recognised} are used"
        )
    if channel is None and used is Rules.Y2026:
        channel = 0  # the near microphone
    return DataSet(used, rules is not None, tuple(tree.machines(channel)), tuple(tree.notices))


def _labels_of(root: Path, given: Path | None) -> Labels:
    if given is not None:
        return read_labels(given)
    found = Labels()
    for path in labels_beside(root):
        found.update(read_labels(path, at_least_one=False))
    return found


def _is_type(folder: Path) -> bool:
    return any((folder / name).is_dir() for name in (TRAIN, *TESTS))


@dataclass(slots=True)
class _Machine:
    """What was found of one id or section."""

    reference: list[Normal]
    test: list[Clip]
    supplemental: list[Path]
    hides: bool = False


class _Tree:
    """Gathers the machines of all types, and everything that is wrong with them."""

    def __init__(self, labels: Labels) -> None:
        self._labels = labels
        self._machines: dict[tuple[str, str], _Machine] = {}
        self._problems: list[str] = []
        self._by_section: set[bool] = set()
        self._split_tests = False
        self.notices: list[str] = []

    def read(self, folder: Path) -> None:
        """Take a type's folder in."""
        kind = folder.resolve().name
        conditions = self._conditions(folder)
        for path in self._recordings(folder / TRAIN):
            name = read_name(path.name)
            if name is None or name.anomalous is not False:
                self._problems.append(f"{path} is not called as a training clip is")
                continue
            condition = conditions.get(stem_of(path.name), name.condition)
            machine = self._machine(kind, name)
            machine.reference.append(Normal(path, name.domain, condition))
        tests = [folder / name for name in TESTS if (folder / name).is_dir()]
        self._split_tests |= any(test.name != TESTS[0] for test in tests)
        for test in tests or [folder / TESTS[0]]:
            for path in self._recordings(test):
                self._take_test(kind, path, conditions)
        if (folder / SUPPLEMENTAL).is_dir():
            for path in self._recordings(folder / SUPPLEMENTAL):
                self._take_supplemental(kind, path)

    def _conditions(self, folder: Path) -> dict[str, str]:
        found: dict[str, str] = {}
        for path in sorted(folder.glob("attributes_*.csv")):
            told = read_attributes(path)
            there = {stem_of(each.name) for each in folder.rglob("*") if each.is_file()}
            absent = told.keys() - there
            if absent and len(absent) == len(told):
                self._problems.append(
                    f"{path} names no file that is there (the first: {min(absent)})"
                )
            elif absent:
                self.notices.append(
                    f"{path}: {len(absent)} of its {len(told)} clips are not there "
                    f"(the first: {min(absent)})"
                )
            found |= told
        return found

    def _take_test(self, kind: str, path: Path, conditions: dict[str, str]) -> None:
        name, stem = read_name(path.name), stem_of(path.name)
        if name is None:
            self._problems.append(f"{path} is not called as a test clip is")
            return
        machine = self._machine(kind, name)
        of_folder = Domain(path.parent.name[:6]) if path.parent.name in TESTS[1:] else None
        domain = name.domain or of_folder or self._labels.domain(kind, stem)
        anomalous = name.anomalous
        if anomalous is None:
            anomalous = self._labels.anomalous(kind, stem)
        if anomalous is None:
            self._problems.append(f"{path} has no label: give a table of them with --labels")
        elif name.has_section and domain is None:
            self._problems.append(f"{path} has no domain: give a table of them with --labels")
        else:
            condition = conditions.get(stem, name.condition)
            machine.test.append(Clip(path, anomalous, domain, condition))

    def _take_supplemental(self, kind: str, path: Path) -> None:
        # named loosely by every year's data: only the section matters
        section = next(
            (key for key in self._machines if key[0] == kind and path.name.startswith(key[1])), None
        )
        if section is not None:
            self._machines[section].supplemental.append(path)

    def _machine(self, kind: str, name: Name) -> _Machine:
        self._by_section.add(name.has_section)
        machine = self._machines.setdefault((kind, name.machine), _Machine([], [], []))
        machine.hides |= name.hides_condition
        return machine

    def _recordings(self, folder: Path) -> list[Path]:
        if not folder.is_dir():
            self._problems.append(f"{folder} is missing")
            return []
        try:
            return find_recordings(folder)
        except UsageError as error:
            self._problems.append(str(error).split(": put ")[0])
            return []

    def refuse(self, root: Path) -> None:
        """Raise UsageError with all that is wrong so far."""
        if self._by_section == {True, False}:
            self._problems.append("some clips are named by ids and some by sections")
        if self._problems:
            more = len(self._problems) - _PROBLEMS_TOLD
            told = "; ".join(self._problems[:_PROBLEMS_TOLD])
            told += f"; and {more} more" if more > 0 else ""
            raise UsageError(f"{root}: {told}: the layout is {LAYOUT}")

    def recognised(self) -> Rules:
        """Return the year whose data look like this."""
        machines = list(self._machines.values())
        if self._by_section == {False}:
            return Rules.Y2020
        if self._split_tests:
            return Rules.Y2021
        if _channels(machines) > 1:
            return Rules.Y2026
        if any(machine.supplemental for machine in machines):
            return Rules.Y2025
        if any(machine.hides for machine in machines):
            return Rules.Y2024
        sections = {number for _, number in self._machines}
        return Rules.Y2023 if len(sections) == 1 else Rules.Y2022

    def require_classes(self, rules: Rules) -> None:
        """Note every machine that lacks training clips, or test clips that the rules need."""
        for (kind, number), machine in sorted(self._machines.items()):
            name = f"{kind} {number}"
            if not machine.reference:
                self._problems.append(f"{name} has no training clip")
            if not machine.test:
                self._problems.append(f"{name} has no test clip")
                continue
            for anomalous in (False, True):
                split = rules.has_domains and (not anomalous or rules.splits_anomalies)
                what = "anomalous" if anomalous else "normal"
                clips = [clip for clip in machine.test if clip.anomalous is anomalous]
                if not clips:
                    self._problems.append(f"{name} has no {what} test clip")
                elif split:
                    self._problems.extend(
                        f"{name} has no {what} test clip of the {domain} domain"
                        for domain in Domain
                        if not any(clip.domain is domain for clip in clips)
                    )

    def machines(self, channel: int | None) -> list[TestedMachine]:
        """Return what was found, by type and id."""
        return [
            TestedMachine(
                kind,
                number,
                tuple(machine.reference),
                tuple(machine.test),
                tuple(machine.supplemental),
                channel,
            )
            for (kind, number), machine in sorted(self._machines.items())
        ]


def _channels(machines: Sequence[_Machine]) -> int:
    """Return the channels of the first clip that can be opened; 1 where none can."""
    for machine in machines:
        for normal in machine.reference[:1]:
            try:
                return int(soundfile.info(normal.path).channels)
            except (soundfile.LibsndfileError, OSError):
                continue
    return 1
