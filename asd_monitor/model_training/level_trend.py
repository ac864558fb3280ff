"""A trend of the level within the training recordings, such as that of a machine that runs in.

A straight line is compared with a step (`asd_monitor.model_training.sound_change`): the level has a
trend where the line explains most of the variance of its block means, and more than any step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asd_monitor.detector.fit import BLOCK_S
from asd_monitor.detector.trend import trend_of
from asd_monitor.dsp.frames import Floats
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.model_training.reference import Reference
from asd_monitor.model_training.sound_change import PlacedWindow, SoundChange, running_windows
from asd_monitor.model_training.sound_files import SoundFile

MIN_CHANGE_DB = 2.0
MIN_EXPLAINED = 0.5
"""Share of the variance of the block means that the line explains at least."""
MIN_BLOCKS = 5
SESSION_GAP_S = 3600.0
"""A longer pause between recordings ends a session."""
_MIN_PART = 2  # blocks on either side of a step
_END_SHARE = 0.1  # of a recording


@dataclass(frozen=True, slots=True)
class LevelTrend:
    """The change of the running level during one session by its linear trend.

    It is that from the beginning of the first block to the end of the last.
    """

    file: SoundFile
    from_s: float  # in the file
    to_file: SoundFile
    to_s: float
    change_db: float

    def contains(self, change: SoundChange) -> bool:
        """Return whether a lasting change of the sound is what this trend looks like as a step."""
        end_s = self.to_s - _END_SHARE * self.to_file.seconds
        at_end = change.to_file is self.to_file and change.to_s >= end_s
        return at_end and 0 < change.change_db / self.change_db <= 1


def find_level_trend(reference: Reference) -> LevelTrend | None:
    """Return the greatest trend of the running machine's level; None: there is none."""
    sessions: list[list[PlacedWindow]] = []
    before_s: float | None = None
    for file, window in running_windows(reference):
        end_s = window.end / reference.front_end.rate_hz
        at_s = None if file.began is None else file.began.timestamp() + end_s
        resumes = at_s is None or before_s is None or abs(at_s - before_s) <= SESSION_GAP_S
        if not sessions or not resumes:
            sessions.append([])
        sessions[-1].append((file, window))
        before_s = at_s
    trends = [_trend(placed, reference.front_end) for placed in sessions]
    return max(
        (trend for trend in trends if trend is not None),
        key=lambda trend: abs(trend.change_db),
        default=None,
    )


def _trend(placed: Sequence[PlacedWindow], front_end: FrontEnd) -> LevelTrend | None:
    size = round(BLOCK_S / front_end.hop_s)
    number = len(placed) // size
    if number < MIN_BLOCKS:
        return None
    levels = np.array([window.rms_dbfs for _, window in placed[: number * size]])
    blocks = levels.reshape(number, size).mean(axis=1)
    between_centres_db, explained = trend_of(blocks)
    change_db = between_centres_db * number / (number - 1)
    if abs(change_db) < MIN_CHANGE_DB or explained < max(MIN_EXPLAINED, _explained_by_step(blocks)):
        return None
    (file, first), (to_file, last) = placed[0], placed[number * size - 1]
    rate_hz = front_end.rate_hz
    return LevelTrend(file, first.start / rate_hz, to_file, last.end / rate_hz, change_db)


def _explained_by_step(values: Floats) -> float:
    """Return the largest share of the variance of values (n,) that one step explains."""
    n = len(values)
    centred = values - values.mean()
    total = float(centred @ centred)
    if total == 0:
        return 0.0
    begin = np.arange(_MIN_PART, n - _MIN_PART + 1)
    before = np.cumsum(centred)[begin - 1]
    return float(np.max(before**2 * (1 / begin + 1 / (n - begin)))) / total
