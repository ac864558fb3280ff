"""A detector on one recording."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asd_monitor.audio.files.recordings import BY_OPTION, RecordingReader
from asd_monitor.dead_channel import DEAD_CHANNEL_S
from asd_monitor.detector.detector import Detector
from asd_monitor.errors import UsageError
from asd_monitor.model_training.constant_runs import ConstantRunRemover
from asd_monitor.pipeline import Pipeline
from asd_monitor.records import Block, WindowScore


@dataclass(frozen=True, slots=True, eq=False)
class ScoredRecording:
    """The windows of a recording."""

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
        """Mean of the windows' scores of each view."""
        names = self.windows[0].views if self.windows else ()
        return {
            name: float(np.mean([window.views[name] for window in self.windows])) for name in names
        }


def score_recording(
    detector: Detector,
    path: Path,
    channel: int | None = None,
    *,
    other_channel: str | None = BY_OPTION,
) -> ScoredRecording:
    """Score a recording, in bounded memory but for the scores.

    ``other_channel`` is for `RecordingReader`.

    Raises:
        UsageError: not a recording, or not one that this detector can hear: of a lower rate
            than it was trained on, or shorter than a window.
        OperationError: no permission.

    """
    windows: list[WindowScore] = []
    end = 0
    with RecordingReader(path, channel, other=other_channel) as reader:
        rate_hz = reader.rate_hz
        check_rate(detector, rate_hz, path)
        pipeline = Pipeline(detector, rate_hz)
        cutter = ConstantRunRemover(round(DEAD_CHANNEL_S * rate_hz))

        def scored() -> Iterator[Block]:
            nonlocal end
            for block in reader.blocks():
                windows.extend(pipeline.push(block))
                end = block.end
                yield block

        for _ in cutter.cut(scored()):
            pass
        windows += pipeline.flush()
        notices = list(reader.notices)
    if cutter.dropped:
        notices.append(
            f"{path}: {cutter.dropped / rate_hz:.1f} s of dead silence (samples that do not "
            "change): scores there mean nothing; `run` would tell a fault of the microphone"
        )
    if not windows:
        raise UsageError(
            f"{path}: no gapless piece of it is as long as a window ({detector.window_s:.2f} s): "
            "give a longer recording"
        )
    return ScoredRecording(path, rate_hz, end / rate_hz, tuple(windows), tuple(notices))


def check_rate(detector: Detector, rate_hz: int, path: Path) -> None:
    """Refuse sound that lacks what the detector listens to.  Raises UsageError."""
    if rate_hz < detector.rate_hz:
        raise UsageError(
            f"{path}: {rate_hz} Hz, while the model listens to sound of {detector.rate_hz} Hz: "
            "record at that rate or more, or train with recordings of this rate"
        )
