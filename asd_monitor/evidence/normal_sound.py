"""Which normal sound of a machine is shown beside that of an alarm: the nearest in its spectrum.

So it is of the same operating mode.  Each band counts up to a few dB only, since the fault differs
in some of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from asd_monitor.evidence.pictures import Picture

_MOST_DB = 6.0
RUN_WINDOWS = 6
"""Consecutive training windows that are shown."""

Levels = npt.NDArray[np.floating]


def usual_levels(picture: Picture) -> Levels:
    """Return the median level (bands,) of each band of a picture, without its gaps."""
    return np.asarray(np.median(picture.captured_db, axis=0))


def distances(levels: Levels, spectra: Levels) -> Levels:
    """Return the distances (n,) of spectra (n, bands) from one of (bands,), all in dB."""
    return np.asarray(np.minimum(np.abs(spectra - levels), _MOST_DB).mean(-1))


def nearest_run(levels: Levels, spectra: Levels, follows: Sequence[bool]) -> slice:
    """Return the nearest consecutive windows, `RUN_WINDOWS` at most.

    Args:
        levels: (bands,) of the alarm's sound, in dB.
        spectra: (n, bands) mean spectra of n windows in dB, n > 0.
        follows: of each window, whether it follows the one before without a gap.

    """
    found = distances(levels, spectra)
    runs = _runs(follows)
    return min(runs, key=lambda run: float(found[run].mean()) + 10.0 * _missing(run))


def _runs(follows: Sequence[bool]) -> list[slice]:
    """Return all runs of `RUN_WINDOWS` windows, and the shorter ones between two gaps."""
    begins = [at for at, each in enumerate(follows) if at == 0 or not each]
    runs = []
    for begin, end in zip(begins, [*begins[1:], len(follows)], strict=True):
        last = max(begin, end - RUN_WINDOWS)
        runs += [slice(at, min(end, at + RUN_WINDOWS)) for at in range(begin, last + 1)]
    return runs


def _missing(run: slice) -> float:
    """Return the share of windows that a run has too few, so that a long one is preferred."""
    count: int = run.stop - run.start
    return 1.0 - count / RUN_WINDOWS
