"""The recordings of a training joined on one time axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asd_monitor.features.windows import Window
from asd_monitor.model_training.reference import Reference
from asd_monitor.model_training.sound_files import SoundFile

Floats = npt.NDArray[np.float64]

_TOLERANCE_S = 0.01
"""Times come from sample indices at two rates."""


@dataclass(frozen=True, slots=True, eq=False)
class RecordingTimeline:
    """One segment after the other."""

    reference: Reference
    offsets_s: tuple[float, ...]  # of each segment: time on the axis minus time in its file
    seconds: float
    boundaries_s: tuple[float, ...]  # where one file ends and the next begins

    @classmethod
    def of(cls, reference: Reference) -> RecordingTimeline:
        """Join the segments of a reference."""
        rate_hz = reference.front_end.rate_hz
        at_s, last = 0.0, None
        offsets_s, boundaries_s = [], []
        for segment in reference.segments:
            offsets_s.append(at_s - segment.windows[0].start / rate_hz)
            if at_s and segment.file is not last:
                boundaries_s.append(at_s)
            at_s, last = at_s + segment.seconds, segment.file
        return cls(reference, tuple(offsets_s), at_s, tuple(boundaries_s))

    def centres(self, windows_by_segment: Sequence[Sequence[Window]]) -> Floats:
        """Return the times (n,) of the windows' centres, in s."""
        rate_hz = self.reference.front_end.rate_hz
        return np.array(
            [
                (window.start + window.end) / 2 / rate_hz + offset_s
                for windows, offset_s in zip(windows_by_segment, self.offsets_s, strict=True)
                for window in windows
            ]
        )

    def locate(self, file: SoundFile, times_s: npt.ArrayLike) -> Floats:
        """Return the times (n,) on the axis of times in a file; NaN between its segments."""
        rate_hz = self.reference.front_end.rate_hz
        times = np.asarray(times_s, np.float64)
        found = np.full(times.shape, np.nan)
        for segment, offset_s in zip(self.reference.segments, self.offsets_s, strict=True):
            if segment.file is file:
                begin_s = segment.windows[0].start / rate_hz
                end_s = begin_s + segment.seconds
                within = (times >= begin_s - _TOLERANCE_S) & (times <= end_s + _TOLERANCE_S)
                found[within] = times[within] + offset_s
        return found
