"""The scores of the last minutes of one machine, as the evidence of an alarm shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asd_monitor.monitor import Reading

MAX_WINDOWS = 1200
"""Windows that are kept: ten minutes of the default hop."""

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ScoreTrace:
    """Scores of n windows in order; NaN where there is none."""

    scales_s: tuple[float, ...]
    ends: Indices  # (n,) sample index one past each window
    scores: Floats  # (n,)
    alarm_scores: Floats  # (n,)
    by_scale: Floats  # (n, scales): the alarm score of each time scale

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.ends)


class ScoreHistory:
    """Keeps the scores of the newest windows, in a fixed amount of memory."""

    def __init__(self, scales_s: Sequence[float]) -> None:
        """``scales_s`` are the time scales of the model in use, the shortest first."""
        self.scales_s = tuple(scales_s)
        self._columns = {scale_s: 2 + at for at, scale_s in enumerate(self.scales_s)}
        self._ends = np.zeros(MAX_WINDOWS, np.int64)
        self._rows = np.full((MAX_WINDOWS, 2 + len(self.scales_s)), np.nan, np.float32)
        self._count = 0

    def push(self, reading: Reading) -> None:
        """Add the scores of a window; a reading without one changes nothing."""
        window = reading.window
        if window is None:
            return
        at = self._count % MAX_WINDOWS
        row = self._rows[at]
        row[:] = np.nan
        row[0], row[1] = window.score, reading.alarm_score
        for score, scale_s in reading.scores:
            column = self._columns.get(scale_s)
            if column is not None:
                row[column] = score
        self._ends[at] = window.end
        self._count += 1

    def trace(self) -> ScoreTrace:
        """Return a copy of what is kept."""
        kept = min(self._count, MAX_WINDOWS)
        order = np.arange(self._count - kept, self._count) % MAX_WINDOWS
        rows = self._rows[order]
        return ScoreTrace(self.scales_s, self._ends[order], rows[:, 0], rows[:, 1], rows[:, 2:])


def onset_of(trace: ScoreTrace, raised: int, threshold: float) -> int | None:
    """Return the begin of the on-delay of an alarm, a sample index; None: it is not in the trace.

    It is that of the first window of the newest run of windows up to ``raised`` whose alarm score
    reaches the threshold.  Idle windows, which have no score of any time scale, do not end a run.
    """
    onset: int | None = None
    for end, score, own in zip(
        trace.ends[::-1].tolist(),
        trace.alarm_scores[::-1].tolist(),
        trace.by_scale[::-1],
        strict=True,
    ):
        if end > raised:
            continue
        if score >= threshold:
            onset = int(end)
        elif onset is not None and not np.isnan(own).all():
            return onset
    return onset
