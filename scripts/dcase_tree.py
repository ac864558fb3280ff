"""Writes clips in the layout of DCASE 2020 Task 2, and reads backgrounds; used by the scripts."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import soundfile
import soxr

from asd_monitor.records import Samples

RATE_HZ = 16000
SUFFIXES = (".flac", ".wav", ".ogg")


class Tree:
    """`OUT/TYPE/{train,test}/{normal,anomaly}_id_XX_NNNNNNNN.flac`, and what is in each clip."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._labels: list[dict[str, object]] = []
        self._numbers: dict[tuple[str, str, str, int], int] = {}

    def add(  # noqa: D102 - see the class
        self, machine: str, part: str, number: int, clip: Samples, **labels: object
    ) -> None:
        label = "anomaly" if labels.get("fault") else "normal"
        key = (machine, part, label, number)
        at = self._numbers[key] = self._numbers.get(key, -1) + 1
        path = self.root / machine / part / f"{label}_id_{number:02d}_{at:08d}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, clip, RATE_HZ, subtype="PCM_16")
        self._labels.append({"file": path.relative_to(self.root).as_posix(), **labels})

    def close(self) -> int:
        """Write `labels.csv`; return how many clips there are."""
        columns = list(dict.fromkeys(column for row in self._labels for column in row))
        with (self.root / "labels.csv").open("w", newline="") as handle:
            writer = csv.DictWriter(handle, columns)
            writer.writeheader()
            writer.writerows(self._labels)
        return len(self._labels)


def recordings(folder: Path) -> list[Path]:
    """All recordings below a folder, in order."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


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
