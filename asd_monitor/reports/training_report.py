"""The report of a training: what was heard, what was learned, how far to trust it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from asd_monitor.dsp.mel import hz_to_mel, mel_to_hz
from asd_monitor.features.windows import Window
from asd_monitor.reports.charts import Band, Curve, Line, histogram, spectrogram, timeline
from asd_monitor.reports.page import bullets, figures, meter, page, paragraph, section, table
from asd_monitor.reports.png import as_picture, data_url
from asd_monitor.wording import clock, count, length, rate

if TYPE_CHECKING:
    from asd_monitor.model_training.reference import SoundFile
    from asd_monitor.model_training.training_run import TrainingResult

Floats = npt.NDArray[np.float64]

COLUMNS = 1200  # of the spectrogram
FILES_SHOWN = 200


def report_html(learned: TrainingResult, version: str, now: datetime) -> str:
    """Return the page."""
    axis = _TimeAxis.of(learned)
    parts = [_key_figures(learned)]
    if learned.warnings:
        parts.append(section("Worth knowing", bullets(learned.warnings), style="warnings"))
    parts += [
        _heard(learned, axis),
        _over_time(learned, axis),
        _distribution(learned),
        _views(learned),
        _held_out(learned),
        _files(learned),
    ]
    return page(
        f"{learned.machine} {version}",
        f"What asd-monitor learned of this machine's normal sound, {now:%d %B %Y, %H:%M} UTC",
        parts,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _TimeAxis:
    """The recordings put one after the other."""

    offsets_s: tuple[float, ...]  # of each stretch: what to add to a time in its file
    seconds: float
    boundaries: tuple[float, ...]

    @classmethod
    def of(cls, learned: TrainingResult) -> _TimeAxis:
        rate_hz = learned.reference.front_end.rate_hz
        at, last = 0.0, None
        offsets, boundaries = [], []
        for segment in learned.reference.segments:
            offsets.append(at - segment.windows[0].start / rate_hz)
            if at and segment.file is not last:
                boundaries.append(at)
            at, last = at + segment.seconds, segment.file
        return cls(tuple(offsets), at, tuple(boundaries))

    def middles(self, segments: Sequence[Sequence[Window]], rate_hz: int) -> Floats:
        """Return the times of the windows' middles."""
        return np.array(
            [
                (window.start + window.end) / 2 / rate_hz + offset
                for windows, offset in zip(segments, self.offsets_s, strict=True)
                for window in windows
            ]
        )

    def places(self, learned: TrainingResult, file: SoundFile, seconds: npt.ArrayLike) -> Floats:
        """Return where moments of a file lie; NaN where they are not among what is learned."""
        rate_hz = learned.reference.front_end.rate_hz
        moments = np.asarray(seconds, np.float64)
        found = np.full(moments.shape, np.nan)
        for segment, offset in zip(learned.reference.segments, self.offsets_s, strict=True):
            if segment.file is file:
                begin = segment.windows[0].start / rate_hz
                within = (moments >= begin - 0.01) & (moments <= begin + segment.seconds + 0.01)
                found[within] = moments[within] + offset
        return found

    def held_out(self, learned: TrainingResult) -> list[Band]:
        """Return the part held out: the last one."""
        if learned.trial is None:
            return []
        first = learned.split.parts[0]
        begin = float(self.places(learned, first.file, [first.from_s])[0])
        return [Band(begin, self.seconds, "held")]


def _key_figures(learned: TrainingResult) -> str:
    trial, interval = learned.trial, learned.interval
    reference = learned.reference
    entries = [
        (
            length(reference.usable_s),
            f"of normal sound from {count(len(reference.files), 'file')}",
            "good" if reference.usable_s >= 600 else "fair",
        ),
        (
            f"{learned.thresholds.alarm:.2f}",
            f"alarm score that alarms, for {learned.settings.false_alarms}; "
            f"{learned.thresholds.warning:.2f} warns",
            "",
        ),
        (
            _span_in_words(interval.low_hz, interval.high_hz),
            "false alarms at that threshold, as far as these recordings tell (90 % interval)",
            "good" if interval.proven else "fair",
        ),
    ]
    if trial is not None:
        alarms = count(trial.alarms, "alarm") if trial.alarms else "no alarm"
        entries.append(
            (alarms, f"in {length(trial.seconds)} held out", "bad" if trial.alarms else "good")
        )
    return figures(entries)


