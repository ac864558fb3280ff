"""Writes clips in the layouts of DCASE Task 2, 2020 to 2026, and reads backgrounds.

Used by the scripts, and by the tests of the evaluation.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile
import soxr

from asd_monitor.encoder_training.recorded_sounds import is_held_out
from asd_monitor.records import Samples

RATE_HZ = 16000
SUFFIXES = (".flac", ".wav", ".ogg")
LAYOUTS = ("2020", "2021", "2022", "2023", "2024", "2025", "2026")
HIDDEN = "noAttribute"


class Tree:
    """Clips in one of `LAYOUTS`, with the files beside them, and what is in each clip.

        2020     TYPE/{train,test}/{normal,anomaly}_id_XX_NNNNNNNN.flac
        2021     TYPE/{train,source_test,target_test}/
                     section_XX_{source,target}_{train,test}_{normal,anomaly}_NNNN_CONDITION.flac
        2022 on  the same names in TYPE/{train,test}, and TYPE/attributes_XX.csv
        2025 on  TYPE/supplemental too

    Attributes name a clip by its path (2022, 2023) or bare stem; where `condition` is empty
    from 2024 on it is hidden, in 2025 and later with its columns.
    """

    def __init__(self, root: Path, layout: str = "2020") -> None:
        self.root, self.layout = root, layout
        self._labels: list[dict[str, object]] = []
        self._numbers: dict[tuple[str, ...], int] = {}
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
        """Write a clip (n,) or (n, channels) of `train` or `test`; return where it lies.

        It is anomalous where it has a `fault`; domain and condition are told from 2021 on.
        """
        label = "anomaly" if labels.get("fault") else "normal"
        if self.layout == "2020":
            at = self._next(machine, part, label, str(number))
            path = self.root / machine / part / f"{label}_id_{number:02d}_{at:08d}.flac"
        else:
            at = self._next(machine, part, domain, label, str(number))
            folder = f"{domain}_test" if (self.layout, part) == ("2021", "test") else part
            hidden = HIDDEN if self.layout >= "2024" else ""
            told = condition or hidden
            stem = f"section_{number:02d}_{domain}_{part}_{label}_{at:04d}" + f"_{told}" * bool(
                told
            )
            path = self.root / machine / folder / f"{stem}.flac"
            if self.layout >= "2022":
                table = self.root / machine / f"attributes_{number:02d}.csv"
                self._attributes.setdefault(table, []).append(
                    (path.relative_to(self.root).as_posix(), condition)
                )
            labels |= {"domain": domain, "condition": condition}
        self._write(path, clip)
        self._labels.append({"file": path.relative_to(self.root).as_posix(), **labels})
        return path

    def add_supplemental(self, machine: str, number: int, clip: Samples, what: str) -> None:
        """Write a clip of the `machine` or the `noise` alone (2025 on)."""
        at = self._next(machine, what, str(number))
        name = f"section_{number:02d}_{what}_{at:04d}_{HIDDEN}.flac"
        self._write(self.root / machine / "supplemental" / name, clip)

    def _next(self, *key: str) -> int:
        at = self._numbers[key] = self._numbers.get(key, -1) + 1
        return at

    def _write(self, path: Path, clip: Samples) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, clip, RATE_HZ, subtype="PCM_16")

    def close(self) -> int:
        """Write `labels.csv` and the tables of attributes; return how many clips there are."""
        columns = list(dict.fromkeys(column for row in self._labels for column in row))
        with (self.root / "labels.csv").open("w", newline="") as handle:
            writer = csv.DictWriter(handle, columns)
            writer.writeheader()
            writer.writerows(self._labels)
        for path, rows in self._attributes.items():
            _write_attributes(path, rows, self.layout)
        return len(self._labels)


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
            blank = [HIDDEN] if columns and not cells else []
            row = [*cells, *blank]
            writer.writerow([name, *row, *[""] * (len(columns) - len(row))])


def recordings(folder: Path, *, held_out: bool = False) -> list[Path]:
    """Return all recordings below a folder, in order, or those that no encoder is trained on."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return [path for path in found if is_held_out(path)] if held_out else found


def read(path: Path) -> Samples:
    """Read the first channel at 16 kHz, float32."""
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    mono = np.ascontiguousarray(samples[:, 0])
    if rate_hz != RATE_HZ:
        mono = soxr.resample(mono, rate_hz, RATE_HZ)
    return np.asarray(mono, dtype=np.float32)


def looped(sound: Samples, start: int, n: int, fade: int) -> Samples:
    """Return `n` samples from `start` on, going round with an equal-power cross-fade at the seam.

    `sound` must be longer than two fades.
    """
    fade = min(fade, len(sound) // 3)
    ramp = np.sqrt(np.linspace(0.0, 1.0, fade, dtype=np.float32))
    ring = sound[: len(sound) - fade].copy()
    ring[:fade] = ring[:fade] * ramp + sound[len(sound) - fade :] * ramp[::-1]
    return np.take(ring, np.arange(start, start + n), mode="wrap")
