"""The operating modes that a fitted detector has found in the training recordings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asd_monitor.detector.detector import SPECTRUM
from asd_monitor.detector.fit import FittedDetector
from asd_monitor.detector.views import vectors_of


@dataclass(frozen=True, slots=True)
class OperatingMode:
    """One operating mode."""

    level_dbfs: float  # median over its windows
    share: float  # of the running training windows


def operating_modes(fitted: FittedDetector) -> tuple[OperatingMode, ...]:
    """Return the modes, in the order of the detector's; a machine has one at least."""
    windows = [window for segment in fitted.running for window in segment]
    modes = fitted.detector.evidence_calibration.modes
    number = modes.of(vectors_of(windows, SPECTRUM))
    levels = np.array([window.rms_dbfs for window in windows])
    return tuple(
        OperatingMode(float(np.median(levels[number == mode])), float(np.mean(number == mode)))
        for mode in range(len(modes))
        if (number == mode).any()
    )
