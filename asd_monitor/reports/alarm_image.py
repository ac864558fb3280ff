"""The spectrogram of an alarm as one small picture, for displays that show no page."""

from __future__ import annotations

import numpy as np

from asd_monitor.evidence.contents import PackageContent
from asd_monitor.evidence.package_files import MAX_IMAGE_BYTES
from asd_monitor.evidence.pictures import Floats
from asd_monitor.reports.png import as_picture
from asd_monitor.reports.sound_pictures import colour_range

_MOST_COLUMNS, _LEAST_COLUMNS = 1000, 800
_ROWS_OF_A_BAND = 3
_LINE_COLUMNS = 2


def alarm_image(content: PackageContent) -> bytes | None:
    """Return the spectrogram as a PNG of `MAX_IMAGE_BYTES` at most; None: there is no sound.

    A vertical line is at the time at which the alarm was raised.
    """
    picture = content.picture
    if picture is None:
        return None
    low, high = colour_range(content)
    raised = content.at_s(content.facts.raised_sample) / max(picture.seconds, 1e-9)
    columns = _MOST_COLUMNS
    while True:
        shown = _with_columns(picture.levels_db, columns)
        at = min(max(round(raised * len(shown)), 0), len(shown) - 1)
        shown[at : at + _LINE_COLUMNS] = high
        image = as_picture(np.repeat(shown.T[::-1], _ROWS_OF_A_BAND, axis=0), low, high)
        if len(image) <= MAX_IMAGE_BYTES or columns == 1:
            return image
        columns //= 2


def _with_columns(levels: Floats, most: int) -> Floats:
    """Return a copy (columns, bands) of about a picture's width: the highest of joined columns."""
    joined = -(-len(levels) // most)
    pooled = np.maximum.reduceat(levels, np.arange(0, len(levels), joined), axis=0)
    repeated = max(1, min(most, _LEAST_COLUMNS) // len(pooled))
    return np.repeat(pooled, repeated, axis=0)
