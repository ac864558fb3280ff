"""CSV files of DCASE Task 2: attributes of clips, and labels of test clips.

`attributes_00.csv` lies in the folder of a type; its first column names a clip as a path with
suffix or as a bare stem, and the attribute columns may be absent.

Labels of evaluation data are published separately: one list for all types (2020,
`eval_data_list.csv`: a line with the type, then `name, labelled name, label`), or one file for
each section (2021 and later, `ground_truth_TYPE_section_00_test.csv`: `name, label`; domains
likewise, in a folder `ground_truth_domain`; or `name, name with all attributes`).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from asd_monitor.audio.files.recording_search import RecordingNotFoundError
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.evaluation.clip_names import NO_CONDITION, ClipName, Domain, read_stem, stem_of

_OF_TYPE = re.compile(r"ground_truth_(.+)_section_\d+(?:_(?:source|target))?_test\.csv")
_FULL_NAME = "file_name_with_full_attributes"


@dataclass(slots=True)
class Labels:
    """Labels and domains of test clips by (type, stem); the type None matches any."""

    _anomalous: dict[tuple[str | None, str], bool] = field(default_factory=dict)
    _domain: dict[tuple[str | None, str], Domain] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self._anomalous)

    def anomalous(self, kind: str, stem: str) -> bool | None:
        """Return the label of a clip; None: not in the tables."""
        return self._anomalous.get((kind, stem), self._anomalous.get((None, stem)))

    def domain(self, kind: str, stem: str) -> Domain | None:
        """Return the domain of a clip; None: not in the tables."""
        return self._domain.get((kind, stem), self._domain.get((None, stem)))

    def update(self, other: Labels) -> None:
        """Add the entries of another table."""
        self._anomalous.update(other._anomalous)
        self._domain.update(other._domain)

    def add(self, kind: str | None, stem: str, name: ClipName) -> None:
        """Add the attributes in the clip's full name."""
        if name.anomalous is not None:
            self._anomalous[kind, stem] = name.anomalous
        if name.domain is not None:
            self._domain[kind, stem] = name.domain

    def set(self, kind: str | None, stem: str, *, value: bool, is_domain: bool) -> None:
        """Add a cell: 1 is anomalous, or the target domain."""
        if is_domain:
            self._domain[kind, stem] = Domain.TARGET if value else Domain.SOURCE
        else:
            self._anomalous[kind, stem] = value


def label_tables(root: Path) -> list[Path]:
    """Return the tables of labels in the folder of a data set."""
    lists = [root / "eval_data_list.csv", *sorted(root.glob("ground_truth*/**/*.csv"))]
    return [path for path in (*lists, *sorted(root.glob("ground_truth*.csv"))) if path.is_file()]


def read_labels(path: Path, *, at_least_one: bool = True) -> Labels:
    """Read a table of labels, or every table below a folder.

    Raises:
        UsageError: there is none, or a line cannot be parsed.
        OperationError: no permission.

    """
    if not path.exists():
        raise RecordingNotFoundError(f"{path}: no such file or folder: name the table of labels")
    paths = sorted(path.rglob("*.csv")) if path.is_dir() else [path]
    labels = Labels()
    for each in paths:
        _read_into(labels, each)
    if at_least_one and not labels:
        raise UsageError(
            f"{path}: contains no label: a table of labels has lines such as "
            "section_03_0000.wav,1 (1 is anomalous)"
        )
    return labels


def _read_into(labels: Labels, path: Path) -> None:
    match = _OF_TYPE.fullmatch(path.name)
    kind_of_file = kind = match[1] if match else None
    is_domain = "domain" in path.parent.name.lower()
    for number, row in _rows(path):
        if len(row) == 1:
            kind = row[0]
            continue
        clip = PurePosixPath(row[0])
        stem = stem_of(clip.name)
        if read_stem(stem) is None:
            if number == 1:
                continue  # a heading
            raise UsageError(f"{path}, line {number}: {row[0]} is not the name of a test clip")
        kind_of_clip = kind_of_file or kind or (clip.parts[0] if len(clip.parts) > 1 else None)
        full = [read_stem(stem_of(PurePosixPath(cell).name)) for cell in row[1:]]
        labelled = [name for name in full if name is not None and name.anomalous is not None]
        if labelled:
            labels.add(kind_of_clip, stem, labelled[0])
        elif (cell := row[-1].strip()) in ("0", "1", "0.0", "1.0"):
            labels.set(kind_of_clip, stem, value=float(cell) == 1, is_domain=is_domain)
        else:
            raise UsageError(
                f"{path}, line {number}: {cell!r} is not a label: write 0 (normal) or 1 (anomalous)"
            )


def read_attributes(path: Path) -> dict[str, str]:
    """Return the operating condition of each clip by its stem; empty where it is hidden.

    Raises:
        UsageError: not a table of attributes.
        OperationError: no permission.

    """
    conditions: dict[str, str] = {}
    columns: list[int] = []
    for number, row in _rows(path):
        stem = stem_of(PurePosixPath(row[0].replace("\\", "/")).name)
        if number == 1 and read_stem(stem) is None:
            columns = [at for at, name in enumerate(row) if at and name != _FULL_NAME]
            continue
        if read_stem(stem) is None:
            raise UsageError(f"{path}, line {number}: {row[0]} is not the name of a clip")
        taken = columns or range(1, len(row))
        cells = [row[at].strip() for at in taken if at < len(row)]
        conditions[stem] = "_".join(cell for cell in cells if cell and cell.lower() != NO_CONDITION)
    return conditions


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.reader(file), 1):
                if any(cell.strip() for cell in row):
                    while len(row) > 1 and not row[-1].strip():
                        row.pop()
                    yield number, row
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: not a CSV file in UTF-8: save it as one") from error
    except OSError as error:
        raise OperationError(
            f"{path}: cannot be read ({error.strerror}): allow this user to"
        ) from error
