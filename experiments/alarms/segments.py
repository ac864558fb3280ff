"""Segments of sound of one machine, as the windows of each, and their files.

One segment stands for an hour.  Features but the level are kept in float16, as in the product's
commissioning data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from asd_monitor.features.windows import Window
from experiments.alarms.hall_schedule import Epoch

HOUR_S, DAY_S = 3600.0, 86400.0
LEVEL = "level"
_FEATURE = "feature."

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """n segments of w windows each."""

    day: Integers  # (n,)
    hour: Floats  # (n,), of the day
    state: Integers  # (n,), `HallState.code`
    starts: Integers  # (w,): first sample of each window in its segment
    window: int  # samples
    features: Mapping[str, Array]  # (n, w, d)

    @classmethod
    def of(cls, epochs: Sequence[Epoch], windows: Sequence[Sequence[Window]]) -> Self:
        """Return the segments of these epochs; each has the same number of windows."""
        first = windows[0]
        return cls(
            np.array([epoch.day for epoch in epochs], np.int64),
            np.array([epoch.hour for epoch in epochs], np.float64),
            np.array([epoch.state.code for epoch in epochs], np.int64),
            np.array([window.start for window in first], np.int64),
            first[0].end - first[0].start,
            {name: _stack(windows, name) for name in first[0].features},
        )

    @property
    def times_s(self) -> Floats:
        """Local time of each segment since the first midnight, (n,)."""
        return np.asarray(self.day * DAY_S + self.hour * HOUR_S)

    @property
    def levels_dbfs(self) -> Floats:
        """Levels of the windows, (n, w)."""
        return np.asarray(self.features[LEVEL][..., 0], np.float64)

    def take(self, numbers: npt.ArrayLike) -> Segments:
        """Return the segments with these numbers."""
        at = np.asarray(numbers, np.int64)
        features = {name: rows[at] for name, rows in self.features.items()}
        return Segments(
            self.day[at], self.hour[at], self.state[at], self.starts, self.window, features
        )

    def with_sound(self, numbers: Integers, other: Segments) -> Segments:
        """Return the segments with the windows of others (k,) in those with these numbers (k,)."""
        features = {name: rows.copy() for name, rows in self.features.items()}
        for name, rows in features.items():
            rows[numbers] = other.features[name]
        return replace(self, features=features)

    def windows(self, number: int, step: int = 1) -> list[Window]:
        """Return every ``step``-th window of a segment."""
        rows = {
            name: rows[number, ::step].astype(np.float32) for name, rows in self.features.items()
        }
        return [
            Window(int(start), int(start) + self.window, {name: rows[name][at] for name in rows})
            for at, start in enumerate(self.starts[::step])
        ]

    def save(self, path: Path) -> None:
        """Write the segments to a file."""
        features: dict[str, Any] = {_FEATURE + name: rows for name, rows in self.features.items()}
        np.savez(
            path,
            day=self.day,
            hour=self.hour,
            state=self.state,
            starts=self.starts,
            window=np.array(self.window),
            **features,
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read segments from a file."""
        with np.load(path) as arrays:
            features = {
                name.removeprefix(_FEATURE): arrays[name]
                for name in arrays.files
                if name.startswith(_FEATURE)
            }
            return cls(
                arrays["day"],
                arrays["hour"],
                arrays["state"],
                arrays["starts"],
                int(arrays["window"]),
                features,
            )

    def __len__(self) -> int:
        """Return the number of segments."""
        return len(self.day)


def _stack(windows: Sequence[Sequence[Window]], name: str) -> Array:
    rows = np.array([[window.features[name] for window in segment] for segment in windows])
    return rows.astype(np.float32 if name == LEVEL else np.float16)
