"""Charts of an alarm's evidence: the spectrum, and the alarm scores around the alarm."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from asd_monitor.evidence.contents import PackageContent
from asd_monitor.explanation.sound_analysis import SoundAnalysis
from asd_monitor.explanation.sound_profile import SoundProfile
from asd_monitor.records import Thresholds
from asd_monitor.reports.evidence_facts import score_text
from asd_monitor.reports.plot import (
    Box,
    Drawing,
    Line,
    Plot,
    Scale,
    Tick,
    hertz_ticks,
    round_ticks,
)
from asd_monitor.wording import length, named_period

_LOWEST_HZ = 40.0
_POINTS = 260  # of a spectrum
_LEAST_APART = 12.0  # of two lines with a name each, in % of the height
_LEAST_SHOWN_S, _SHOWN_SCALES = 90.0, 4.0  # of scores


def spectrum_plot(
    analysis: SoundAnalysis | None, profile: SoundProfile | None, content: PackageContent
) -> Plot | None:
    """Return the spectrum of what was explained beside the range of the training sound."""
    if analysis is None or profile is None:
        return None
    lines_hz = profile.layout.lines_hz
    usual = profile.ranges["lines"]
    edges = np.geomspace(_LOWEST_HZ, lines_hz[-1], _POINTS + 1)
    places = np.searchsorted(lines_hz, edges)
    pairs = [(first, past) for first, past in pairwise(places.tolist()) if past > first]
    hz = [float(np.sqrt(lines_hz[first] * lines_hz[past - 1])) for first, past in pairs]
    now, low, high = (
        [float(values[first:past].max()) for first, past in pairs]
        for values in (analysis.lines, usual.low, usual.high)
    )
    floor = float(np.quantile(low, 0.05)) - 5.0
    x = Scale(_LOWEST_HZ, float(lines_hz[-1]), is_logarithmic=True)
    y = Scale(floor, max(*now, *high) + 3.0, is_upright=True)
    drawing = Drawing(x, y)
    boxes = []
    for number, mark in enumerate(content.marks, 1):
        left, right = x.at(mark.from_hz), x.at(mark.to_hz)
        if right - left < 90.0:  # the level of all sound is no place
            boxes.append(Box(left, 0.0, max(right - left, 0.6), 100.0, number, mark.text))
    drawing.area(list(zip(hz, low, strict=True)), list(zip(hz, high, strict=True)), "usual-range")
    drawing.curve(zip(hz, now, strict=True), "now")
    return Plot(
        alt="Spectrum since the change, and its range in the training sound",
        drawing=drawing.svg(),
        y_label="dBFS",
        x_ticks=tuple(Tick(x.at(hz), name) for hz, name in hertz_ticks(60.0, 0.9 * x.high, 3)),
        y_ticks=tuple(Tick(y.at(at), f"{at:g}") for at in round_ticks(y.low, y.high, 5)),
        boxes=tuple(boxes),
        style="chart spectrum",
    )


def score_plot(content: PackageContent) -> Plot | None:
    """Return the alarm score of each time scale around the alarm."""
    trace, facts = content.scores.trace, content.facts
    if content.sound is None:
        return None
    rate_hz = content.sound.rate_hz
    shown_s = max(_LEAST_SHOWN_S, _SHOWN_SCALES * (facts.time_scale_s or 0.0))
    first = int(np.searchsorted(trace.ends, facts.raised_sample - shown_s * rate_hz))
    times = (trace.ends[first:] - facts.raised_sample) / rate_hz
    if len(times) < 2:
        return None
    high = max(8.0, 1.25 * facts.thresholds.alarm, float(np.nanmax(trace.alarm_scores)) * 1.08)
    x = Scale(float(times[0]), max(float(times[-1]), 1.0))
    y = Scale(0.0, min(13.0, high), is_upright=True)
    drawing = Drawing(x, y)
    begin, end = (content.sound.first, content.sound.past)
    kept = ((begin - facts.raised_sample) / rate_hz, (end - facts.raised_sample) / rate_hz)
    drawing.rectangle(kept, "kept")
    for at in range(len(trace.scales_s)):
        values = trace.by_scale[first:, at].astype(float)
        drawing.curve(zip(times.tolist(), values.tolist(), strict=True), f"scale scale-{at}")
    newest = trace.alarm_scores[first:].astype(float).tolist()
    drawing.curve(zip(times.tolist(), newest, strict=True), "now")
    return Plot(
        alt=f"Alarm score over the last {length(-x.low)}: the alarm was raised at "
        f"{score_text(facts.alarm_score)}, the threshold is {facts.thresholds.alarm:.2f}",
        drawing=drawing.svg(),
        y_label="alarm score",
        x_ticks=tuple(_clock_ticks(x)),
        y_ticks=tuple(Tick(y.at(at), f"{at:g}") for at in round_ticks(0.0, y.high, 6)),
        horizontal=_threshold_lines(facts.thresholds, y),
        vertical=(Line(x.at(0.0), "raised", "alarm"),),
        style="chart",
    )


def _threshold_lines(thresholds: Thresholds, y: Scale) -> tuple[Line, ...]:
    """Return the thresholds; lines that are close have their names in one text."""
    alarm, warning = f"alarm {thresholds.alarm:.2f}", f"warning {thresholds.warning:.2f}"
    if abs(y.at(thresholds.alarm) - y.at(thresholds.warning)) < _LEAST_APART:
        alarm, warning = f"{alarm}, {warning}", ""
    return (
        Line(y.at(thresholds.warning), "warning", warning),
        Line(y.at(thresholds.alarm), "alarm", alarm),
    )


def _clock_ticks(x: Scale) -> Iterator[Tick]:
    """Yield times before the alarm, in minutes or hours where they are long."""
    unit_s, unit = (3600.0, "h") if x.low < -7200 else (60.0, "min") if x.low < -180 else (1.0, "s")
    for at in round_ticks(x.low / unit_s, x.high / unit_s, 6):
        if abs(at) > 1e-6 and 2.0 < x.at(at * unit_s) < 96.0:
            yield Tick(x.at(at * unit_s), f"{at:+g} {unit}".replace("-", "−"))


def slow_score_plots(content: PackageContent) -> Iterator[tuple[str, Plot]]:
    """Yield the evidence over a longer time, for an alarm of a mean over that."""
    facts, scores = content.facts, content.scores
    if not facts.is_slow or content.sound is None or len(scores.block_means) < 3:
        return
    rate_hz = content.sound.rate_hz
    for level in scores.levels:
        if level.time_scale_s != facts.time_scale_s:
            continue
        shown = [
            ((block.begin - facts.raised_sample) / rate_hz, block.mean)
            for block in scores.block_means
            if block.begin >= facts.raised_sample - 3 * level.time_scale_s * rate_hz
        ]
        means = np.array([mean for _, mean in shown])
        high = max(1.2 * level.alarm, float(means.max()))
        x, y = Scale(shown[0][0], 10.0), Scale(min(-1.0, float(means.min())), high, is_upright=True)
        drawing = Drawing(x, y)
        drawing.rectangle((-level.time_scale_s, 0.0), "kept")
        drawing.curve(shown, "now")
        yield (
            named_period(level.time_scale_s),
            Plot(
                alt=f"Evidence in blocks of ten seconds; the mean over "
                f"{named_period(level.time_scale_s)} has raised the alarm",
                drawing=drawing.svg(),
                y_label="evidence",
                x_ticks=tuple(_clock_ticks(x)),
                y_ticks=tuple(Tick(y.at(at), f"{at:g}") for at in round_ticks(y.low, y.high, 5)),
                horizontal=(
                    Line(y.at(level.alarm), "alarm", f"mean of an alarm {level.alarm:.2f}"),
                    Line(y.at(level.warning), "warning", ""),
                ),
                vertical=(Line(x.at(0.0), "raised", "alarm"),),
                style="chart",
            ),
        )