def _span_in_words(low_hz: float, high_hz: float) -> str:
    high = rate(high_hz)
    return high if rate(low_hz) == high else f"at most {high}"


def _heard(learned: TrainingResult, axis: _TimeAxis) -> str:
    reference = learned.reference
    windows = reference.windows
    spectra = np.stack([window.features["spectrum"] for window in windows])
    times = axis.middles(reference.lists(), reference.front_end.rate_hz)
    columns = min(COLUMNS, max(1, len(windows)))
    # each column shows the window that is nearest in time
    wanted = (np.arange(columns) + 0.5) * axis.seconds / columns
    nearest = np.clip(np.searchsorted(times, wanted), 0, len(times) - 1)
    image = spectra[nearest].T[::-1]
    low, high = np.quantile(spectra, [0.02, 0.998])
    edges = mel_to_hz(
        np.linspace(0.0, float(hz_to_mel(reference.front_end.rate_hz / 2)), spectra.shape[1] + 2)
    )
    drawn = spectrogram(
        data_url(as_picture(image, float(low), float(high))),
        seconds=axis.seconds,
        bands_hz=edges[1:-1],
        boundaries=axis.boundaries,
    )
    levels = np.array([window.rms_dbfs for window in windows])
    idle = learned.detector.idle_dbfs
    bottom, top = float(levels.min()) - 3, float(levels.max()) + 3
    level = timeline(
        [Curve(times, levels, "quiet", joined_s=2 * reference.front_end.hop_s)],
        seconds=axis.seconds,
        low=bottom,
        high=top,
        unit="level, dBFS",
        bands=axis.held_out(learned),
        off=None if idle is None else Band(idle[0], idle[1], "off"),
        boundaries=axis.boundaries,
        height=150,
    )
    said = (
        "No level at which the machine is off: if it falls quiet, that is judged like anything "
        "else."
        if idle is None
        else f"Between {idle[0]:.0f} and {idle[1]:.0f} dBFS the machine is taken to be off (idle): "
        "nothing is judged there."
    )
    return section(
        "The normal sound",
        paragraph("All recordings one after the other; bright is loud. Does it look as it should?"),
        drawn,
        level,
        paragraph(said),
    )


def _over_time(learned: TrainingResult, axis: _TimeAxis) -> str:
    fitted, trial = learned.fitted, learned.trial
    rate_hz = learned.reference.front_end.rate_hz
    step_s = 2 * learned.detector.hop_s
    scores = learned.detector.calibration.score(fitted.fused)
    curves = [Curve(axis.middles(fitted.running, rate_hz), scores, "quiet", joined_s=step_s)]
    if trial is not None:
        for part, windows, alarm_scores in zip(
            trial.parts, trial.windows, trial.alarm_scores, strict=True
        ):
            ends = [window.end / part.file.rate_hz for window in windows]
            times = axis.places(learned, part.file, ends)
            known = np.isfinite(times)
            if known.any():
                curves.append(Curve(times[known], np.array(alarm_scores)[known], "strong"))
    marks = []
    for outlier in learned.outliers:
        half_s = (outlier.end_s - outlier.start_s) / 2
        middle = float(axis.places(learned, outlier.file, [outlier.start_s + half_s])[0])
        near = np.abs(curves[0].times_s - middle) <= half_s
        if near.any():
            marks.append((middle, float(scores[near].max()), outlier.in_words()))
    highest = max([float(scores.max()), *(float(c.values.max()) for c in curves[1:])])
    top = max(highest, min(learned.thresholds.alarm, 12.0)) + 0.7
    keys = (
        '<p class="soft"><span class="key quiet"></span>score of each window by what had not '
        "heard it"
    )
    if trial is not None:
        keys += (
            '<span class="key held"></span>held out'
            '<span class="key strong"></span>its alarm score by a model without it'
        )
    if marks:
        keys += '<span class="key mark"></span>unusual moment'
    return section(
        "Scores over time",
        keys + "</p>",
        timeline(
            curves,
            seconds=axis.seconds,
            low=0.0,
            high=top,
            unit="score",
            lines=_thresholds(learned),
            bands=axis.held_out(learned),
            boundaries=axis.boundaries,
            marks=marks,
            height=240,
        ),
    )


