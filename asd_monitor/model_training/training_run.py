"""Training windows of a machine → a fitted detector and what is known of it.

The last part of the recordings is held out of a first fit and scored by it; the detector that is
saved is fitted to everything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from asd_monitor.alarm.budget import alarm_rule
from asd_monitor.alarm.supported_budget import (
    CommissioningExtent,
    EffectiveBudget,
    effective_budget,
)
from asd_monitor.config.machine_settings import AlarmSettings
from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fit import MIN_WINDOWS, FittedDetector
from asd_monitor.errors import UsageError
from asd_monitor.model_training.adaptation_result import Adaptation
from asd_monitor.model_training.findings import Finding, ProvisionalBudget, assess
from asd_monitor.model_training.held_out_split import HeldOutSplit, hold_out
from asd_monitor.model_training.held_out_trial import HeldOutTrial, run_trial
from asd_monitor.model_training.microphone_baseline import microphone_baseline
from asd_monitor.model_training.operating_modes import OperatingMode, operating_modes
from asd_monitor.model_training.outliers import Outlier, WindowPosition, find_outliers
from asd_monitor.model_training.reference import Reference
from asd_monitor.model_training.sensitivity import Sensitivity, measure_sensitivity
from asd_monitor.model_training.training_progress import Progress, no_progress
from asd_monitor.records import Thresholds


@dataclass(frozen=True, slots=True, eq=False)
class TrainingResult:
    """A fitted detector and what is known of it."""

    machine: str
    reference: Reference
    fitted: FittedDetector
    settings: AlarmSettings
    thresholds: Thresholds
    budget: EffectiveBudget
    modes: tuple[OperatingMode, ...]
    outliers: tuple[Outlier, ...]
    split: HeldOutSplit
    trial: HeldOutTrial | None  # None: too little sound to hold any out
    sensitivity: Sensitivity
    findings: tuple[Finding, ...]
    adaptation: Adaptation | None = None  # None: not requested

    @property
    def detector(self) -> Detector:
        """The detector that is saved."""
        return self.fitted.detector


def train_model(
    machine: str,
    reference: Reference,
    settings: AlarmSettings,
    channel: int | None = None,
    progress: Progress = no_progress,
    *,
    adaptation: Adaptation | None = None,
    commissioning_days: float = 0.0,
) -> TrainingResult:
    """Fit a detector to the reference, and assess it on a held-out part.

    ``adaptation`` is the origin of the reference's encoder, where it was adapted.  The model is to
    be extended from live sound for ``commissioning_days``.

    Raises:
        UsageError: the machine runs in too little of the sound.

    """
    split = hold_out(reference)
    trial, sensitivity = _try_held_out(reference, split, settings, channel, progress)
    progress("fitting", 0.0)
    fitted = _with_microphone(_fit(reference, lambda share: progress("fitting", share)), reference)
    detector = fitted.detector
    budget = effective_budget(settings.criteria, detector.hours)
    provisional = None
    if budget.provisional:
        commissioning = CommissioningExtent(commissioning_days)
        provisional = ProvisionalBudget(budget, str(settings.false_alarms), commissioning)
    progress("checking", 0.0)
    outliers = _outliers(fitted, reference)
    progress("checking", 1.0)
    return TrainingResult(
        machine=machine,
        reference=reference,
        fitted=fitted,
        settings=settings,
        thresholds=alarm_rule(settings.criteria, detector).thresholds,
        budget=budget,
        modes=operating_modes(fitted),
        outliers=tuple(outliers),
        split=split,
        trial=trial,
        sensitivity=sensitivity,
        findings=assess(
            reference, trial, provisional, outliers, adaptation, microphone=detector.microphone
        ),
        adaptation=adaptation,
    )


def _try_held_out(
    reference: Reference,
    split: HeldOutSplit,
    settings: AlarmSettings,
    channel: int | None,
    progress: Progress,
) -> tuple[HeldOutTrial | None, Sensitivity]:
    """Score the held-out part by a detector fitted without it, as it is and with added faults."""
    nothing = None, Sensitivity(not_measured="too little sound to hold a part out")
    if sum(len(segment.windows) for segment in split.kept) < 2 * MIN_WINDOWS:
        return nothing
    step = "fitting without the held-out part"
    progress(step, 0.0)
    try:
        fitted = reference.fit(split.kept, lambda share: progress(step, share))
    except ValueError:  # the machine is idle in most of the rest
        return nothing
    rule = alarm_rule(settings.criteria, fitted.detector)
    trial = run_trial(fitted, rule, split.parts, channel, progress)
    return trial, measure_sensitivity(fitted.detector, rule, trial, channel, progress)


def _fit(reference: Reference, report: Callable[[float], None]) -> FittedDetector:
    try:
        return reference.fit(report=report)
    except ValueError as error:
        raise UsageError(
            f"the machine runs in too little of these recordings ({error}): "
            "record at least 60 s of it while it works"
        ) from error


def _with_microphone(fitted: FittedDetector, reference: Reference) -> FittedDetector:
    baseline = microphone_baseline(
        fitted.detector, reference.windows_by_segment, reference.sample_faults
    )
    return replace(fitted, detector=replace(fitted.detector, microphone=baseline))


def _outliers(fitted: FittedDetector, reference: Reference) -> Sequence[Outlier]:
    rate_hz = reference.front_end.rate_hz
    positions = [
        WindowPosition(segment.file, window.start / rate_hz, window.end / rate_hz)
        for segment, running in zip(reference.segments, fitted.running, strict=True)
        for window in running
    ]
    names = [view.kind.name for view in fitted.detector.views]
    return find_outliers(fitted.fused, fitted.by_view, names, positions)
