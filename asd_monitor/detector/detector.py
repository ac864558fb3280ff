"""Machines' fitted detectors: windows in, verdicts out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log10

import numpy as np

from asd_monitor.alarm.score import ALARM_SPAN_S
from asd_monitor.detector.calibration import ParetoTail, ParetoTailStack
from asd_monitor.detector.estimators import Floats, Vectors
from asd_monitor.detector.fusion import fuse
from asd_monitor.detector.views import View
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.features.windows import Window
from asd_monitor.records import WindowScore


@dataclass(frozen=True, slots=True, eq=False)
class Detector:
    """Views, their fusion and its calibration; the networks that some of them look through."""

    front_end: FrontEnd
    views: tuple[View, ...]
    tail: ParetoTail  # of the fused score
    sustained: ParetoTail  # of fused scores that last for the span of the alarm score
    idle_dbfs: tuple[float, float] | None  # levels at which the normals have shown it off
    encoders: tuple[Encoder, ...] = ()
    looks: str = field(init=False)
    """What it looks at, and how: equal for detectors that can be asked in one go."""
    view_tails: ParetoTailStack = field(init=False)
    fused_tails: ParetoTailStack = field(init=False)  # of the fused score, and of one that lasts

    def __post_init__(self) -> None:
        looks = [f"{v.kind.name}={v.back_end.kind}({v.kind.feature})" for v in self.views]
        object.__setattr__(self, "looks", " ".join([str(self.front_end), *looks]))
        tails = [view.tail for view in self.views]
        object.__setattr__(self, "view_tails", ParetoTailStack.of(tails or [self.tail]))
        object.__setattr__(self, "fused_tails", ParetoTailStack.of([self.tail, self.sustained]))

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

    def score(self, windows: Sequence[Window]) -> list[WindowScore]:
        """Score windows; high is anomalous."""
        return score_windows([self], [windows])[0]

    def alarm_threshold(self, alarms_per_s: float) -> float:
        """Return the alarm score that normals exceed about so often.

        Over its span the alarm score hardly changes, so that each span is one trial.
        """
        return max(1.0, -log10(alarms_per_s * ALARM_SPAN_S))

    def is_idle(self, rms_dbfs: float) -> bool:
        """Tell whether this level lies where the normals have shown the machine off."""
        return self.idle_dbfs is not None and self.idle_dbfs[0] <= rms_dbfs <= self.idle_dbfs[1]


def score_windows(
    detectors: Sequence[Detector], windows: Sequence[Sequence[Window]]
) -> list[list[WindowScore]]:
    """Score each detector's own windows; high is anomalous.

    Detectors with the same views and as many windows are asked in one go.
    """
    verdicts: list[list[WindowScore]] = [[] for _ in detectors]
    alike: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for number, (detector, own) in enumerate(zip(detectors, windows, strict=True)):
        if own:
            alike[detector.looks, len(own)].append(number)
    for numbers in alike.values():
        found = _judge([detectors[n] for n in numbers], [windows[n] for n in numbers])
        for number, scores in zip(numbers, found, strict=True):
            verdicts[number] = scores
    return verdicts


def _judge(
    detectors: Sequence[Detector], windows: Sequence[Sequence[Window]]
) -> list[list[WindowScore]]:
    """Score as many windows (q) of each of m detectors with the same views."""
    views = detectors[0].views
    raw = np.empty((len(detectors), len(windows[0]), len(views)))
    for number, view in enumerate(views):
        back_ends = [one.views[number].back_end for one in detectors]
        vectors = _vectors(windows, view.kind.feature)
        raw[:, :, number] = type(view.back_end).score_each(back_ends, vectors)
    by_view = ParetoTailStack.of_machines([one.view_tails for one in detectors]).score(raw)
    fused = fuse(by_view)
    told = ParetoTailStack.of_machines([one.fused_tails for one in detectors]).score(fused[..., None])
    return [
        _verdicts(detector, own, by_view[row], fused[row], told[row])
        for row, (detector, own) in enumerate(zip(detectors, windows, strict=True))
    ]


def _verdicts(
    detector: Detector, windows: Sequence[Window], by_view: Floats, fused: Floats, told: Floats
) -> list[WindowScore]:
    names = [view.kind.name for view in detector.views]
    return [
        WindowScore(
            start=window.start,
            end=window.end,
            score=score,
            fused=run_batch,
            sustained=sustained,
            views=dict(zip(names, views, strict=True)),
            rms_dbfs=window.rms_dbfs,
            idle=detector.is_idle(window.rms_dbfs),
            hops=window.hops,
        )
        for window, views, run_batch, (score, sustained) in zip(
            windows, by_view.tolist(), fused.tolist(), told.tolist(), strict=True
        )
    ]


def _vectors(windows: Sequence[Sequence[Window]], feature: str) -> Vectors:
    """Return a feature's vectors (m, q, d)."""
    vectors = [window.features[feature] for own in windows for window in own]
    joined = vectors[0] if len(vectors) == 1 else np.concatenate(vectors)
    return joined.reshape(len(windows), len(windows[0]), -1)
