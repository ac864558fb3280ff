"""Folders of clips in the layouts of DCASE Task 2, 2020 to 2026."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable
from pathlib import Path

import soundfile

from asd_monitor.records import Samples
from datasets.recordings import RATE_HZ

LAYOUTS = ("2020", "2021", "2022", "2023", "2024", "2025", "2026")
HIDDEN = "noAttribute"


class DcaseTree:
    """Writes clips in one of `LAYOUTS` with their attributes, and `labels.csv`.

        2020     TYPE/{train,test}/{normal,anomaly}_id_XX_NNNNNNNN.flac
        2021     TYPE/{train,source_test,target_test}/
                     section_XX_{source,target}_{train,test}_{normal,anomaly}_NNNN_CONDITION.flac
        2022 on  the same names in TYPE/{train,test}, and TYPE/attributes_XX.csv
        2025 on  TYPE/supplemental too

    Attributes name a clip by its path (2022, 2023) or by its stem.  From 2024 on an empty
    `condition` is hidden, in 2025 and later with its columns.
    """

    def __init__(self, root: Path, layout: str = "2020") -> None:
        self.root, self.layout = root, layout
        self._labels: list[dict[str, object]] = []
        self._counts: dict[tuple[str, ...], int] = {}
        self._attributes: dict[Path, list[tuple[str, str]]] = {}

    def add(
        self,
        machine: str,
        part: str,
        number: int,
        clip: Samples,
        *,
        domain: str = "source",
        condition: str = "",
        **labels: object,
    ) -> Path:
        """Write a clip (n,) or (n, channels) of `train` or `test`; return its path.

        It is anomalous if it has a `fault`.  Layouts from 2021 on have domain and condition.
        """
        label = "anomaly" if labels.get("fault") else "normal"
        if self.layout == "2020":
            index = self._next_index(machine, part, label, str(number))
            path = self.root / machine / part / f"{label}_id_{number:02d}_{index:08d}.flac"
        else:
            index = self._next_index(machine, part, domain, label, str(number))
            folder = f"{domain}_test" if (self.layout, part) == ("2021", "test") else part
            shown = condition or (HIDDEN if self.layout >= "2024" else "")
            name = f"section_{number:02d}_{domain}_{part}_{label}_{index:04d}"
            stem = f"{name}_{shown}" if shown else name
            path = self.root / machine / folder / f"{stem}.flac"
            if self.layout >= "2022":
                table = self.root / machine / f"attributes_{number:02d}.csv"
                self._attributes.setdefault(table, []).append(
                    (path.relative_to(self.root).as_posix(), condition)
                )
            labels |= {"domain": domain, "condition": condition}
        _write_clip(path, clip)
        self._labels.append({"file": path.relative_to(self.root).as_posix(), **labels})
        return path

    def add_supplemental(self, machine: str, number: int, clip: Samples, content: str) -> None:
        """Write a clip of the `machine` or the `noise` alone (2025 on)."""
        index = self._next_index(machine, content, str(number))
        name = f"section_{number:02d}_{content}_{index:04d}_{HIDDEN}.flac"
        _write_clip(self.root / machine / "supplemental" / name, clip)

    def _next_index(self, *key: str) -> int:
        index = self._counts[key] = self._counts.get(key, -1) + 1
        return index

    def close(self) -> int:
        """Write `labels.csv` and the tables of attributes; return the number of clips."""
        columns = list(dict.fromkeys(column for row in self._labels for column in row))
        with (self.root / "labels.csv").open("w", newline="") as handle:
            writer = csv.DictWriter(handle, columns)
            writer.writeheader()
            writer.writerows(self._labels)
        for path, rows in self._attributes.items():
            _write_attributes(path, rows, self.layout)
        return len(self._labels)


def require_empty(parser: argparse.ArgumentParser, folder: Path) -> None:
    """Exit with an error of the command line if the folder exists and is not empty."""
    if folder.exists() and any(folder.iterdir()):
        parser.error(f"{folder} is not empty: name another folder")


def _write_clip(path: Path, clip: Samples) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, clip, RATE_HZ, subtype="PCM_16")


def _write_attributes(path: Path, rows: Iterable[tuple[str, str]], layout: str) -> None:
    """Write a table of attributes; a condition is `d1p_d1v_d2p_d2v`."""
    split = [(file, condition.split("_") if condition else []) for file, condition in rows]
    width = max(len(cells) for _, cells in split)
    columns = [f"d{at // 2 + 1}{'pv'[at % 2]}" for at in range(width)]
    if layout == "2024" and not width:
        columns = ["d1p", "d1v"]
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["file_name", *columns])
        for file, cells in split:
            name = file if layout in ("2022", "2023") else Path(file).stem
            hidden = [HIDDEN] if columns and not cells else []
            row = [*cells, *hidden]
            writer.writerow([name, *row, *[""] * (len(columns) - len(row))])
