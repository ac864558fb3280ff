"""A machine's fitted detector: windows in, verdicts out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10

import numpy as np

from asd_monitor.alarm.score import SPAN_S as ALARM_SPAN_S
from asd_monitor.detector.fusion import POWER, fuse
from asd_monitor.detector.tail import Tail
from asd_monitor.detector.views import View
from asd_monitor.features.encoder import Encoder
from asd_monitor.features.front_end import FrontEnd
from asd_monitor.features.windows import Window
from asd_monitor.records import WindowScore


@dataclass(frozen=True, slots=True, eq=False)
class Detector:
    """Views, their fusion and its calibration; the networks that some of them look through."""

    front_end: FrontEnd
    views: tuple[View, ...]
    tail: Tail  # of the fused score
    lasting: tuple[Tail, ...]
    """Of fused scores that last for the span of the alarm score; applied one after the other."""
    idle_dbfs: tuple[float, float] | None  # levels at which the normals have shown it off
    encoders: tuple[Encoder, ...] = ()
    power: int = POWER  # of the mean that fuses the views, by which the tails were fitted

    @property
    def window_s(self) -> float:
        """Seconds of one window."""
        return self.front_end.window_s

    @property
    def hop_s(self) -> float:
        """Seconds from one window to the next."""
        return self.front_end.hop_s

    @property
    def rate_hz(self) -> int:
        """Rate that the sound is brought to."""
        return self.front_end.rate_hz

    def judge(self, windows: Sequence[Window]) -> list[WindowScore]:
        """Score windows; high is anomalous."""
        if not windows:
            return []
        by_view = np.stack([view.score(windows) for view in self.views], axis=1)
        fused = fuse(by_view, self.power)
        scores = self.tail.score(fused)
        lasting = fused
        for tail in self.lasting:
            lasting = tail.score(lasting)
        names = [view.kind.name for view in self.views]
        return [
            WindowScore(
                start=window.start,
                end=window.end,
                score=float(scores[row]),
                fused=float(fused[row]),
                lasting=float(lasting[row]),
                views=dict(zip(names, by_view[row].tolist(), strict=True)),
                rms_dbfs=window.rms_dbfs,
                idle=self.is_idle(window.rms_dbfs),
            )
            for row, window in enumerate(windows)
        ]

    def alarm_threshold(self, alarms_per_s: float) -> float:
        """Return the alarm score that normals exceed about so often.

        Over its span the alarm score hardly changes, so that each span is one trial.
        """
        return max(1.0, -log10(alarms_per_s * ALARM_SPAN_S))

    def is_idle(self, rms_dbfs: float) -> bool:
        """Tell whether this level lies where the normals have shown the machine off."""
        return self.idle_dbfs is not None and self.idle_dbfs[0] <= rms_dbfs <= self.idle_dbfs[1]
