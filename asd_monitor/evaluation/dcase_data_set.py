"""The machines and clips of a data set of DCASE Task 2."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asd_monitor.evaluation.clip_names import Domain
from asd_monitor.evaluation.dcase_years import Rules


@dataclass(frozen=True, slots=True)
class LabelledClip:
    """One test recording."""

    path: Path
    anomalous: bool
    domain: Domain | None = None  # None: the data set has none (2020)
    condition: str = ""  # operating condition (car_A1_spd_28V); empty where it is hidden


@dataclass(frozen=True, slots=True)
class TrainingClip:
    """One training recording; all are normal."""

    path: Path
    domain: Domain | None = None
    condition: str = ""


@dataclass(frozen=True, slots=True)
class DcaseMachine:
    """One id or section of a machine type, for which one model is trained."""

    type: str
    id: str  # id_00, section_00
    training_clips: tuple[TrainingClip, ...]
    test: tuple[LabelledClip, ...]
    supplemental: tuple[Path, ...] = ()  # the machine or the noise alone
    channel: int | None = None  # of its recordings; None: the first

    @property
    def train(self) -> tuple[Path, ...]:
        """The training recordings."""
        return tuple(clip.path for clip in self.training_clips)

    @property
    def name(self) -> str:
        """Its name in messages and tables."""
        return f"{self.type} {self.id}"


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set and the rules by which it is evaluated."""

    rules: Rules
    chosen: bool  # the rules were given by the user, not recognised
    machines: tuple[DcaseMachine, ...]  # by type, then id
    notices: tuple[str, ...]
