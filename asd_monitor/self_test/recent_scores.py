"""The scores of a machine over the last hours, as counts."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from asd_monitor.records import WindowScore

FAR_OFF = 3.0
"""A normal window exceeds this score once in a thousand."""
BIN_S = 600.0
BINS = 18
"""Three hours are kept."""


@dataclass(slots=True)
class _Bin:
    seconds: float = 0.0
    windows: int = 0
    far_off: int = 0


class RecentScores:
    """Counts of the windows that were scored by one model, in bins of ten minutes of sound."""

    def __init__(self) -> None:
        self.windows = 0
        """Windows since the begin, of whatever model."""
        self._bins: deque[_Bin] = deque([_Bin()], maxlen=BINS)

    def push(self, window: WindowScore, hop_s: float) -> None:
        """Count a window; one in which the machine is off says nothing of the model."""
        self.windows += 1
        if window.idle or window.quiet:
            return
        newest = self._bins[-1]
        if newest.seconds >= BIN_S:
            newest = _Bin()
            self._bins.append(newest)
        newest.seconds += window.hops * hop_s
        newest.windows += 1
        newest.far_off += window.score >= FAR_OFF

    def leave_out(self) -> None:
        """Count a window that says nothing of the model: the machine is out of service."""
        self.windows += 1

    def begin_model(self) -> None:
        """Forget the scores: those that follow are by another model."""
        self._bins.clear()
        self._bins.append(_Bin())

    @property
    def seconds(self) -> float:
        """Sound of the machine running that the counts are of."""
        return sum(each.seconds for each in tuple(self._bins))

    @property
    def far_off_share(self) -> float | None:
        """Share of the windows with a score of at least `FAR_OFF`; None: there are none."""
        windows = sum(each.windows for each in tuple(self._bins))
        return sum(each.far_off for each in tuple(self._bins)) / windows if windows else None
