"""A copy of a machine's live sound, as it is and with known faults, scored by its detector.

Pipelines and monitors are those of the trial: the machine's own scores, alarm and stored sound are
not affected.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asd_monitor.alarm.state import AlarmRule
from asd_monitor.detector.detector import LINES, SPECTRUM, Detector
from asd_monitor.dsp.signal_conditioning import SignalConditioner
from asd_monitor.features.windows import Window
from asd_monitor.microphone.recent_spectra import SpectralStatistics, Spectrum
from asd_monitor.pipeline import Pipeline
from asd_monitor.records import Block, Samples
from asd_monitor.self_test.added_sound import (
    FAULT_S,
    LEAD_IN_S,
    MIN_SOUND_S,
    AddedSound,
    repeated,
    trial_steps,
)
from asd_monitor.self_test.detected_levels import DetectedLevels, level_steps
from asd_monitor.self_test.obstacle import Obstacle
from asd_monitor.self_test.stepping import Steps, part_of
from asd_monitor.synthesis.added_faults import FaultKind

SOUND_S = 25.0
"""Live sound that is taken: less than the ring buffer holds."""
OFF = Obstacle(
    "the machine was off in a part of the sound",
    "it is tested once it runs for half a minute without a pause",
)
QUIET = Obstacle(
    "the sound is far quieter than ever in training",
    "look at the microphone and the machine; if both are in order, train it again",
)
ALARMING = Obstacle(
    "the sound raises an alarm without an added fault",
    "inspect the machine: it is tested once its sound is normal",
)
_TRIAL_SHARE = 0.1  # of the work; the rest are the levels
MAX_OFF_SHARE = 0.05
"""Share of the windows in which the machine may be off."""


@dataclass(frozen=True, slots=True, eq=False)
class LiveTrial:
    """What the live sound has shown."""

    bands: SpectralStatistics  # of the windows, each once
    lines: Spectrum  # (l,), medians in dB: lines of the fine spectrum
    level_dbfs: float  # median of the windows
    off: bool  # the machine was off in a part of it
    levels: DetectedLevels | None  # None: not measured
    not_measured: Obstacle | None = None  # why the levels are not


def too_short(block: Block | None) -> bool:
    """Return whether captured sound is too short for a trial."""
    return block is None or len(block.samples) < MIN_SOUND_S * block.rate_hz


def live_steps(
    detector: Detector, rule: AlarmRule, block: Block, known: DetectedLevels | None
) -> Steps[LiveTrial]:
    """Score a copy of live sound, without a fault and with faults at falling levels.

    Args:
        detector: the detector in use.
        rule: the alarm rule of the machine.
        block: captured sound, not `too_short`.
        known: the levels at an earlier test, near which the search begins.

    """
    normal = _conditioned(block, detector.rate_hz)
    bands: list[Spectrum] = []
    lines: list[Spectrum] = []
    levels_dbfs: list[float] = []

    def keep(windows: Sequence[Window]) -> None:
        once = [window for window in windows if window.end <= len(normal)]
        if not (once or bands):  # a window is as long as the sound
            once = list(windows[:1])
        bands.extend(window.features[SPECTRUM].copy() for window in once)
        lines.extend(window.features[LINES].copy() for window in once)
        levels_dbfs.extend(window.rms_dbfs for window in windows)

    pipeline = Pipeline(detector)
    pipeline.tap = keep
    silent = AddedSound(FaultKind.TONE, -math.inf, np.zeros(1, np.float32))
    sound = repeated(normal, LEAD_IN_S + FAULT_S, detector.rate_hz)
    trial = trial_steps([pipeline], rule, sound, [silent])
    delays_s = yield from part_of(trial, 0.0, _TRIAL_SHARE)
    most = MAX_OFF_SHARE * len(levels_dbfs)
    off = sum(map(detector.is_idle, levels_dbfs)) > most
    not_measured = None
    if off:
        not_measured = OFF
    elif sum(map(detector.is_quiet, levels_dbfs)) > most:
        not_measured = QUIET
    elif math.isfinite(delays_s[0]):
        not_measured = ALARMING
    levels = None
    if not_measured is None:
        search = level_steps(detector, rule, normal, known)
        levels = yield from part_of(search, _TRIAL_SHARE, 1.0 - _TRIAL_SHARE)
    return LiveTrial(
        SpectralStatistics.of(np.stack(bands)),
        SpectralStatistics.of(np.stack(lines)).median,
        float(np.median(levels_dbfs)),
        off,
        levels,
        not_measured,
    )


def _conditioned(block: Block, rate_hz: int) -> Samples:
    conditioner = SignalConditioner(block.rate_hz, rate_hz)
    return np.concatenate([conditioner.push(block.samples), conditioner.flush()])
