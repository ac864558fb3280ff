"""The page of an alarm's evidence: what differs, where, and how it compares with normal sound."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from asd_monitor.detector.views import VIEW_KINDS
from asd_monitor.evidence.contents import EARLIER_SOUND, SOUND, PackageContent
from asd_monitor.evidence.pictures import Picture
from asd_monitor.evidence.sound_span import LOWPASS_HZ, SoundContent
from asd_monitor.explanation.sound_analysis import SoundAnalysis
from asd_monitor.explanation.sound_profile import SoundProfile
from asd_monitor.records import Thresholds
from asd_monitor.reports.page import Meter, render
from asd_monitor.reports.plot import (
    Box,
    Drawing,
    Line,
    Pair,
    Plot,
    Scale,
    Tick,
    hertz_ticks,
    round_ticks,
)
from asd_monitor.reports.png import as_difference, as_picture, data_url
from asd_monitor.wording import length, named_period

USUAL_DEVIATION = 1.6
"""95 % of the training windows have a smaller deviation."""
_DIFFERENCE_DB = 18.0
_LOWEST_HZ = 40.0
_POINTS = 260  # of a spectrum
_RANGE_DB = (3.0, 12.0)  # of pictures: below the usual level, above the highest
_MAX_IMPACTS = 60
_BESIDE_S, _LEAST_BEFORE_S = 0.5, 2.0
_LEAST_APART = 12.0  # of two lines with a name each, in % of the height
_LEAST_SHOWN_S, _SHOWN_SCALES = 90.0, 4.0  # of scores

Levels = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Player:
    """A sound that the page plays."""

    file: str
    caption: str
    onset_s: float  # of the sound
    alarm_s: float


@dataclass(frozen=True, slots=True)
class MarkedPlace:
    """A finding beside the pictures."""

    number: int
    text: str
    place: str


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


@dataclass(frozen=True, slots=True)
class EvidencePage:
    """Everything that the template shows."""

    title: str
    subtitle: str
    sentence: str
    marks: tuple[MarkedPlace, ...]
    notes: tuple[str, ...]
    player: Player | None
    earlier: Player | None
    picture: Plot | None
    difference: Plot | None
    difference_from: str
    normal: Plot | None
    normal_source: str
    spectrum: Plot | None
    scores: Plot | None
    slow_scores: tuple[tuple[str, Plot], ...]
    scales: tuple[Fact, ...]
    missing_scales: str
    views: tuple[ViewRow, ...]
    usual_deviation: float
    facts: tuple[Fact, ...]
    privacy: str
    script: Markup
    script_hash: str


def evidence_page(content: PackageContent) -> str:
    """Return the page of a package as HTML."""
    facts = content.facts
    script = _script()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    levels = _range_of(content)
    time = facts.raised.astimezone(UTC)
    page = EvidencePage(
        title=f"Alarm of {facts.machine}",
        subtitle=f"{time:%A, %d %B %Y, %H:%M:%S} UTC · box {facts.box} · {facts.id}",
        sentence=content.sentence,
        marks=tuple(_marked(content)),
        notes=content.notes,
        player=_player(content),
        earlier=_earlier(content),
        picture=_alarm_picture(content, levels),
        difference=_difference(content),
        difference_from="normal" if _columns_before(content) is None else "the sound before",
        normal=None if content.normal is None else _normal_picture(content.normal.picture, levels),
        normal_source="" if content.normal is None else content.normal.source,
        spectrum=_spectrum(content.analysis, content.profile, content),
        scores=_score_plot(content),
        slow_scores=tuple(_slow_plots(content)),
        scales=tuple(_scale_names(content)),
        missing_scales=_missing_scales(content),
        views=tuple(_view_rows(content)),
        usual_deviation=USUAL_DEVIATION,
        facts=tuple(_facts(content)),
        privacy=_privacy(content),
        script=Markup(script),  # noqa: S704 - a file of this package
        script_hash=f"sha256-{digest}",
    )
    return render("evidence_page.html", page)


def _script() -> str:
    return (resources.files("asd_monitor.reports") / "templates/evidence_page.js").read_text(
        "utf-8"
    )


def _marked(content: PackageContent) -> Iterator[MarkedPlace]:
    for number, mark in enumerate(content.marks, 1):
        raised_s = content.at_s(content.facts.raised_sample)
        if not mark.is_located:
            place = "in all of the ten seconds before the alarm"
        else:
            begin, end = mark.from_s - raised_s, mark.to_s - raised_s
            place = f"from {_relative(begin)}"
            if content.sound is not None and mark.to_s < content.sound.seconds - 0.5:
                place += f" to {_relative(end)}"
        yield MarkedPlace(number, f"{mark.text[0].upper()}{mark.text[1:]}", place)


def _relative(seconds: float) -> str:
    if abs(seconds) < 0.5:
        return "the alarm on"
    return f"{abs(seconds):.0f} s {'before' if seconds < 0 else 'after'} the alarm"


def _player(content: PackageContent) -> Player | None:
    sound = content.sound
    if sound is None or not content.stores_sound:
        return None
    caption = f"{sound.seconds:.0f} s of sound"
    if content.content is SoundContent.LOWPASS:
        caption += f", only what is below {LOWPASS_HZ:g} Hz"
    facts = content.facts
    onset_s = max(0.0, sound.at_s(facts.onset_sample))
    return Player(SOUND, caption, onset_s, max(0.0, sound.at_s(facts.raised_sample)))


def _earlier(content: PackageContent) -> Player | None:
    begin = content.earlier_begin
    if content.earlier_sound is None or begin is None:
        return None
    return Player(EARLIER_SOUND, f"sound of commissioning at {_stamp(begin)}", 0.0, 0.0)


def _range_of(content: PackageContent) -> Pair:
    """Return the levels, in dB, of the darkest and the lightest colour of both pictures."""
    shown = [each.levels_db for each in _pictures(content)]
    if not shown:
        return (0.0, 1.0)
    low = min(float(np.quantile(each, 0.05)) for each in shown)
    high = max(float(np.quantile(each, 0.998)) for each in shown)
    return low - _RANGE_DB[0], max(high, low + _RANGE_DB[1])


def _pictures(content: PackageContent) -> list[Picture]:
    normal = None if content.normal is None else content.normal.picture
    return [each for each in (content.picture, normal) if each is not None]


def _alarm_picture(content: PackageContent, levels: Pair) -> Plot | None:
    picture = content.picture
    if picture is None:
        return None
    image = data_url(as_picture(picture.levels_db.T[::-1], *levels))
    return _sound_plot(content, picture, image, "Spectrogram of the sound of the alarm", "")


def _difference(content: PackageContent) -> Plot | None:
    """Return by how much the sound differs from the usual level of each band."""
    picture, normal, before = content.picture, content.normal, _columns_before(content)
    if picture is None:
        return None
    if before is not None:
        usual = np.median(picture.levels_db[:before], axis=0)
        what = "that before the change"
    elif normal is not None:
        usual = np.median(normal.picture.levels_db, axis=0)
        what = "that of the normal sound"
    else:
        return None
    matrix = _smoothed(picture.levels_db - usual)
    image = data_url(as_difference(matrix.T[::-1], _DIFFERENCE_DB))
    alt = f"Difference of the level of each band from {what}; orange is louder, blue is quieter"
    return _sound_plot(content, picture, image, alt, "difference")


def _columns_before(content: PackageContent) -> int | None:
    """Return how many columns of the picture are before the change; None: too few, or not known."""
    picture, located = content.picture, [each for each in content.marks if each.is_located]
    if picture is None or not located:
        return None
    before_s = min(mark.from_s for mark in located) - _BESIDE_S
    return round(before_s / picture.step_s) if before_s >= _LEAST_BEFORE_S else None


def _smoothed(levels: Levels) -> Levels:
    """Return means over three columns, which single columns of noise do not hide."""
    if len(levels) < 3:
        return levels
    padded = np.pad(levels, ((1, 1), (0, 0)), mode="edge")
    return np.asarray((padded[:-2] + padded[1:-1] + padded[2:]) / 3.0, np.float32)


def _sound_plot(
    content: PackageContent, picture: Picture, image: str, what: str, style: str
) -> Plot:
    """Return a picture of the sound of the alarm with what is marked in it."""
    facts, seconds = content.facts, picture.seconds
    x = Scale(0.0, seconds)
    raised_s, onset_s = content.at_s(facts.raised_sample), content.at_s(facts.onset_sample)
    vertical = [Line(x.at(raised_s), "raised", "alarm")]
    if 0.0 < onset_s < raised_s - 0.04 * seconds:
        vertical.insert(0, Line(x.at(onset_s), "onset", "threshold"))
    boxes, impacts = [], []
    for number, mark in enumerate(content.marks, 1):
        top, bottom = (100.0 * (1.0 - picture.row_of(hz)) for hz in (mark.to_hz, mark.from_hz))
        left, right = x.at(mark.from_s), x.at(mark.to_s)
        boxes.append(Box(left, top, right - left, max(bottom - top, 2.5), number, mark.text))
        impacts += [Tick(x.at(at), f"impact of {number}") for at in mark.impacts_s]
    places = [f"{number}: {each.text}, {each.place}" for number, each in _numbered(content)]
    return Plot(
        alt=f"{what}. Marked: {'; '.join(places) or 'nothing'}.",
        image=image,
        x_ticks=tuple(_times_beside(raised_s, seconds)),
        y_ticks=tuple(_frequencies(picture)),
        vertical=tuple(vertical),
        boxes=tuple(boxes),
        ticks_above=tuple(impacts) if len(impacts) <= _MAX_IMPACTS else (),
        seconds=seconds,
        style=f"picture {style}",
    )


def _numbered(content: PackageContent) -> list[tuple[int, MarkedPlace]]:
    return [(each.number, each) for each in _marked(content)]


def _normal_picture(picture: Picture, levels: Pair) -> Plot:
    x = Scale(0.0, picture.seconds)
    names = [Tick(x.at(at), f"{at:g} s") for at in round_ticks(0.0, picture.seconds, 6) if at > 0.0]
    return Plot(
        alt="Spectrogram of normal sound, with the same colours",
        image=data_url(as_picture(picture.levels_db.T[::-1], *levels)),
        x_ticks=() if picture.begins else tuple(names),
        y_ticks=tuple(_frequencies(picture)),
        vertical=tuple(Line(x.at(at * picture.step_s), "piece") for at in picture.begins if at),
        style="picture",
    )


def _frequencies(picture: Picture) -> Iterator[Tick]:
    for hz, name in hertz_ticks(150.0, float(picture.centres_hz[-1]) * 1.02):
        yield Tick(100.0 * (1.0 - picture.row_of(hz)), name)


def _times_beside(raised_s: float, seconds: float) -> Iterator[Tick]:
    """Yield the times before and after the alarm."""
    x = Scale(-raised_s, seconds - raised_s)
    for at in round_ticks(x.low, x.high, 8):
        if abs(at) > 1e-6 and 2.0 < x.at(at) < 98.0:
            yield Tick(x.at(at), f"{at:+g} s".replace("-", "−"))
    yield Tick(x.at(0.0), "0", "raised")


def _spectrum(
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


def _score_plot(content: PackageContent) -> Plot | None:
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
        f"{_score(facts.alarm_score)}, the threshold is {facts.thresholds.alarm:.2f}",
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


def _slow_plots(content: PackageContent) -> Iterator[tuple[str, Plot]]:
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


def _scale_names(content: PackageContent) -> Iterator[Fact]:
    """Yield the time scales with their alarm scores when the alarm was raised."""
    trace, facts = content.scores.trace, content.facts
    before = np.flatnonzero(trace.ends <= facts.raised_sample)
    for at, scale_s in enumerate(trace.scales_s):
        value = float(trace.by_scale[before[-1], at]) if len(before) else float("nan")
        if np.isfinite(value):
            raised = ", raised the alarm" if scale_s == facts.time_scale_s else ""
            yield Fact(f"scale-{at}", f"over {named_period(scale_s)}: {value:.1f}{raised}")


def _missing_scales(content: PackageContent) -> str:
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


def _view_rows(content: PackageContent) -> Iterator[ViewRow]:
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


def _facts(content: PackageContent) -> Iterator[Fact]:
    facts = content.facts
    yield Fact("raised", _stamp(facts.raised))
    yield Fact("above the threshold since", _stamp(content.time_of(facts.onset_sample)))
    yield Fact("alarm score", f"{_score(facts.alarm_score)} (alarm {facts.thresholds.alarm:.2f})")
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
        yield Fact("sound from", f"{_stamp(content.begin)}, {sound.seconds:.1f} s")
        yield Fact("capture rate", f"{sound.rate_hz / 1000:g} kHz")
        if sound.gaps:
            lost_s = sum(gap.past - gap.first for gap in sound.gaps) / sound.rate_hz
            yield Fact("gaps in the sound", f"{len(sound.gaps)}, {lost_s:.2f} s")


def _privacy(content: PackageContent) -> str:
    return {
        SoundContent.FULL: "The sound is stored on this box only, and is not sent over MQTT.",
        SoundContent.LOWPASS: f"Of the sound only what is below {LOWPASS_HZ:g} Hz is stored, and "
        "pictures in steps of a quarter of a second: evidence.sound is lowpass.",
        SoundContent.NONE: "No sound is stored, and pictures in steps of a quarter of a second: "
        "evidence.sound is none.",
    }[content.content]


def _score(value: float | None) -> str:
    return "not known" if value is None else f"{value:.2f}"


def _stamp(time: datetime) -> str:
    utc = time.astimezone(UTC)
    return f"{utc:%Y-%m-%d %H:%M:%S}.{utc.microsecond // 100_000} UTC"
