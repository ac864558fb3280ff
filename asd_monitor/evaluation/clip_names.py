"""File names of DCASE Task 2, 2020 to 2026, and the attributes of a clip in them.

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

NO_CONDITION = "noattribute"
"""Ends the name of a clip whose condition is hidden."""
_ID = re.compile(r"(?:(normal|anomaly)_)?(id_\d+)_\d+", re.IGNORECASE)
_SECTION = re.compile(
    r"(section_\d+)(?:_(source|target))?(?:_(?:train|test))?(?:_(normal|anomaly))?_\d+(?:_(.+))?",
    re.IGNORECASE,
)
_SUFFIX = re.compile(r"\.(?:wav|flac)$", re.IGNORECASE)


class Domain(StrEnum):
    """Operating and recording conditions: most of the training clips are of the source."""

    SOURCE = "source"
    TARGET = "target"


@dataclass(frozen=True, slots=True)
class ClipName:
    """The attributes in a file name; None where the name does not contain one."""

    machine: str  # id_00, section_00
    anomalous: bool | None
    domain: Domain | None
    condition: str  # vel_6_loc_A; empty where it is hidden
    hides_condition: bool  # the name states that it is hidden

    @property
    def has_section(self) -> bool:
        """Whether it follows the scheme of 2021 and later."""
        return self.machine.startswith("section")


def read_name(file: str) -> ClipName | None:
    """Parse the name of a WAV or FLAC file; None: it follows neither scheme."""
    return read_stem(stem_of(file)) if _SUFFIX.search(file) else None


def read_stem(stem: str) -> ClipName | None:
    """Parse a name without its suffix; None: it follows neither scheme."""
    if match := _ID.fullmatch(stem):
        return ClipName(match[2].lower(), _anomalous(match[1]), None, "", hides_condition=False)
    if match := _SECTION.fullmatch(stem):
        hidden = (match[4] or "").lower() == NO_CONDITION
        return ClipName(
            match[1].lower(),
            _anomalous(match[3]),
            Domain(match[2].lower()) if match[2] else None,
            "" if hidden else match[4] or "",
            hides_condition=hidden,
        )
    return None


def stem_of(file: str) -> str:
    """Return a file name without the suffix of a recording."""
    return _SUFFIX.sub("", file)


def _anomalous(label: str | None) -> bool | None:
    return None if label is None else label.lower() == "anomaly"
