"""The numbers and names of an alarm's evidence: time scales, views, facts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from asd_monitor.detector.views import VIEW_KINDS
from asd_monitor.evidence.contents import PackageContent
from asd_monitor.reports.page import Meter
from asd_monitor.wording import named_period

USUAL_DEVIATION = 1.6
"""95 % of the training windows have a smaller deviation."""


@dataclass(frozen=True, slots=True)
class ViewRow:
    """The deviation of a view."""

    name: str
    description: str
    meter: Meter
    value: float
    is_unusual: bool


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and a value."""

    name: str
    value: str


def scale_names(content: PackageContent) -> Iterator[Fact]:
    """Yield the time scales with their alarm scores when the alarm was raised."""
    trace, facts = content.scores.trace, content.facts
    before = np.flatnonzero(trace.ends <= facts.raised_sample)
    for at, scale_s in enumerate(trace.scales_s):
        value = float(trace.by_scale[before[-1], at]) if len(before) else float("nan")
        if np.isfinite(value):
            raised = ", raised the alarm" if scale_s == facts.time_scale_s else ""
            yield Fact(f"scale-{at}", f"over {named_period(scale_s)}: {value:.1f}{raised}")


def missing_scales(content: PackageContent) -> str:
    """Return the time scales that had no score when the alarm was raised."""
    trace, facts = content.scores.trace, content.facts
    before = np.flatnonzero(trace.ends <= facts.raised_sample)
    if not len(before):
        return ""
    missing = [
        named_period(scale_s)
        for scale_s, value in zip(trace.scales_s, trace.by_scale[before[-1]].tolist(), strict=True)
        if not np.isfinite(value)
    ]
    return f"not enough sound yet over {', '.join(missing)}" if missing else ""


def view_rows(content: PackageContent) -> Iterator[ViewRow]:
    """Yield the deviation of each view from the training windows, the largest first."""
    views = content.facts.views
    descriptions = {kind.name: kind.description for kind in VIEW_KINDS}
    full = max(4.0, *(value for value in views.values() if np.isfinite(value)), 0.0)
    for name in sorted(views, key=lambda name: -views[name]):
        value = views[name]
        if np.isfinite(value):
            yield ViewRow(
                name,
                descriptions.get(name, "outputs of a network"),
                Meter.of(value, mark=USUAL_DEVIATION, full=full),
                value,
                value > USUAL_DEVIATION,
            )


def alarm_facts(content: PackageContent) -> Iterator[Fact]:
    """Yield what is known of an alarm: times, score, rule, model, microphone, sound."""
    facts = content.facts
    yield Fact("raised", utc_stamp(facts.raised))
    yield Fact("above the threshold since", utc_stamp(content.time_of(facts.onset_sample)))
    score = score_text(facts.alarm_score)
    yield Fact("alarm score", f"{score} (alarm {facts.thresholds.alarm:.2f})")
    if facts.time_scale_s is not None:
        yield Fact("time scale", named_period(facts.time_scale_s))
    if content.sentence.removesuffix(".") not in facts.reason:
        yield Fact("reason as published", facts.reason)
    yield Fact("rule", facts.rule)
    model = facts.model or "not known"
    yield Fact("model", f"{model}, provisional" if facts.provisional else model)
    yield Fact("accepted false alarms", facts.budget_note or facts.budget)
    reason = f": {facts.microphone_reason}" if facts.microphone_reason else ""
    yield Fact("microphone", f"{facts.microphone}{reason}")
    yield Fact("lost samples so far", f"{facts.lost_samples:,}")
    sound = content.sound
    if sound is not None:
        yield Fact("sound from", f"{utc_stamp(content.begin)}, {sound.seconds:.1f} s")
        yield Fact("capture rate", f"{sound.rate_hz / 1000:g} kHz")
        if sound.gaps:
            lost_s = sum(gap.past - gap.first for gap in sound.gaps) / sound.rate_hz
            yield Fact("gaps in the sound", f"{len(sound.gaps)}, {lost_s:.2f} s")


def score_text(value: float | None) -> str:
    """Return an alarm score with two decimals."""
    return "not known" if value is None else f"{value:.2f}"


def utc_stamp(time: datetime) -> str:
    """Return a time in UTC, to a tenth of a second."""
    utc = time.astimezone(UTC)
    return f"{utc:%Y-%m-%d %H:%M:%S}.{utc.microsecond // 100_000} UTC"
