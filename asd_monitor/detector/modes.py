"""Operating modes in the training recordings, such as at rest and under load, or two speeds.

Modes are clusters of the windows' spectra: along their first principal component an almost empty
valley separates them.  Each part is searched for further modes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from asd_monitor.detector.back_end import Floats, Vectors

MAX_MODES = 4
MIN_WINDOWS = 40  # on each side of the valley
MIN_SHARE = 0.1  # of the windows of the part that is divided, on each side
VALLEY_DB = 3.0
"""Least width of the valley, in dB as the root mean square over all bands."""
VALLEY_SHARE = 0.03  # largest share of the windows in the valley
DECIMALS = 4  # of a mean spectrum, in a manifest as well

Numbers = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class OperatingModes:
    """The mean spectra of the modes; a window belongs to the nearest."""

    centres: Vectors  # (k, d), k ≥ 1, log10 of power

    def of(self, spectra: Vectors) -> Numbers:
        """Return the number of the mode of each spectrum (n, d), (n,)."""
        if len(self.centres) == 1:
            return np.zeros(len(spectra), np.intp)
        distances = np.square(spectra[:, None, :] - self.centres).sum(-1)
        return np.asarray(distances.argmin(-1))

    def to_json(self) -> list[list[float]]:
        """Return the mean spectra for a manifest; none where there is one mode."""
        centres = self.centres.astype(np.float64).round(DECIMALS)
        return centres.tolist() if len(self) > 1 else []

    @classmethod
    def from_json(cls, centres: Any, bands: int) -> Self:
        """Return the modes with these mean spectra.

        Raises:
            ValueError: they are not up to MAX_MODES spectra of finite numbers.

        """
        if not centres:
            return cls(np.zeros((1, bands), np.float32))
        array = np.array(centres, np.float32)
        if array.ndim != 2 or not 2 <= len(array) <= MAX_MODES or array.shape[1] != bands:
            raise ValueError("the operating modes are not spectra of the front end")
        if not np.isfinite(array).all():
            raise ValueError("the operating modes are not finite")
        return cls(array)

    def __len__(self) -> int:
        """Return the number of modes."""
        return len(self.centres)


def find_modes(spectra: Vectors) -> OperatingModes:
    """Return the modes of training spectra (n, d), log10 of power, the quietest first.

    Each is the nearest to at least one of the spectra; without a valley there is one.
    """
    parts: list[Numbers] = [np.arange(len(spectra))]
    done: list[Numbers] = []
    while parts:
        part = parts.pop()
        divided = _divide(spectra[part]) if len(parts) + len(done) + 2 <= MAX_MODES else None
        if divided is None:
            done.append(part)
        else:
            parts += [part[~divided], part[divided]]
    ordered = sorted(done, key=lambda part: float(spectra[part].mean()))
    means = np.stack([spectra[part].mean(0, np.float64) for part in ordered])
    modes = OperatingModes(means.round(DECIMALS).astype(np.float32))
    return OperatingModes(modes.centres[np.unique(modes.of(spectra))])


def _divide(spectra: Vectors) -> npt.NDArray[np.bool_] | None:
    """Return which of the spectra (n, d) lie above the widest valley, None without one."""
    n = len(spectra)
    least = max(MIN_WINDOWS, math.ceil(MIN_SHARE * n))
    if n < 2 * least:
        return None
    centred = spectra - spectra.mean(0, np.float64)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    along_db: Floats = centred @ vectors[:, -1] * (10.0 / math.sqrt(spectra.shape[1]))
    values = np.sort(along_db)
    step = max(1, int(VALLEY_SHARE * n))  # from the last window below it to the first above it
    last_below = np.arange(least - 1, n - least)
    below, above = values[last_below], values[np.minimum(last_below + step, n - least)]
    widest = int((above - below).argmax())
    if above[widest] - below[widest] < VALLEY_DB:
        return None
    return np.asarray(along_db > (below[widest] + above[widest]) / 2)
