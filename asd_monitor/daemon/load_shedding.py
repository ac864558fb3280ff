"""How many machines a box can listen to: tried at the start, and watched while it runs.

Who scores too slowly falls behind, and in the end sound is lost unheard.  Before that,
windows are passed over: every second one, then every third, as far as windows still overlap
or touch.  Nothing goes unheard by that, for the frames of what is passed over are in the
window that follows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asd_monitor.detector.detector import Detector
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoders.runtime import Runtime
from asd_monitor.encoders.session import Network
from asd_monitor.features.windows import WindowStream, make_due
from asd_monitor.pipeline import Pipeline, score_batch
from asd_monitor.records import Block, Samples

USABLE = 0.8
"""Of one core, which is all that one interpreter has; the rest is for what else the box does."""

HEARING = 15.0
"""What a machine's hearing, journal and messages cost a second, in windows of plain statistics.

So it scales with the box: in docs/bench.md 64 machines took 7.0 ms of a core each, a second, where
scoring in the trial takes 1.0 ms and such a window 0.4 ms.
"""

BEHIND_S = 1.0  # of sound that waits; more is too much
PATIENCE_S = 2.0  # so long it may be more: a model that is loaded, a card that was away
SETTLE_S = 5.0  # until a change can be judged
CALM_S = 60.0  # so long there was time for more
BUSY = 0.7  # of a core; from there on scoring is what holds sound up

SLOW_S = 0.05  # a window that takes so long is tried alone
_TRIED = 8  # machines at once
_HOPS = 6
_SEED = 1


def carries(detectors: Sequence[Detector]) -> int:
    """Try how many machines like these the daemon can listen to; at least 1.

    Takes about as long as scoring fifty windows, and of slow networks one or two.  Raises as
    the detectors' networks.
    """
    hearing = HEARING * _plain_window_s()
    one_s = _spent_s(detectors[:1])
    if one_s > SLOW_S:
        return max(1, int(USABLE / (one_s / detectors[0].hop_s + hearing)))
    chosen = [detectors[number % len(detectors)] for number in range(_TRIED)]
    windows_per_s = sum(1.0 / each.hop_s for each in chosen) / _TRIED  # of a machine
    scoring = _spent_s(chosen, _HOPS) / _TRIED * windows_per_s
    return max(1, int(USABLE / (scoring + hearing)))


def _plain_window_s() -> float:
    """Return the processor time of one more window of statistics, made beside others."""
    front_end = FrontEnd()
    streams = [WindowStream(front_end) for _ in range(_TRIED)]
    noise = _noise(front_end.window + _HOPS * front_end.hop)
    spent_s: list[float] = []
    begin, end = 0, front_end.window
    for _ in range(1 + _HOPS):
        for stream in streams:
            stream.take(noise[begin:end])
        before_s = time.thread_time()
        make_due(streams)
        spent_s.append((time.thread_time() - before_s) / _TRIED)
        begin, end = end, end + front_end.hop
    return float(np.median(spent_s[1:]))


def _noise(samples: int) -> Samples:
    return np.random.default_rng(_SEED).standard_normal(samples, np.float32) * np.float32(0.01)


def _spent_s(chosen: Sequence[Detector], hops: int = 1) -> float:
    """Return the processor time of one more window of each, the median of so many hops."""
    # what a GPU or other threads do is not in this thread's time
    clock = time.thread_time if Network.runtime == Runtime() else time.monotonic
    pipelines = [Pipeline(detector, detector.rate_hz) for detector in chosen]
    longest = max(each.front_end.window + hops * each.front_end.hop for each in chosen)
    noise = _noise(longest)
    begun = [each.front_end.window for each in chosen]
    score_batch([(p, Block(0, noise[:begin])) for p, begin in zip(pipelines, begun, strict=True)])
    spent_s: list[float] = []
    for _ in range(hops):
        ends = [begin + each.front_end.hop for begin, each in zip(begun, chosen, strict=True)]
        work = [
            (pipeline, Block(begin, noise[begin:end]))
            for pipeline, begin, end in zip(pipelines, begun, ends, strict=True)
        ]
        before_s = clock()
        score_batch(work)
        spent_s.append(clock() - before_s)
        begun = ends
    return float(np.median(spent_s))


@dataclass(frozen=True, slots=True)
class Load:
    """How busy the scoring is."""

    busy: float  # share of the time since the last look
    behind_s: float  # sound that waits, of the machine that is furthest behind


class LoadShedder:
    """How many windows are passed over: of `every` one is scored."""

    def __init__(self, most: int, every: int = 1) -> None:
        """Never pass over more than ``most`` − 1 of ``most``."""
        self.most = max(1, most)
        self.every = min(max(1, every), self.most)
        self._changed_s = -np.inf
        self._behind_since_s: float | None = None
        self._calm_since_s: float | None = None

    def watch(self, load: Load, now_s: float) -> bool:
        """Take note of the load; tell whether `every` has changed."""
        settled = now_s - self._changed_s >= SETTLE_S
        if load.behind_s > BEHIND_S:
            self._calm_since_s = None
            if load.busy < BUSY:  # it waits for something else, which nothing here would mend
                self._behind_since_s = None
                return False
            if self._behind_since_s is None:
                self._behind_since_s = now_s
            lasts = now_s - self._behind_since_s >= PATIENCE_S
            if lasts and settled and self.every < self.most:
                return self._change(self.every + 1, now_s)
            return False
        self._behind_since_s = None
        with_one_less = load.busy * self.every / max(1, self.every - 1)
        if self.every == 1 or with_one_less > BUSY:
            self._calm_since_s = None
        elif self._calm_since_s is None:
            self._calm_since_s = now_s
        elif now_s - self._calm_since_s >= CALM_S:
            return self._change(self.every - 1, now_s)
        return False

    def _change(self, every: int, now_s: float) -> bool:
        self.every, self._changed_s, self._calm_since_s = every, now_s, None
        return True
