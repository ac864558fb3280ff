"""A detector of synthetic sound and its training windows, for bundles."""

import functools

from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fit import fit_detector
from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.features.windows import Window
from asd_monitor.pipeline import WindowExtractor
from tests.doubles.blocks import block_at
from tests.doubles.synthetic_sounds import machine_sound


@functools.cache
def bundle_windows() -> list[Window]:
    """Return the training windows, of 30 s."""
    return WindowExtractor(front_end_for(16_000)).push(block_at(0, machine_sound(30.0)))


@functools.cache
def bundle_detector() -> Detector:
    """Return the detector; read only."""
    return fit_detector([bundle_windows()], front_end_for(16_000), 16_000).detector