def _thresholds(learned: TrainingResult) -> list[Line]:
    return [
        Line(learned.thresholds.warning, f"warning {learned.thresholds.warning:.2f}", "warning"),
        Line(learned.thresholds.alarm, f"alarm {learned.thresholds.alarm:.2f}", "alarm"),
    ]


def _distribution(learned: TrainingResult) -> str:
    scores = learned.detector.calibration.score(learned.fitted.fused)
    highest = float(scores.max()) + 1.0
    drawn = histogram(
        scores,
        expected=lambda score: 10.0**-score,
        highest=highest,
        label="score",
    )
    parts = [
        paragraph(
            "How many normal windows got which score from a model that had not heard them. "
            "Score 3 is one normal window in a thousand; the dashed line is what was to be "
            "expected. No single window raises an alarm: the alarm score tells how rare it is "
            "among normal sound that so much lasts for ten seconds."
        ),
        drawn,
    ]
    trial = learned.trial
    if trial is not None and trial.running:
        rows = [
            [
                f"{score:g} or more",
                f"{100 * 10.0**-score:g} %",
                f"{100 * float(np.mean(scores >= score)):.2f} %",
                f"{100 * trial.share_above(score):.2f} %",
            ]
            for score in (1.0, 2.0, 3.0)
        ]
        head = ["score", "expected", "found, all recordings", "found, the part held out"]
        parts.append(table(head, rows, numbers=(1, 2, 3)))
    return section("Distribution of the scores", *parts)


def _views(learned: TrainingResult) -> str:
    trial, fitted = learned.trial, learned.fitted
    shares = (0.5, 0.95)
    by_view = {
        view.kind.name: np.quantile(fitted.by_view[:, column], shares).tolist()
        for column, view in enumerate(learned.detector.views)
    }
    where = "all recordings, each window by what had not heard it"
    if trial is not None and trial.running:
        by_view, where = dict(trial.view_quantiles(shares)), "the part held out"
    rows = [
        [
            f"<b>{escape(view.kind.name)}</b>",
            escape(view.kind.description),
            meter(by_view[view.kind.name][0], by_view[view.kind.name][1], 4.0),
            f"{by_view[view.kind.name][0]:.2f}",
            f"{by_view[view.kind.name][1]:.2f}",
        ]
        for view in learned.detector.views
    ]
    return section(
        "Ways of listening",
        paragraph(
            f"Scores of each view on {where}: to be expected are 0.3 in the middle and 1.3 at "
            "95 %. A view far above that found this part unlike the rest."
        ),
        table(["view", "hears", "", "median", "95 %"], rows, numbers=(3, 4)),
    )


def _held_out(learned: TrainingResult) -> str:
    trial = learned.trial
    if trial is None:
        return section(
            "What was held out",
            paragraph("Nothing: there is too little sound to leave any of it out."),
        )
    rows = [
        [escape(part.file.path.name), clock(part.from_s), clock(part.to_s)] for part in trial.parts
    ]
    return section(
        "What was held out",
        paragraph(
            f"The last {length(trial.seconds)} were first left out, and a model without them "
            f"listened to them through the alarm rule: {count(trial.alarms, 'alarm')}, "
            f"{count(trial.warnings, 'warning')}. The model that is used has then learned all of "
            "it."
        ),
        table(["recording", "from", "to"], rows, numbers=(1, 2)),
    )


def _files(learned: TrainingResult) -> str:
    files = learned.reference.files
    rows = [
        [
            escape(file.path.name),
            clock(file.seconds),
            f"{file.rate_hz / 1000:g} kHz",
            f"{file.modified:%Y-%m-%d %H:%M}",
            f"<code>{file.sha256[:16]}</code>",
        ]
        for file in files[:FILES_SHOWN]
    ]
    more = len(files) - FILES_SHOWN
    parts = [
        table(["file", "length", "rate", "date (UTC)", "SHA-256"], rows, numbers=(1, 2)),
    ]
    if more > 0:
        parts.append(paragraph(f"and {count(more, 'more file')}, all named in manifest.json"))
    return section("Recordings", *parts)
