"""Evidence: the fused score of a window, standardised, and its distribution at each time scale.

The evidence of a window is its fused score relative to the location of its operating mode, in units
of a deviation (`asd_monitor.detector.calibration`), so that it compares across machines.  Where the
machine is louder than training leads to expect (`asd_monitor.detector.loudness`), the fused score
is at least a share of that at the bound of the effect: the fourth power of the rise relative to
that which is an alarm.

The tail of each time scale is fitted to its own non-overlapping times in the training sound.  A
scale with fewer than `MIN_BLOCKS` of them takes the variance of the next shorter one: a longer mean
varies less, if anything.  What one session of recording cannot show, the variation between hours
and days, is a prior (`asd_monitor.detector.prior`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from asd_monitor.alarm.scale_tail import ScaleTail
from asd_monitor.alarm.time_scales import TIME_SCALES
from asd_monitor.detector.back_end import Floats, Vectors
from asd_monitor.detector.calibration import MIN_SPREAD, upper_spread
from asd_monitor.detector.loudness import TrainingLevels, rise
from asd_monitor.detector.modes import Numbers, OperatingModes, find_modes
from asd_monitor.detector.prior import FUSED_PRIOR

Mode = Numbers | int
"""Number of the operating mode of each window (n,), or of all."""
MIN_BLOCKS = 5
MIN_FILL = 0.5
"""Least number of blocks in a time, as a share of the median one's."""
EFFECT_BOUND = 7.0
"""Evidence sustained for ten seconds that is an alarm whatever the tails say.

Set by what bounds cost in false alarms of a first week and detect in faults of simulated machines;
`python -m experiments.alarms.effect_bound` prints that curve."""
_STEEPNESS = 4  # so that ordinary windows louder than expected hardly count
_POOLED_BLOCKS = 10.0  # weight of all modes together in the location and spread of one
_MAX_RATIO = 3.0  # of a mode's spread to that of all modes


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """The ten-second blocks of the training windows; n windows, b blocks.

    Blocks that were left out since they were unusual have no windows here.  Where that is final
    their hours and days count: what these can bring is known, though it was not learned.
    """

    number: Numbers  # (n,): block of each window, 0 … b − 1
    begins_s: Floats  # (b,): time of the first window of each
    hours: int  # that they, and those finally left out, are from
    days: int
    left_out: int = 0  # number of those left out

    def __len__(self) -> int:
        """Return the number of blocks."""
        return len(self.begins_s)

    def medians(self, values: Floats) -> Floats:
        """Return the lower median (b,) of the windows' values (n,) in each block."""
        order = np.lexsort((values, self.number))
        counts = np.bincount(self.number, minlength=len(self))
        return np.asarray(values[order][np.cumsum(counts) - counts + (counts - 1) // 2])

    def means(self, values: Floats) -> Floats:
        """Return the mean (b,) of the windows' values (n,) in each block."""
        counts = np.bincount(self.number, minlength=len(self))
        return np.asarray(np.bincount(self.number, values, len(self)) / counts)

    def means_over(self, seconds: float, means: Floats) -> Floats:
        """Return the means of the blocks' means (b,) over non-overlapping times of this length.

        Times are counted from the first block; those with few blocks are omitted.
        """
        times = np.floor((self.begins_s - self.begins_s.min()) / seconds)
        _, number = np.unique(times, return_inverse=True)
        counts = np.bincount(number)
        return np.asarray(
            (np.bincount(number, means) / counts)[counts >= MIN_FILL * np.median(counts)]
        )


@dataclass(frozen=True, slots=True, eq=False)
class EvidenceCalibration:
    """Fused scores → evidence, and the tails of the evidence in normal sound."""

    modes: OperatingModes
    locations: Floats  # (k,): of the fused score in each mode
    ratios: Floats  # (k,): of its spread there to that in all modes, at least 1
    loudest_dbfs: Floats  # (k,): the highest level that each mode is expected to sustain
    tails: tuple[ScaleTail, ...]  # of each time scale, the shortest first
    effect_bound: float = EFFECT_BOUND
    hours: int = 1  # different hours that the training sound is from

    def __post_init__(self) -> None:
        """Raise ValueError for parameters that are out of range."""
        count = len(self.modes)
        calibrations = (self.locations, self.ratios, self.loudest_dbfs)
        if any(each.shape != (count,) for each in calibrations):
            raise ValueError("the operating modes and their calibrations do not match")
        if np.isnan(self.loudest_dbfs).any():
            raise ValueError("invalid level")
        if not np.isfinite([self.locations, self.ratios]).all() or self.ratios.min() <= 0:
            raise ValueError("invalid location or spread of the evidence")
        if math.isnan(self.effect_bound) or self.effect_bound <= 0:
            raise ValueError("invalid bound of the effect")
        if self.hours < 1:
            raise ValueError("the training sound is from no hour")

    def raised(self, fused: Floats, mode: Mode, levels_dbfs: Floats) -> Floats:
        """Return the fused scores (n,) of windows, raised where these are louder than expected.

        Args:
            fused: fused scores of their views, (n,).
            mode: their operating modes, as `mode_of` returns them.
            levels_dbfs: their levels, (n,).

        """
        louder = rise(levels_dbfs, self.loudest_dbfs[mode])
        at_bound = self.locations[mode] + self.ratios[mode] * EFFECT_BOUND
        return np.asarray(np.maximum(fused, at_bound * louder**_STEEPNESS))

    def evidence(self, fused: Floats, mode: Mode) -> Floats:
        """Return the evidence (n,) of fused scores (n,) of windows in these operating modes."""
        return np.asarray((fused - self.locations[mode]) / self.ratios[mode])

    def mode_of(self, spectra: Sequence[Vectors] | Vectors) -> Mode:
        """Return the operating modes of windows with these spectra (n, d): (n,), or one for all."""
        return self.modes.of(np.asarray(spectra)) if len(self.modes) > 1 else 0

    def to_json(self) -> dict[str, Any]:
        """Return the parameters for a manifest."""
        return {
            "modes": self.modes.to_json(),
            "locations": self.locations.tolist(),
            "ratios": self.ratios.tolist(),
            "loudest_dbfs": self.loudest_dbfs.tolist(),
            "tails": [asdict(tail) for tail in self.tails],
            "effect_bound": self.effect_bound,
            "hours": self.hours,
        }

    @classmethod
    def from_json(cls, parameters: dict[str, Any], bands: int) -> Self:
        """Return the calibration with these parameters, of windows with so many mel bands.

        Raises:
            KeyError, TypeError, ValueError: a parameter is missing or out of range.

        """
        tails = tuple(ScaleTail(**tail) for tail in parameters["tails"])
        if [tail.seconds for tail in tails] != [scale.seconds for scale in TIME_SCALES]:
            raise ValueError("the time scales are not those of this version")
        return cls(
            OperatingModes.from_json(parameters["modes"], bands),
            np.array(parameters["locations"], np.float64),
            np.array(parameters["ratios"], np.float64),
            np.array(parameters["loudest_dbfs"], np.float64),
            tails,
            float(parameters["effect_bound"]),
            int(parameters["hours"]),
        )


def fit_evidence(
    fused: Floats, spectra: Vectors, levels: TrainingLevels, blocks: Blocks
) -> EvidenceCalibration:
    """Fit the calibration to out-of-fold scores.

    Args:
        fused: out-of-fold fused scores of the views of the n training windows, (n,).
        spectra: their spectra, (n, d).
        levels: their levels.
        blocks: their blocks.

    """
    modes = find_modes(spectra)
    mode = modes.of(spectra)
    own = [mode == number for number in range(len(modes))]  # the windows of each mode
    counts = np.array([len(np.unique(blocks.number[each])) for each in own])
    weights = counts / (counts + _POOLED_BLOCKS) if len(modes) > 1 else np.ones(1)
    medians = np.array([np.median(fused[each]) for each in own])
    locations = weights * medians + (1.0 - weights) * np.median(fused)
    above = fused - medians[mode]
    spreads = np.array([max(MIN_SPREAD, upper_spread(above[each])) for each in own])
    ratios = (spreads / max(MIN_SPREAD, upper_spread(above))) ** weights
    loudest = np.array([levels.loudest(np.flatnonzero(each), blocks.number) for each in own])
    ratios = np.clip(ratios, 1.0, _MAX_RATIO)
    calibration = EvidenceCalibration(modes, locations, ratios, loudest, ())
    evidence = calibration.evidence(calibration.raised(fused, mode, levels.steady), mode)
    return replace(calibration, tails=fit_tails(evidence, blocks), hours=blocks.hours)


def fit_tails(evidence: Floats, blocks: Blocks) -> tuple[ScaleTail, ...]:
    """Return the tail of each time scale from the evidence (n,) of the training windows.

    The shortest scale is that of the blocks' medians, as the alarm rule forms them; the others are
    means.  Of the blocks that were left out only is known that they are unusual: they count as the
    highest of the others (censored).
    """
    means = blocks.means(evidence)
    tails: list[ScaleTail] = []
    spread, count = MIN_SPREAD, 1
    for scale in TIME_SCALES:
        shortest = scale is TIME_SCALES[0]
        values = blocks.medians(evidence) if shortest else blocks.means_over(scale.seconds, means)
        if shortest or len(values) >= MIN_BLOCKS:
            left_out = round(blocks.left_out * len(values) / len(blocks))
            spread, count = max(MIN_SPREAD, upper_spread(values, left_out)), len(values)
        deviation, dof = FUSED_PRIOR.predictive(
            spread, hours=blocks.hours, days=blocks.days, blocks=count
        )
        tails.append(ScaleTail(scale.seconds, float(np.median(values)), deviation, dof))
    return tuple(tails)
