"""Collects the machines of a data set from its folders, and every problem with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import soundfile

from asd_monitor.audio.files.recording_search import find_recordings
from asd_monitor.errors import UsageError
from asd_monitor.evaluation.clip_names import ClipName, Domain, read_name, stem_of
from asd_monitor.evaluation.dcase_data_set import DcaseMachine, LabelledClip, TrainingClip
from asd_monitor.evaluation.dcase_tables import Labels, read_attributes
from asd_monitor.evaluation.dcase_years import Rules

TRAIN_FOLDER, SUPPLEMENTAL_FOLDER = "train", "supplemental"
TEST_FOLDERS = ("test", "source_test", "target_test")


@dataclass(slots=True)
class _Machine:
    """The clips of one id or section."""

    training: list[TrainingClip] = field(default_factory=list)
    test: list[LabelledClip] = field(default_factory=list)
    supplemental: list[Path] = field(default_factory=list)
    hides_condition: bool = False


class DataSetScan:
    """The machines of all types, and everything that is wrong with their files."""

    def __init__(self, labels: Labels) -> None:
        """``labels`` are those of test clips without a label in their names."""
        self.notices: list[str] = []
        self._labels = labels
        self._machines: dict[tuple[str, str], _Machine] = {}
        self._problems: list[str] = []
        self._has_sections: set[bool] = set()  # both: the names follow two schemes
        self._has_split_tests = False

    @property
    def problems(self) -> list[str]:
        """Everything that prevents an evaluation."""
        mixed = ["some clips are named by ids and some by sections"]
        return self._problems + (mixed if self._has_sections == {True, False} else [])

    def read_type(self, folder: Path) -> None:
        """Add the clips in the folder of a machine type."""
        kind = folder.resolve().name
        conditions = self._conditions(folder)
        for path in self._recordings(folder / TRAIN_FOLDER):
            self._add_training_clip(kind, path, conditions)
        tests = [folder / name for name in TEST_FOLDERS if (folder / name).is_dir()]
        self._has_split_tests |= any(test.name != TEST_FOLDERS[0] for test in tests)
        for test in tests or [folder / TEST_FOLDERS[0]]:
            for path in self._recordings(test):
                self._add_test_clip(kind, path, conditions)
        if (folder / SUPPLEMENTAL_FOLDER).is_dir():
            for path in self._recordings(folder / SUPPLEMENTAL_FOLDER):
                self._add_supplemental(kind, path)

    def recognise_rules(self) -> Rules:
        """Return the year whose data sets look like this one."""
        machines = list(self._machines.values())
        if self._has_sections == {False}:
            return Rules.Y2020
        if self._has_split_tests:
            return Rules.Y2021
        if _channels(machines) > 1:
            return Rules.Y2026
        if any(machine.supplemental for machine in machines):
            return Rules.Y2025
        if any(machine.hides_condition for machine in machines):
            return Rules.Y2024
        sections = {number for _, number in self._machines}
        return Rules.Y2023 if len(sections) == 1 else Rules.Y2022

    def require_classes(self, rules: Rules) -> None:
        """Add a problem for every machine without the clips that the rules need."""
        for (kind, number), machine in sorted(self._machines.items()):
            name = f"{kind} {number}"
            if not machine.training:
                self._problems.append(f"{name} has no training clip")
            if not machine.test:
                self._problems.append(f"{name} has no test clip")
                continue
            for anomalous in (False, True):
                self._require_class(rules, name, machine.test, anomalous=anomalous)

    def _require_class(
        self, rules: Rules, name: str, test: Sequence[LabelledClip], *, anomalous: bool
    ) -> None:
        label = "anomalous" if anomalous else "normal"
        clips = [clip for clip in test if clip.anomalous is anomalous]
        if not clips:
            self._problems.append(f"{name} has no {label} test clip")
        elif rules.has_domains and (not anomalous or rules.splits_anomalies):
            self._problems.extend(
                f"{name} has no {label} test clip of the {domain} domain"
                for domain in Domain
                if not any(clip.domain is domain for clip in clips)
            )

    def machines(self, channel: int | None) -> list[DcaseMachine]:
        """Return the machines by type and id; ``channel`` is that of their recordings."""
        return [
            DcaseMachine(
                kind,
                number,
                tuple(machine.training),
                tuple(machine.test),
                tuple(machine.supplemental),
                channel,
            )
            for (kind, number), machine in sorted(self._machines.items())
        ]

    def _conditions(self, folder: Path) -> dict[str, str]:
        """Return the operating condition of each clip by its stem, from the attribute tables."""
        found: dict[str, str] = {}
        for path in sorted(folder.glob("attributes_*.csv")):
            listed = read_attributes(path)
            present = {stem_of(each.name) for each in folder.rglob("*") if each.is_file()}
            absent = listed.keys() - present
            if absent and len(absent) == len(listed):
                self._problems.append(
                    f"{path} names no file that exists (the first: {min(absent)})"
                )
            elif absent:
                self.notices.append(
                    f"{path}: {len(absent)} of its {len(listed)} clips do not exist "
                    f"(the first: {min(absent)})"
                )
            found |= listed
        return found

    def _add_training_clip(self, kind: str, path: Path, conditions: dict[str, str]) -> None:
        name = read_name(path.name)
        if name is None or name.anomalous is not False:
            self._problems.append(f"{path} is not named as a training clip")
            return
        condition = conditions.get(stem_of(path.name), name.condition)
        self._machine(kind, name).training.append(TrainingClip(path, name.domain, condition))

    def _add_test_clip(self, kind: str, path: Path, conditions: dict[str, str]) -> None:
        name, stem = read_name(path.name), stem_of(path.name)
        if name is None:
            self._problems.append(f"{path} is not named as a test clip")
            return
        machine = self._machine(kind, name)
        folder = path.parent.name
        domain_of_folder = Domain(folder.split("_")[0]) if folder in TEST_FOLDERS[1:] else None
        domain = name.domain or domain_of_folder or self._labels.domain(kind, stem)
        anomalous = name.anomalous
        if anomalous is None:
            anomalous = self._labels.anomalous(kind, stem)
        if anomalous is None:
            self._problems.append(f"{path} has no label: give a table of labels with --labels")
        elif name.has_section and domain is None:
            self._problems.append(f"{path} has no domain: give a table of domains with --labels")
        else:
            condition = conditions.get(stem, name.condition)
            machine.test.append(LabelledClip(path, anomalous, domain, condition))

    def _add_supplemental(self, kind: str, path: Path) -> None:
        # the schemes of the names differ between years; all begin with the section
        section = next(
            (key for key in self._machines if key[0] == kind and path.name.startswith(key[1])), None
        )
        if section is not None:
            self._machines[section].supplemental.append(path)

    def _machine(self, kind: str, name: ClipName) -> _Machine:
        self._has_sections.add(name.has_section)
        machine = self._machines.setdefault((kind, name.machine), _Machine())
        machine.hides_condition |= name.hides_condition
        return machine

    def _recordings(self, folder: Path) -> list[Path]:
        if not folder.is_dir():
            self._problems.append(f"{folder} is missing")
            return []
        try:
            return find_recordings(folder)
        except UsageError:
            self._problems.append(f"{folder}: no recording in this folder")
            return []


def _channels(machines: Sequence[_Machine]) -> int:
    """Return the channels of the first clip that can be opened; 1 where none can."""
    for machine in machines:
        for clip in machine.training[:1]:
            try:
                return int(soundfile.info(clip.path).channels)
            except (soundfile.LibsndfileError, OSError):
                continue
    return 1
