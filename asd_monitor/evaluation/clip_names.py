"""File names of DCASE Task 2, from 2020 on: what they tell of a clip.

    2020    {normal,anomaly}_id_00_00000000.wav
    2021    section_00_{source,target}_{train,test}_{normal,anomaly}_0000_CONDITION.wav
            and so on to 2026

Names of evaluation data lack the label (`id_00_00000000.wav`, `section_03_0000.wav`,
`section_03_source_test_0000.wav`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

NO_CONDITION = "noattribute"  # what the names of hidden ones end with
_ID = re.compile(r"(?:(normal|anomaly)_)?(id_\d+)_\d+", re.IGNORECASE)
_SECTION = re.compile(
    r"(section_\d+)(?:_(source|target))?(?:_(?:train|test))?(?:_(normal|anomaly))?_\d+(?:_(.+))?",
    re.IGNORECASE,
)
_SUFFIX = re.compile(r"\.(?:wav|flac)", re.IGNORECASE)


class Domain(StrEnum):
    """How the machine ran, or where: most of the training clips are of the source."""

    SOURCE = "source"
    TARGET = "target"


@dataclass(frozen=True, slots=True)
class Name:
    """What a file name tells; None is what it does not."""

    machine: str  # id_00, section_00
    anomalous: bool | None
    domain: Domain | None
    condition: str  # vel_6_loc_A; empty where it is hidden
    hides_condition: bool  # it says so

    @property
    def has_section(self) -> bool:
        """Whether it is of 2021 or later."""
        return self.machine.startswith("section")


def read_name(file: str) -> Name | None:
    """Return what a WAV or FLAC file's name tells; None: it is none of theirs."""
    stem, suffix = stem_of(file), file[len(stem_of(file)) :]
    return read_stem(stem) if _SUFFIX.fullmatch(suffix) else None


def read_stem(stem: str) -> Name | None:
    """Return what a name without its suffix tells; None: it is none of theirs."""
    if match := _ID.fullmatch(stem):
        return Name(match[2].lower(), _anomalous(match[1]), None, "", hides_condition=False)
    if match := _SECTION.fullmatch(stem):
        hides = (match[4] or "").lower() == NO_CONDITION
        return Name(
            match[1].lower(),
            _anomalous(match[3]),
            Domain(match[2].lower()) if match[2] else None,
            "" if hides else match[4] or "",
            hides_condition=hides,
        )
    return None


def stem_of(file: str) -> str:
    """Return a file's name without the suffix of a recording."""
    return file[: match.start()] if (match := re.search(r"\.(?:wav|flac)$", file, re.I)) else file


def _anomalous(label: str | None) -> bool | None:
    return None if label is None else label.lower() == "anomaly"
