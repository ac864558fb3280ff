"""Level statistics of a recording, and its defects: clipping, dead input, low level.

Levels are those of the sound, without DC and its drift (`asd_monitor.dsp.dc_removal`).  Clipping
and constant runs are faults of the converter, and are found in its samples.
"""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from asd_monitor.dsp.dc_removal import DCRemover
from asd_monitor.dsp.sample_faults import CLIPPING_LEVEL, DEAD_CHANNEL_S
from asd_monitor.records import Samples

FLOOR_DBFS = -120.0
QUIET_DBFS = -66.0
MAX_CLIPPED_SHARE = 1e-4
"""Share of a recording's samples; more clipped ones distort it."""


@dataclass(frozen=True, slots=True)
class LevelSummary:
    """Levels in dBFS; a square wave of full scale has 0 dBFS RMS."""

    rms_dbfs: float
    peak_dbfs: float
    quietest_second_dbfs: float
    loudest_second_dbfs: float
    offset: float  # mean, full scale 1
    clipped_samples: int  # of the converter
    clipped_share: float  # of all samples
    longest_constant_s: float  # run of equal samples, as from a dead or muted input

    @property
    def is_clipping(self) -> bool:
        """Whether more than single samples, as of a normalised recording, reached full scale."""
        return self.clipped_share > MAX_CLIPPED_SHARE

    @property
    def is_dead(self) -> bool:
        """Whether the input was constant for `DEAD_CHANNEL_S`."""
        return self.longest_constant_s >= DEAD_CHANNEL_S

    @property
    def is_quiet(self) -> bool:
        """Whether the RMS level is so low that the microphone's noise may mask the machine."""
        return self.rms_dbfs < QUIET_DBFS


def dbfs(amplitude: float) -> float:
    """Return the level of an amplitude (full scale 1) in dBFS, at least `FLOOR_DBFS`."""
    return max(FLOOR_DBFS, 20 * math.log10(amplitude)) if amplitude > 0 else FLOOR_DBFS


class LevelAccumulator:
    """Level statistics of a stream of samples, in chunks of any size."""

    def __init__(self, rate_hz: int) -> None:
        self.samples = 0
        self._rate_hz = rate_hz
        self._dc_remover = DCRemover(rate_hz)
        self._sum = 0.0  # of the samples as captured
        self._clipped = 0
        self._measured = 0  # samples without DC so far
        self._energy = 0.0
        self._peak = 0.0
        self._second_energy = 0.0
        self._second_samples = 0
        self._quietest = math.inf
        self._loudest = 0.0
        self._last = math.nan
        self._constant = 0
        self._longest_constant = 0

    def push(self, samples: Samples) -> None:
        """Add samples, (n,) float32."""
        if not len(samples):
            return
        self.samples += len(samples)
        self._clipped += int(np.count_nonzero(np.abs(samples) >= CLIPPING_LEVEL))
        self._sum += float(samples.sum(dtype=np.float64))
        self._update_constant(samples)
        self._measure(self._dc_remover.push(samples))

    def _measure(self, sound: Samples) -> None:
        """Update the levels with sound without DC, (n,)."""
        self._measured += len(sound)
        self._peak = max(self._peak, float(np.abs(sound).max(initial=0.0)))
        squares = np.square(sound, dtype=np.float64)
        self._energy += float(squares.sum())
        while len(squares):
            part = squares[: self._rate_hz - self._second_samples]
            squares = squares[len(part) :]
            self._second_energy += float(part.sum())
            self._second_samples += len(part)
            if self._second_samples == self._rate_hz:
                level = math.sqrt(self._second_energy / self._rate_hz)
                self._quietest = min(self._quietest, level)
                self._loudest = max(self._loudest, level)
                self._second_energy, self._second_samples = 0.0, 0

    def _update_constant(self, samples: Samples) -> None:
        changes = np.flatnonzero(np.diff(samples, prepend=np.float32(self._last)) != 0)
        if len(changes):  # the first sample of the stream differs from NaN
            runs = np.diff(changes)
            longest = int(runs.max()) if len(runs) else 0
            self._longest_constant = max(
                self._longest_constant, longest, self._constant + int(changes[0])
            )
            self._constant = len(samples) - int(changes[-1])
        else:
            self._constant += len(samples)
        self._longest_constant = max(self._longest_constant, self._constant)
        self._last = float(samples[-1])

    def summary(self) -> LevelSummary:
        """Return the levels of the samples so far."""
        if self._measured < self.samples:  # the start is held back by the removal of DC
            ended = deepcopy(self)
            ended._measure(ended._dc_remover.flush())
            return ended.summary()
        rms = math.sqrt(self._energy / self.samples) if self.samples else 0.0
        has_whole_second = math.isfinite(self._quietest)
        return LevelSummary(
            rms_dbfs=round(dbfs(rms), 1),
            peak_dbfs=round(dbfs(self._peak), 1),
            quietest_second_dbfs=round(dbfs(self._quietest if has_whole_second else rms), 1),
            loudest_second_dbfs=round(dbfs(self._loudest if has_whole_second else rms), 1),
            offset=round(self._sum / self.samples, 6) if self.samples else 0.0,
            clipped_samples=self._clipped,
            clipped_share=self._clipped / self.samples if self.samples else 0.0,
            longest_constant_s=round(self._longest_constant / self._rate_hz, 3),
        )


class LevelDefect(StrEnum):
    """A property of its level that makes a recording unusable."""

    DEAD = "dead"
    CLIPPING = "clipping"
    QUIET = "quiet"


def level_defects(summary: LevelSummary) -> dict[LevelDefect, str]:
    """Return the defects of a recording, each with one line: what, remedy."""
    defects = {}
    if summary.is_dead:
        defects[LevelDefect.DEAD] = (
            f"constant signal for {summary.longest_constant_s:.1f} s: the microphone is muted or "
            "dead: check its switch, its cable and `alsamixer`"
        )
    if summary.is_clipping:
        defects[LevelDefect.CLIPPING] = (
            f"clipping: {summary.clipped_samples} samples "
            f"({100 * summary.clipped_share:.2g} %) at full scale: lower the gain (`alsamixer`) or "
            "move the microphone away, and record it again"
        )
    if summary.is_quiet and not summary.is_dead:
        defects[LevelDefect.QUIET] = (
            f"low level ({summary.rms_dbfs:.0f} dBFS): raise the gain (`alsamixer`) or move the "
            "microphone closer, and record it again"
        )
    return defects
