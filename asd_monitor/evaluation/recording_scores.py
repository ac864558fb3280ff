"""The scores of a detector on one recording."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from asd_monitor.audio.files.recordings import BY_OPTION, RecordingReader
from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fusion import fuse
from asd_monitor.dsp.sample_faults import DEAD_CHANNEL_S
from asd_monitor.errors import UsageError
from asd_monitor.model_training.constant_runs import ConstantRunRemover
from asd_monitor.pipeline import Pipeline
from asd_monitor.records import WindowScore
from asd_monitor.wording import printable


@dataclass(frozen=True, slots=True, eq=False)
class ScoredRecording:
    """The window scores of a recording."""

    path: Path
    rate_hz: int
    seconds: float
    windows: tuple[WindowScore, ...]
    notices: tuple[str, ...]

    @property
    def fused(self) -> float:
        """Mean of the windows' fused scores: the score of a clip."""
        return float(np.mean([window.fused for window in self.windows]))

    @property
    def score(self) -> float:
        """Mean of the windows' scores."""
        return float(np.mean([window.score for window in self.windows]))

    @property
    def views(self) -> dict[str, float]:
        """Mean of the windows' deviations in each view."""
        names = self.windows[0].views if self.windows else ()
        return {
            name: float(np.mean([window.views[name] for window in self.windows])) for name in names
        }

    def fused_without(self, left_out: Collection[str]) -> float:
        """Return the fused score of the other views: the mean over the windows."""
        kept = [
            [deviation for name, deviation in window.views.items() if name not in left_out]
            for window in self.windows
        ]
        return float(np.mean([fuse(np.array([deviations]))[0] for deviations in kept]))


def score_recording(
    detector: Detector,
    path: Path,
    channel: int | None = None,
    *,
    other_channel: str | None = BY_OPTION,
) -> ScoredRecording:
    """Score a recording; memory is bounded except for the scores.

    ``other_channel`` is passed to `RecordingReader`.

    Raises:
        UsageError: not a recording, of a lower rate than the detector's, or shorter than a window.
        OperationError: no permission.

    """
    windows: list[WindowScore] = []
    end = 0
    with RecordingReader(path, channel, other=other_channel) as reader:
        rate_hz = reader.rate_hz
        check_rate(detector, rate_hz, path)
        pipeline = Pipeline(replace(detector, microphone=None))  # scores are kept, spectra are not
        constant_runs = ConstantRunRemover(round(DEAD_CHANNEL_S * rate_hz))
        for block in reader.blocks():
            windows += pipeline.push(block)
            constant_runs.push(block)
            end = block.end
        windows += pipeline.flush()
        constant_runs.flush()
        notices = list(reader.notices)
    if constant_runs.removed:
        notices.append(
            f"{printable(path)}: {constant_runs.removed / rate_hz:.1f} s of dead silence (samples "
            "that do not change): scores there are meaningless; `run` would report a microphone "
            "fault"
        )
    if not windows:
        raise UsageError(
            f"{printable(path)}: no gapless part of it is as long as a window "
            f"({detector.window_s:.2f} s): give a longer recording"
        )
    return ScoredRecording(path, rate_hz, end / rate_hz, tuple(windows), tuple(notices))


def check_rate(detector: Detector, rate_hz: int, path: Path) -> None:
    """Check that the sound contains the detector's frequency range.

    Raises:
        UsageError: its rate is lower than the detector's.

    """
    if rate_hz < detector.rate_hz:
        raise UsageError(
            f"{printable(path)}: {rate_hz} Hz, while the model needs sound of "
            f"{detector.rate_hz} Hz: record at that rate or more, or train with recordings of this "
            "rate"
        )
