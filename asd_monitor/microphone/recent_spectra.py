"""Order statistics of the spectra of the last ten seconds.

The lower quartile of each band is that of the quiet moments: between the strokes of a machine, and
between the events of a hall, it shows the background that everything captured is added to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

SPAN_S = 10.0
MIN_FILL = 0.5
"""Share of the span that must be covered."""
DB = 10.0
"""Decibels in a unit of log10 of power."""

Spectrum = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class SpectralStatistics:
    """Order statistics over windows: for each of b bands, in dB."""

    lower_quartile: Spectrum  # (b,)
    median: Spectrum  # (b,)

    @classmethod
    def of(cls, spectra: Spectrum) -> SpectralStatistics:
        """Return those of n window spectra (n, b), log10 of power; n ≥ 1.

        They are elements of the sample and not interpolated.
        """
        ordered = np.sort(spectra, axis=0)
        last = len(ordered) - 1
        return cls(
            np.asarray(DB * ordered[last // 4], np.float32),
            np.asarray(DB * ordered[last // 2], np.float32),
        )


class RecentSpectra:
    """The spectra of the windows of the last `SPAN_S`, in a ring.

    A gap in the sound leaves those before it, which pass like all others.
    """

    def __init__(self, bands: int, hop_s: float, window_s: float, rate_hz: int) -> None:
        """Begin without windows.

        Args:
            bands: values of a spectrum.
            hop_s: seconds from window to window.
            window_s: length of a window in seconds.
            rate_hz: sampling rate of the sample indices.

        """
        self._size = ring_size(hop_s)
        self._rows = np.zeros((self._size, bands), np.float32)
        self._ends = [0] * self._size
        self._span = round(SPAN_S * rate_hz)
        self._window = round(window_s * rate_hz)
        self._count = 0

    def push(self, spectrum: Spectrum, end: int) -> None:
        """Add the spectrum (b,) of the window that ends at this sample index."""
        place = self._count % self._size
        self._rows[place] = spectrum
        self._ends[place] = end
        self._count += 1

    def clear(self) -> None:
        """Forget all windows."""
        self._count = 0

    def rows(self) -> Spectrum | None:
        """Return the spectra (n, b) of the last `SPAN_S`; None: they cover too little of it."""
        kept = min(self._count, self._size)
        if not kept:
            return None
        newest = self._ends[(self._count - 1) % self._size]
        recent = [at for at in range(kept) if self._ends[at] > newest - self._span]
        ends = sorted(self._ends[at] for at in recent)
        apart = (min(self._window, later - end) for end, later in pairwise(ends))
        if self._window + sum(apart) < MIN_FILL * self._span:
            return None
        return self._rows[:kept] if len(recent) == kept else self._rows[recent]


def ring_size(hop_s: float) -> int:
    """Return how many windows that begin every ``hop_s`` there are in `SPAN_S`, 1 at least."""
    return max(1, round(SPAN_S / hop_s))


def blocks_of_span(starts: Sequence[int], ends: Sequence[int], rate_hz: int) -> list[slice]:
    """Return which windows of a gapless segment lie in each of its spans of `SPAN_S`.

    Spans begin every quarter of their length, and are at least half covered.

    Args:
        starts: first sample of each window, ascending.
        ends: one past the last sample of each.
        rate_hz: sampling rate of the sample indices.

    """
    if not len(starts):
        return []
    begins, pasts = np.asarray(starts), np.asarray(ends)
    span = SPAN_S * rate_hz
    found: list[slice] = []
    for begin in np.arange(begins[0], pasts[-1], span / 4):
        first = int(np.searchsorted(begins, begin))
        past = int(np.searchsorted(pasts, begin + span, side="right"))
        covered = past > first and pasts[past - 1] - begins[first] >= MIN_FILL * span
        if covered and (not found or slice(first, past) != found[-1]):
            found.append(slice(first, past))
    return found
