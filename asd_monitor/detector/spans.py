"""Where in the normals' sound each window lies: which of them share some of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from asd_monitor.features.windows import Window

Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """Stretch, first sample and end of each window (n,), in order of stretch and time."""

    stretch: Integers
    start: Integers
    end: Integers

    @classmethod
    def of(cls, stretches: Sequence[Sequence[Window]]) -> Self:
        """Take the places of the windows of gapless stretches."""
        lengths = [len(stretch) for stretch in stretches]
        windows = [window for stretch in stretches for window in stretch]
        return cls(
            np.repeat(np.arange(len(stretches)), lengths),
            np.array([window.start for window in windows], np.int64),
            np.array([window.end for window in windows], np.int64),
        )

    def take(self, indices: Integers) -> Self:
        """Return the places of some of the windows."""
        return type(self)(self.stretch[indices], self.start[indices], self.end[indices])

    def sharing(self) -> Mask:
        """Return (n, n): which pairs share sound, each with itself too."""
        overlap = (self.start[:, None] < self.end) & (self.start < self.end[:, None])
        return np.asarray((self.stretch[:, None] == self.stretch) & overlap)

    def touching(self, chosen: Mask) -> Mask:
        """Return (n,): which windows share sound with one of the chosen, these included."""
        touching = chosen.copy()
        for step in range(1, len(chosen)):
            overlap = (self.stretch[step:] == self.stretch[:-step]) & (
                self.start[step:] < self.end[:-step]
            )
            if not overlap.any():
                break
            touching[step:] |= overlap & chosen[:-step]
            touching[:-step] |= overlap & chosen[step:]
        return touching
