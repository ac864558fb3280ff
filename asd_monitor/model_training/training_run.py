"""Recordings of a machine's normal sound → a new version of its model, with its report.

The last part is held out and tried first; the model that is saved has heard everything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from asd_monitor.alarm.budget import rule_for
from asd_monitor.config.settings import AlarmSettings
from asd_monitor.detector.calibration import MAX_SCORE
from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fit import MIN_SUSTAINED_SCALE, MIN_WINDOWS, FittedDetector, fit_detector
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.model_store.bundle import next_version, save_bundle
from asd_monitor.model_training.adaptation_result import Adaptation
from asd_monitor.model_training.confidence import FalseAlarmInterval, false_alarm_interval
from asd_monitor.model_training.held_out_trial import (
    HeldOutSplit,
    HeldOutTrial,
    hold_out,
    run_trial,
)
from asd_monitor.model_training.outliers import Outlier, WindowPosition, find_outliers
from asd_monitor.model_training.reference import Progress, Reference, no_progress
from asd_monitor.records import Thresholds
from asd_monitor.wording import DAY_S, count, rate

SEED = 10
SHORT_S = 600.0  # less than this is told to be little
OUTLIERS_TOLD = 5
SCORES_CHECKED = (1.0, 2.0, 3.0)
FAR_OFF = 5.0  # so many times more normals above a score than it says


@dataclass(frozen=True, slots=True, eq=False)
class TrainingResult:
    """A fitted detector and what is known of it."""

    machine: str
    reference: Reference
    fitted: FittedDetector
    settings: AlarmSettings
    thresholds: Thresholds
    interval: FalseAlarmInterval
    outliers: tuple[Outlier, ...]
    split: HeldOutSplit
    trial: HeldOutTrial | None  # None: too little sound to hold any out
    warnings: tuple[str, ...]
    adaptation: Adaptation | None = None  # None: not asked for

    @property
    def detector(self) -> Detector:
        """What is saved."""
        return self.fitted.detector


def train_model(
    machine: str,
    reference: Reference,
    settings: AlarmSettings,
    channel: int | None = None,
    progress: Progress = no_progress,
    *,
    adaptation: Adaptation | None = None,
) -> TrainingResult:
    """Fit a detector to the normals and find out how far it can be trusted.

    ``adaptation`` tells how the normals' encoder came about.

    Raises:
        UsageError: the machine runs in too little of the sound.

    """
    split = hold_out(reference)
    trial = _trial(reference, split, settings, channel, progress)
    progress("learning", 0.0)
    fitted = _fit(reference)
    rule = rule_for(settings, fitted.detector)
    progress("checking", 0.0)
    interval = false_alarm_interval(
        fitted.sustained,
        budget=settings.false_alarms,
        threshold=rule.thresholds.alarm,
        hop_s=fitted.detector.hop_s,
        least_scale=MIN_SUSTAINED_SCALE,
        rng=np.random.default_rng(SEED),
    )
    outliers = tuple(_outliers(fitted, reference))
    progress("checking", 1.0)
    told = _warnings(reference, trial, interval, outliers)
    if adaptation is not None and not adaptation.kept:
        told = [adaptation.in_words(), *told]
    return TrainingResult(
        machine=machine,
        reference=reference,
        fitted=fitted,
        settings=settings,
        thresholds=rule.thresholds,
        interval=interval,
        outliers=outliers,
        split=split,
        trial=trial,
        warnings=(*reference.notices, *told),
        adaptation=adaptation,
    )


def _trial(
    reference: Reference,
    split: HeldOutSplit,
    settings: AlarmSettings,
    channel: int | None,
    progress: Progress,
) -> HeldOutTrial | None:
    if sum(len(segment.windows) for segment in split.kept) < 2 * MIN_WINDOWS:
        return None
    progress("learning without the last part", 0.0)
    try:
        detector = fit_detector(
            [segment.windows for segment in split.kept],
            reference.front_end,
            reference.front_end.rate_hz,
            reference.encoders,
        ).detector
    except ValueError:  # it hardly runs before the last part
        return None
    return run_trial(detector, rule_for(settings, detector), split.parts, channel, progress)


def _fit(reference: Reference) -> FittedDetector:
    try:
        return fit_detector(
            reference.lists(), reference.front_end, reference.front_end.rate_hz, reference.encoders
        )
    except ValueError as error:
        raise UsageError(
            f"the machine runs in too little of these recordings ({error}): "
            "record at least 60 s of it while it works"
        ) from error


def _outliers(fitted: FittedDetector, reference: Reference) -> list[Outlier]:
    rate_hz = reference.front_end.rate_hz
    moments = [
        WindowPosition(segment.file, window.start / rate_hz, window.end / rate_hz)
        for segment, running in zip(reference.segments, fitted.running, strict=True)
        for window in running
    ]
    names = [view.kind.name for view in fitted.detector.views]
    return find_outliers(fitted.fused, fitted.by_view, names, moments)


def _warnings(
    reference: Reference,
    trial: HeldOutTrial | None,
    interval: FalseAlarmInterval,
    outliers: Sequence[Outlier],
) -> list[str]:
    told = []
    if reference.usable_s < SHORT_S:
        told.append(
            f"{reference.usable_s:.0f} s is little: ten minutes or more, in every way the machine "
            "works, make alarms more certain"
        )
    if trial is None:
        told.append("too little sound to hold any out: nothing tells how it does on new sound")
    else:
        if trial.alarms:
            told.append(
                f"{count(trial.alarms, 'alarm')} in the {trial.seconds:.0f} s held out: the "
                "machine sounds different there; if that is normal too, record more of it"
            )
        for score in SCORES_CHECKED:
            found, expected = trial.share_above(score), 10.0**-score
            if found > FAR_OFF * expected and found * len(trial.running) >= 10:
                told.append(
                    f"{100 * found:.1f} % of the held-out windows score above {score:g}, where "
                    f"{100 * expected:g} % were expected: the recordings do not show all that "
                    "is normal"
                )
                break
    if interval.threshold >= MAX_SCORE:
        told.append(
            f"a budget of {interval.budget} asks for an alarm score of {interval.threshold:.1f}, "
            f"and scores end at {MAX_SCORE:g}: no alarm will ever rise; accept more false alarms, "
            "or record more"
        )
    elif not interval.proven:
        told.append(
            f"a budget of {interval.budget} is more than these recordings can prove: false "
            f"alarms may come between {rate(interval.low_hz)} and "
            f"{rate(interval.high_hz)}; longer recordings narrow it"
        )
    if outliers:
        more = len(outliers) - OUTLIERS_TOLD
        told.append(
            "unusual moments among the normals (kept; listen, and leave them out if they are no "
            "normal sound): "
            + "; ".join(outlier.in_words() for outlier in outliers[:OUTLIERS_TOLD])
            + (f"; and {more} more" if more > 0 else "")
        )
    return told


def save(
    models: Path,
    learned: TrainingResult,
    now: datetime,
    render: Callable[[TrainingResult, str, datetime], str],
) -> str:
    """Write the model with its report and make it the current one; return its version.

    ``render`` makes the report of a version as HTML.

    Raises:
        OperationError: the models folder cannot be written.

    """
    home = models / learned.machine
    try:
        version = next_version(models, learned.machine)
        documents = {"report.html": render(learned, version, now)}
        return save_bundle(
            models, learned.machine, learned.detector, facts(learned, now), documents
        )
    except OSError as error:
        raise OperationError(
            f"{error.filename or home}: the model cannot be written ({error.strerror}): "
            "choose a folder of your own with --models, or free some space"
        ) from error


def facts(learned: TrainingResult, now: datetime) -> dict[str, Any]:
    """Return what the manifest tells beside the detector itself."""
    reference, trial, interval = learned.reference, learned.trial, learned.interval
    return {
        "trained": _utc(now),
        "training": {
            "seconds": round(reference.usable_s, 3),
            "windows": len(reference.windows),
            "one_piece_in": reference.every,
            "files": [
                {
                    "name": file.path.name,
                    "sha256": file.sha256,
                    "seconds": round(file.seconds, 3),
                    "rate_hz": file.rate_hz,
                    "modified": _utc(file.modified),
                }
                for file in reference.files
            ],
        },
        "thresholds": {
            "false_alarms": str(learned.settings.false_alarms),
            "alarm": learned.thresholds.alarm,
            "warnings": str(learned.settings.warnings),
            "warning": learned.thresholds.warning,
            "false_alarms_per_day": [interval.low_hz * DAY_S, interval.high_hz * DAY_S],
        },
        "held_out": None
        if trial is None
        else {
            "seconds": round(trial.seconds, 3),
            "parts": [
                {
                    "name": part.file.path.name,
                    "from_s": round(part.from_s, 3),
                    "to_s": round(part.to_s, 3),
                }
                for part in trial.parts
            ],
            "alarms": trial.alarms,
            "warnings": trial.warnings,
            "share_above": {f"{score:g}": trial.share_above(score) for score in SCORES_CHECKED},
        },
        **({} if learned.adaptation is None else {"adaptation": learned.adaptation.to_json()}),
        "warnings": list(learned.warnings),
    }


def _utc(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
