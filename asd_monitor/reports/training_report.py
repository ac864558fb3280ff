"""The report of a training: the sound used, the fitted model and its held-out trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from asd_monitor.alarm.span_median import ALARM_SPAN_S
from asd_monitor.detector.evidence import EFFECT_BOUND
from asd_monitor.detector.prior import FUSED_PRIOR
from asd_monitor.dsp.mel import mel_centres_hz
from asd_monitor.model_training.findings import RECOMMENDED_S
from asd_monitor.model_training.held_out_trial import HeldOutTrial
from asd_monitor.model_training.operating_modes import OperatingMode
from asd_monitor.model_training.sensitivity import DRAWS
from asd_monitor.model_training.sound_files import SoundFile
from asd_monitor.model_training.training_run import TrainingResult
from asd_monitor.reports.notices import detection_text, outlier_text, training_notices
from asd_monitor.reports.page import KeyFigure, Meter, render
from asd_monitor.reports.png import as_picture, data_url
from asd_monitor.reports.recording_timeline import RecordingTimeline
from asd_monitor.reports.training_charts import (
    Band,
    Curve,
    Mark,
    Threshold,
    histogram,
    spectrogram,
    timeline,
)
from asd_monitor.wording import count, length

Floats = npt.NDArray[np.float64]

_MAX_COLUMNS = 1200  # of the spectrogram
_MAX_FILES = 200
_VIEW_QUANTILES = (0.5, 0.95)
_METER_DEVIATION = 4.0  # at the end of a view's bar
_MAX_THRESHOLD_SHOWN = 12.0


@dataclass(frozen=True, slots=True)
class ViewRow:
    """The deviations of one view."""

    name: str
    description: str
    meter: Meter
    median: float
    high: float  # 95th percentile


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """The budgets, and what the thresholds rest on."""

    configured: str
    effective: str
    provisional: bool
    hours: int  # that the training sound is from
    needed_hours: int  # for the configured budget
    shift: float  # deviations by which the sound is expected to shift between hours


@dataclass(frozen=True, slots=True, eq=False)
class TrainingPage:
    """What the template ``training_report.html`` shows."""

    title: str
    subtitle: str
    key_figures: Sequence[KeyFigure]
    notices: Sequence[str]
    spectrogram: Markup
    level_chart: Markup
    idle_dbfs: tuple[float, float] | None
    score_chart: Markup
    has_outliers: bool
    distribution: Markup
    alarm_span_s: float
    views: Sequence[ViewRow]
    views_of_held_out: bool
    modes: Sequence[OperatingMode]
    budget: BudgetRow
    detections: Sequence[str]
    not_measured: str | None  # why there are no detections
    faults_drawn: int  # of each kind and severity
    trial: HeldOutTrial | None
    files: Sequence[SoundFile]
    files_not_shown: int


def report_html(result: TrainingResult, version: str, now: datetime) -> str:
    """Return the report of a model version as an HTML page."""
    return render("training_report.html", training_page(result, version, now))


def training_page(result: TrainingResult, version: str, now: datetime) -> TrainingPage:
    """Return the view model of the report."""
    axis = RecordingTimeline.of(result.reference)
    calibration, fused = result.detector.calibration, result.fitted.fused
    scores = calibration.score(fused)
    marks = _outlier_marks(result, axis, scores)
    trial = result.trial
    files = result.reference.files
    return TrainingPage(
        title=f"{result.machine} {version}",
        subtitle=f"Model of this machine's normal sound, trained {now:%d %B %Y, %H:%M} UTC",
        key_figures=_key_figures(result),
        notices=training_notices(result),
        spectrogram=_spectrogram(result, axis),
        level_chart=_level_chart(result, axis),
        idle_dbfs=result.detector.idle_dbfs,
        score_chart=_score_chart(result, axis, scores, marks),
        has_outliers=bool(marks),
        distribution=histogram(
            fused,
            expected=lambda score: 10.0 ** -float(calibration.score(score)),
            high=max(EFFECT_BOUND, float(fused.max()) + 1.0),
            label="fused score",
        ),
        alarm_span_s=ALARM_SPAN_S,
        views=_views(result),
        views_of_held_out=_has_windows(trial),
        modes=result.modes,
        budget=_budget_row(result),
        detections=[detection_text(each) for each in result.sensitivity.detections],
        not_measured=result.sensitivity.not_measured,
        faults_drawn=DRAWS,
        trial=trial,
        files=files[:_MAX_FILES],
        files_not_shown=max(0, len(files) - _MAX_FILES),
    )


def _budget_row(result: TrainingResult) -> BudgetRow:
    budget, hours = result.budget, result.detector.hours
    configured = str(result.settings.false_alarms)
    return BudgetRow(
        configured,
        budget.false_alarms if budget.provisional else configured,
        provisional=budget.provisional,
        hours=hours,
        needed_hours=budget.needed_hours,
        shift=FUSED_PRIOR.after(hours, result.fitted.blocks.days),
    )


def _has_windows(trial: HeldOutTrial | None) -> bool:
    return trial is not None and bool(trial.running)


def _key_figures(result: TrainingResult) -> list[KeyFigure]:
    reference, trial, budget = result.reference, result.trial, result.budget
    entries = [
        KeyFigure(
            length(reference.usable_s),
            f"of normal sound from {count(len(reference.files), 'file')}",
            "good" if reference.usable_s >= RECOMMENDED_S else "fair",
        ),
        KeyFigure(
            f"{result.thresholds.alarm:.2f}",
            f"alarm threshold for {budget.false_alarms}; "
            f"warning threshold {result.thresholds.warning:.2f}",
        ),
        KeyFigure(
            budget.false_alarms,
            f"false alarms at that threshold, provisional: {result.settings.false_alarms} needs "
            f"sound from {budget.needed_hours} different hours"
            if budget.provisional
            else "false alarms at that threshold, as configured",
            "fair" if budget.provisional else "good",
        ),
    ]
    if trial is not None:
        entries.append(
            KeyFigure(
                count(trial.alarms, "alarm") if trial.alarms else "no alarm",
                f"in {length(trial.seconds)} held out",
                "bad" if trial.alarms else "good",
            )
        )
    return entries


def _spectrogram(result: TrainingResult, axis: RecordingTimeline) -> Markup:
    reference = result.reference
    spectra = np.stack([window.features["spectrum"] for window in reference.windows])
    times_s = axis.centres(reference.windows_by_segment)
    columns = min(_MAX_COLUMNS, len(spectra))
    column_times_s = (np.arange(columns) + 0.5) * axis.seconds / columns
    nearest = np.clip(np.searchsorted(times_s, column_times_s), 0, len(times_s) - 1)
    low, high = np.quantile(spectra, [0.02, 0.998])
    picture = as_picture(spectra[nearest].T[::-1], float(low), float(high))
    return spectrogram(
        data_url(picture),
        seconds=axis.seconds,
        bands_hz=mel_centres_hz(reference.front_end.rate_hz, spectra.shape[1]),
        boundaries=axis.boundaries_s,
    )


def _level_chart(result: TrainingResult, axis: RecordingTimeline) -> Markup:
    reference = result.reference
    levels = np.array([window.rms_dbfs for window in reference.windows])
    idle = result.detector.idle_dbfs
    return timeline(
        [
            Curve(
                axis.centres(reference.windows_by_segment),
                levels,
                "score",
                max_gap_s=2 * reference.front_end.hop_s,
            )
        ],
        seconds=axis.seconds,
        low=float(levels.min()) - 3,
        high=float(levels.max()) + 3,
        unit="level, dBFS",
        bands=_held_out_band(result, axis),
        value_band=None if idle is None else Band(*idle, "idle"),
        boundaries=axis.boundaries_s,
        height=150,
    )


def _score_chart(
    result: TrainingResult, axis: RecordingTimeline, scores: Floats, marks: Sequence[Mark]
) -> Markup:
    thresholds = result.thresholds
    step_s = 2 * result.detector.hop_s
    curves = [Curve(axis.centres(result.fitted.running), scores, "score", max_gap_s=step_s)]
    if result.trial is not None:
        curves += _alarm_score_curves(result.trial, axis)
    highest = max(float(curve.values.max()) for curve in curves)
    return timeline(
        curves,
        seconds=axis.seconds,
        low=0.0,
        high=max(highest, min(thresholds.alarm, _MAX_THRESHOLD_SHOWN)) + 0.7,
        unit="score",
        thresholds=[
            Threshold(thresholds.warning, f"warning {thresholds.warning:.2f}", "warning"),
            Threshold(thresholds.alarm, f"alarm {thresholds.alarm:.2f}", "alarm"),
        ],
        bands=_held_out_band(result, axis),
        boundaries=axis.boundaries_s,
        marks=marks,
        height=240,
    )


def _alarm_score_curves(trial: HeldOutTrial, axis: RecordingTimeline) -> list[Curve]:
    curves = []
    for part, windows, alarm_scores in zip(
        trial.parts, trial.windows, trial.alarm_scores, strict=True
    ):
        ends_s = [window.end / part.file.rate_hz for window in windows]
        times_s = axis.locate(part.file, ends_s)
        known = np.isfinite(times_s)
        if known.any():
            curves.append(Curve(times_s[known], np.array(alarm_scores)[known], "alarm-score"))
    return curves


def _held_out_band(result: TrainingResult, axis: RecordingTimeline) -> list[Band]:
    """Return the interval of the held-out part, the last of the axis."""
    if result.trial is None:
        return []
    first = result.split.parts[0]
    return [Band(float(axis.locate(first.file, [first.from_s])[0]), axis.seconds, "held-out")]


def _outlier_marks(result: TrainingResult, axis: RecordingTimeline, scores: Floats) -> list[Mark]:
    times_s = axis.centres(result.fitted.running)
    marks = []
    for outlier in result.outliers:
        half_s = (outlier.end_s - outlier.start_s) / 2
        centre_s = float(axis.locate(outlier.file, [outlier.start_s + half_s])[0])
        near = np.abs(times_s - centre_s) <= half_s
        if near.any():
            marks.append(Mark(centre_s, float(scores[near].max()), outlier_text(outlier)))
    return marks


def _views(result: TrainingResult) -> list[ViewRow]:
    trial, views = result.trial, result.detector.views
    if trial is not None and trial.running:
        quantiles = trial.view_quantiles(_VIEW_QUANTILES)
    else:
        columns = np.quantile(result.fitted.by_view, _VIEW_QUANTILES, axis=0).T.tolist()
        quantiles = {view.kind.name: column for view, column in zip(views, columns, strict=True)}
    rows = []
    for view in views:
        median, high = quantiles[view.kind.name]
        meter = Meter.of(median, mark=high, full=_METER_DEVIATION)
        rows.append(ViewRow(view.kind.name, view.kind.description, meter, median, high))
    return rows
