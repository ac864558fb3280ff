"""Pictures of the sound of an alarm, of normal sound, and of the difference of both."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from asd_monitor.evidence.contents import PackageContent
from asd_monitor.evidence.pictures import Picture
from asd_monitor.reports.marked_places import MarkedPlace, marked_places
from asd_monitor.reports.plot import (
    Box,
    Line,
    Pair,
    Plot,
    Scale,
    Tick,
    hertz_ticks,
    round_ticks,
)
from asd_monitor.reports.png import as_difference, as_picture, data_url

_DIFFERENCE_DB = 18.0
_RANGE_DB = (3.0, 12.0)  # of pictures: below the usual level, above the highest
_MAX_IMPACTS = 60
_BESIDE_S, _LEAST_BEFORE_S = 0.5, 2.0

Levels = npt.NDArray[np.float32]


def colour_range(content: PackageContent) -> Pair:
    """Return the levels, in dB, of the darkest and the lightest colour of both pictures."""
    shown = [each.captured_db for each in _pictures(content)]
    if not shown:
        return (0.0, 1.0)
    low = min(float(np.quantile(each, 0.05)) for each in shown)
    high = max(float(np.quantile(each, 0.998)) for each in shown)
    return low - _RANGE_DB[0], max(high, low + _RANGE_DB[1])


def _pictures(content: PackageContent) -> list[Picture]:
    normal = None if content.normal is None else content.normal.picture
    return [each for each in (content.picture, normal) if each is not None]


def alarm_plot(content: PackageContent, levels: Pair) -> Plot | None:
    """Return the spectrogram of the sound of the alarm, between two levels in dB."""
    picture = content.picture
    if picture is None:
        return None
    image = data_url(as_picture(picture.levels_db.T[::-1], *levels))
    return _sound_plot(content, picture, image, "Spectrogram of the sound of the alarm", "")


def difference_plot(content: PackageContent) -> Plot | None:
    """Return by how much the sound differs from the usual level of each band."""
    picture, normal, before = content.picture, content.normal, columns_before(content)
    if picture is None:
        return None
    if before is not None:
        usual = np.median(_captured_before(picture, before), axis=0)
        what = "that before the change"
    elif normal is not None:
        usual = np.median(normal.picture.levels_db, axis=0)
        what = "that of the normal sound"
    else:
        return None
    difference = picture.levels_db - usual
    difference[list(picture.lost)] = 0.0
    matrix = _smoothed(difference)
    image = data_url(as_difference(matrix.T[::-1], _DIFFERENCE_DB))
    alt = f"Difference of the level of each band from {what}; orange is louder, blue is quieter"
    return _sound_plot(content, picture, image, alt, "difference")


def columns_before(content: PackageContent) -> int | None:
    """Return how many columns of the picture are before the change; None: too few, or not known."""
    picture, located = content.picture, [each for each in content.marks if each.is_located]
    if picture is None or not located:
        return None
    before = round((min(mark.from_s for mark in located) - _BESIDE_S) / picture.step_s)
    captured = before - sum(column < before for column in picture.lost)
    return before if captured * picture.step_s >= _LEAST_BEFORE_S else None


def _captured_before(picture: Picture, column: int) -> Levels:
    """Return the levels of the columns before one that have no gap; at least one has none."""
    kept = [at for at in range(column) if at not in set(picture.lost)]
    return picture.levels_db[kept]


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
    return [(each.number, each) for each in marked_places(content)]


def normal_plot(picture: Picture, levels: Pair) -> Plot:
    """Return the spectrogram of normal sound, between two levels in dB."""
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
