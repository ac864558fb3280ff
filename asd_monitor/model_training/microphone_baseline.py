"""The baseline of the microphone, from the windows that a detector is fitted to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asd_monitor.detector.detector import LINES, SPECTRUM, Detector
from asd_monitor.detector.views import vectors_of
from asd_monitor.features.windows import Window
from asd_monitor.microphone.baseline import (
    OFF,
    MicrophoneBaseline,
    TrainingPiece,
    fit_baseline,
    line_count,
)
from asd_monitor.microphone.sample_counter import SampleFaults


def microphone_baseline(
    detector: Detector, pieces: Sequence[Sequence[Window]], samples: SampleFaults
) -> MicrophoneBaseline | None:
    """Return what the microphone has captured in the windows of gapless pieces.

    Args:
        detector: the detector that was fitted to them; its operating modes are those of the result.
        pieces: the windows, also those in which the machine is off.
        samples: the counts of faults in the samples.

    """
    found = [piece_of(detector, piece) for piece in pieces if piece]
    return fit_baseline(found, detector.front_end, samples)


def piece_of(detector: Detector, windows: Sequence[Window]) -> TrainingPiece:
    """Return the windows of a gapless piece as the baseline takes them."""
    spectra = vectors_of(windows, SPECTRUM)
    idle = [detector.is_idle(window.rms_dbfs) for window in windows]
    modes = np.where(idle, OFF, detector.evidence_calibration.mode_of(spectra))
    return TrainingPiece(
        starts=[window.start for window in windows],
        ends=[window.end for window in windows],
        spectra=spectra,
        lines=vectors_of(windows, LINES)[:, : line_count(detector.front_end)],
        modes=np.asarray(modes, np.intp),
    )
