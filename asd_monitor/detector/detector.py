"""The fitted detectors of machines: windows → scores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from asd_monitor.alarm.scale_tail import ScaleTail
from asd_monitor.detector.back_end import Floats, Vectors
from asd_monitor.detector.calibration import FusedCalibration, ViewCalibrationStack, student_score
from asd_monitor.detector.evidence import EvidenceCalibration
from asd_monitor.detector.fusion import fuse
from asd_monitor.detector.idle import MARGIN_BELOW_DB
from asd_monitor.detector.views import View
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.features.windows import Window
from asd_monitor.microphone.baseline import MicrophoneBaseline
from asd_monitor.records import WindowScore, WindowSpectra

SPECTRUM = "spectrum"
"""Feature by which operating modes differ."""
LINES = "tone"
"""Feature that begins with the lines of the fine spectrum."""


@dataclass(frozen=True, slots=True, eq=False)
class Detector:
    """The views of one machine, their fusion, and the calibration of the fused score."""

    front_end: FrontEnd
    views: tuple[View, ...]
    calibration: FusedCalibration  # of the fused score of a window
    evidence_calibration: EvidenceCalibration  # of what the alarm score is made of
    idle_dbfs: tuple[float, float] | None  # levels at which the machine is off
    quietest_dbfs: float  # level of the quietest training window
    encoders: tuple[Encoder, ...] = ()
    microphone: MicrophoneBaseline | None = None  # None: the microphone is not judged by spectra
    signature: str = field(init=False)
    """Front end and views; detectors with the same signature can be evaluated in one call."""
    view_calibrations: ViewCalibrationStack = field(init=False)

    def __post_init__(self) -> None:
        kinds = [f"{v.kind.name}={v.back_end.kind}({v.kind.feature})" for v in self.views]
        object.__setattr__(self, "signature", " ".join([str(self.front_end), *kinds]))
        calibrations = ViewCalibrationStack.of([view.calibration for view in self.views])
        object.__setattr__(self, "view_calibrations", calibrations)

    @property
    def window_s(self) -> float:
        """Length of a window in seconds."""
        return self.front_end.window_s

    @property
    def hop_s(self) -> float:
        """Seconds from one window to the next."""
        return self.front_end.hop_s

    @property
    def rate_hz(self) -> int:
        """Sampling rate of the front end in Hz."""
        return self.front_end.rate_hz

    @property
    def quiet_limit_dbfs(self) -> float:
        """Level in dBFS below which sound is far quieter than ever in training."""
        return self.quietest_dbfs - MARGIN_BELOW_DB

    def score(self, windows: Sequence[Window]) -> list[WindowScore]:
        """Return the score of each window; high is anomalous."""
        return score_windows([self], [windows])[0]

    @property
    def tails(self) -> tuple[ScaleTail, ...]:
        """Distribution of the evidence of normal sound at each time scale, the shortest first."""
        return self.evidence_calibration.tails

    @property
    def effect_bound(self) -> float:
        """Evidence of ten seconds that is an alarm whatever the tails say; inf: none."""
        return self.evidence_calibration.effect_bound

    @property
    def hours(self) -> int:
        """Different hours that the training sound is from."""
        return self.evidence_calibration.hours

    def is_idle(self, rms_dbfs: float) -> bool:
        """Return whether the machine is off at this level."""
        return self.idle_dbfs is not None and self.idle_dbfs[0] <= rms_dbfs <= self.idle_dbfs[1]

    def is_quiet(self, rms_dbfs: float) -> bool:
        """Return whether this level lies far below that of any training window."""
        return rms_dbfs < self.quiet_limit_dbfs


def score_windows(
    detectors: Sequence[Detector], windows: Sequence[Sequence[Window]]
) -> list[list[WindowScore]]:
    """Return the scores of each detector's own windows; high is anomalous.

    Detectors with the same signature and number of windows are evaluated in one call.
    """
    scores: list[list[WindowScore]] = [[] for _ in detectors]
    groups: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for number, (detector, own) in enumerate(zip(detectors, windows, strict=True)):
        if own:
            groups[detector.signature, len(own)].append(number)
    for numbers in groups.values():
        of_group = _score_group([detectors[n] for n in numbers], [windows[n] for n in numbers])
        for number, own_scores in zip(numbers, of_group, strict=True):
            scores[number] = own_scores
    return scores


def _score_group(
    detectors: Sequence[Detector], windows: Sequence[Sequence[Window]]
) -> list[list[WindowScore]]:
    """Score q windows of each of m detectors with the same v views."""
    views = detectors[0].views
    raw = np.empty((len(detectors), len(windows[0]), len(views)))
    for number, view in enumerate(views):
        back_ends = [one.views[number].back_end for one in detectors]
        vectors = _vectors(windows, view.kind.feature)
        raw[:, :, number] = type(view.back_end).score_each(back_ends, vectors)
    stack = ViewCalibrationStack.of_machines([one.view_calibrations for one in detectors])
    by_view = stack.deviations(raw)
    fused = fuse(by_view)
    evidence = np.empty_like(fused)
    for row, (detector, own) in enumerate(zip(detectors, windows, strict=True)):
        own_calibration = detector.evidence_calibration
        mode = own_calibration.mode_of([window.features[SPECTRUM] for window in own])
        levels_dbfs = np.array([window.rms_dbfs for window in own])
        fused[row] = own_calibration.raised(fused[row], mode, levels_dbfs)
        evidence[row] = own_calibration.evidence(fused[row], mode)
    calibrations = [one.calibration for one in detectors]
    location, scale, dof = np.array([(c.location, c.scale, c.dof) for c in calibrations]).T[
        ..., None
    ]
    scores = student_score((fused - location) / scale, dof)
    return [
        _window_scores(
            detector,
            own,
            by_view[row],
            fused=fused[row],
            scores=scores[row],
            evidence=evidence[row],
        )
        for row, (detector, own) in enumerate(zip(detectors, windows, strict=True))
    ]


def _window_scores(
    detector: Detector,
    windows: Sequence[Window],
    by_view: Floats,
    *,
    fused: Floats,
    scores: Floats,
    evidence: Floats,
) -> list[WindowScore]:
    """Return the scores of q windows from arrays (q, v), and (q,) each."""
    names = [view.kind.name for view in detector.views]
    return [
        WindowScore(
            start=window.start,
            end=window.end,
            score=score,
            fused=fused_score,
            evidence=window_evidence,
            views=dict(zip(names, views, strict=True)),
            rms_dbfs=window.rms_dbfs,
            idle=detector.is_idle(window.rms_dbfs),
            hops=window.hops,
            quiet=detector.is_quiet(window.rms_dbfs),
            spectra=_spectra(detector.microphone, window),
        )
        for window, views, fused_score, score, window_evidence in zip(
            windows,
            by_view.tolist(),
            fused.tolist(),
            scores.tolist(),
            evidence.tolist(),
            strict=True,
        )
    ]


def _spectra(baseline: MicrophoneBaseline | None, window: Window) -> WindowSpectra | None:
    if baseline is None:
        return None
    lines = window.features[LINES][: baseline.lines.shape[1]]
    return WindowSpectra(window.features[SPECTRUM], lines)


def _vectors(windows: Sequence[Sequence[Window]], feature: str) -> Vectors:
    """Return the vectors (m, q, d) of a feature."""
    vectors = [window.features[feature] for own in windows for window in own]
    joined = vectors[0] if len(vectors) == 1 else np.concatenate(vectors)
    return joined.reshape(len(windows), len(windows[0]), -1)
