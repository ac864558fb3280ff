"""A lasting change within the training recordings, such as a fault that began while recording.

One interval of the recordings is compared with the rest, as in the detection of an epidemic change:
B. Levin and J. Kline, "The CUSUM test of homogeneity with an application in spontaneous abortion
epidemiology", Statistics in Medicine 4 (1985).  A step is the interval that begins with the
recordings or ends with them.  What the two parts' means leave unexplained, as a share of the
variance, separates a step (near 0) from a drift (1/4 at least) and from the fluctuation of a
machine in one operating condition (more).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asd_monitor.detector.idle import idle_region
from asd_monitor.dsp.frames import Floats
from asd_monitor.features.windows import Window
from asd_monitor.model_training.reference import Reference
from asd_monitor.model_training.sound_files import SoundFile

MAX_UNEXPLAINED = 0.2
"""Share of the variance within the two parts, in the bands that change most."""
BAND_SHARE = 0.02
"""Share of the mel bands that must change."""
MIN_CHANGE_DB = 1.0
_BLOCK_WINDOWS = 10  # means over fewer fluctuate with the machine's strokes
_MAX_BLOCKS = 60
_MIN_BLOCKS = 4  # of either part


PlacedWindow = tuple[SoundFile, Window]


@dataclass(frozen=True, slots=True)
class SoundChange:
    """An interval in which the machine sounds different from the rest."""

    file: SoundFile
    from_s: float  # in the file
    to_file: SoundFile
    to_s: float
    share: float  # of the running windows that lie in it
    change_db: float  # median over the bands that change most; level in them, inside minus outside


def find_sound_change(reference: Reference) -> SoundChange | None:
    """Return the lasting change of the running machine's spectrum; None: there is none."""
    placed = running_windows(reference)
    size = max(_BLOCK_WINDOWS, -(-len(placed) // _MAX_BLOCKS))
    number = len(placed) // size
    if number < 2 * _MIN_BLOCKS:
        return None
    spectra = np.array([window.features["spectrum"] for _, window in placed[: number * size]])
    blocks = spectra.reshape(number, size, -1).mean(axis=1, dtype=np.float64)
    begin, end, unexplained = _best_interval(blocks)
    bands = np.argsort(unexplained)[: max(1, round(BAND_SHARE * blocks.shape[1]))]
    inside = np.zeros(number, bool)
    inside[begin:end] = True
    change = blocks[inside].mean(axis=0) - blocks[~inside].mean(axis=0)
    change_db = 10.0 * float(np.median(change[bands]))
    if unexplained[bands].max() > MAX_UNEXPLAINED or abs(change_db) < MIN_CHANGE_DB:
        return None
    # in units of half the change, negative outside and positive inside
    middle = (blocks[inside].mean(axis=0) + blocks[~inside].mean(axis=0)) / 2
    side = ((spectra[:, bands] - middle[bands]) / (change[bands] / 2)).mean(axis=1)
    begin_window = _refine(side, begin * size, size)
    end_window = _refine(-side, end * size, size)
    rate_hz = reference.front_end.rate_hz
    file, first = placed[begin_window]
    to_file, last = placed[end_window - 1]
    return SoundChange(
        file,
        first.start / rate_hz,
        to_file,
        last.end / rate_hz,
        (end - begin) / number,
        change_db,
    )


def running_windows(reference: Reference) -> Sequence[PlacedWindow]:
    """Return the windows in which the machine runs, each with its file."""
    placed = [(each.file, window) for each in reference.segments for window in each.windows]
    idle = idle_region([window.rms_dbfs for _, window in placed]) if placed else None
    if idle is None:
        return placed
    low, high = idle
    return [each for each in placed if not low <= each[1].rms_dbfs <= high]


def _refine(side: Floats, at: int, reach: int) -> int:
    """Return the index within ``reach`` of ``at`` where ``side`` (n,) changes to positive."""
    if at in (0, len(side)):
        return at
    low, high = max(0, at - reach), min(len(side), at + reach)
    sums = np.concatenate([[0.0], np.cumsum(side[low:high])])
    return low + int(np.argmin(sums))


def _best_interval(blocks: Floats) -> tuple[int, int, Floats]:
    """Return begin and end of the interval that explains most, and what it leaves by band.

    ``blocks`` are (blocks, bands).
    """
    number = len(blocks)
    centred = blocks - blocks.mean(axis=0)
    total = np.square(centred).sum(axis=0) + 1e-12
    sums = np.concatenate([np.zeros((1, blocks.shape[1])), np.cumsum(centred, axis=0)])
    best = (np.inf, 0, number, np.ones(blocks.shape[1]))
    for begin in range(number - _MIN_BLOCKS + 1):
        for end in range(begin + _MIN_BLOCKS, number + 1):
            outside = number - (end - begin)
            if outside < _MIN_BLOCKS:
                break
            within = sums[end] - sums[begin]
            explained = np.square(within) * (1 / (end - begin) + 1 / outside)
            unexplained = 1 - explained / total
            score = float(np.quantile(unexplained, BAND_SHARE))
            if score < best[0]:
                best = (score, begin, end, unexplained)
    _, begin, end, unexplained = best
    # an interval at the start and the rest are one step: the later part is what has changed
    return (end, number, unexplained) if begin == 0 else (begin, end, unexplained)
