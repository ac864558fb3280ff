"""Estimate of how many machines the daemon can monitor on this box.

The processor time of one window is measured on noise, with the detectors in use, at start-up and
after each reload.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from asd_monitor.detector.detector import Detector
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoders.runtime import Runtime
from asd_monitor.features.windows import WindowStream, extract_pending
from asd_monitor.pipeline import Pipeline, score_batch
from asd_monitor.records import Block, Samples, Stream

USABLE_CPU_SHARE = 0.8
"""Share of one core that monitoring may use; one interpreter uses one core."""

OVERHEAD_WINDOWS_PER_S = 15.0
"""Capture, journal and messages of one machine, as windows of plain statistics per second.

Expressed in windows, the overhead scales with the speed of the box.  docs/bench.md: with 64
machines, one took 7.0 ms of a core per second, of which scoring takes 1.0 ms in this measurement,
and a window takes 0.4 ms.
"""

SLOW_WINDOW_S = 0.05
"""A detector whose window takes longer is measured once and alone."""

_BATCH = 8  # machines per measured batch
_HOPS = 6  # measured hops
_SEED = 1


def estimate_capacity(
    detectors: Sequence[Detector], *, cpu_clock_s: Callable[[], float] = time.thread_time
) -> int:
    """Return how many machines with such detectors one core can monitor; at least 1.

    It takes about as long as scoring fifty windows, or one or two of a slow network.

    Args:
        detectors: The detectors in use, at least one.
        cpu_clock_s: Processor time of the calling thread, in s.

    Raises:
        EncoderError: A network of a detector cannot be run.

    """
    overhead = OVERHEAD_WINDOWS_PER_S * _plain_window_s(cpu_clock_s)
    one_s = _window_s(detectors[:1], 1, cpu_clock_s)
    if one_s > SLOW_WINDOW_S:
        return max(1, int(USABLE_CPU_SHARE / (one_s / detectors[0].hop_s + overhead)))
    batch = [detectors[number % len(detectors)] for number in range(_BATCH)]
    windows_per_s = sum(1.0 / each.hop_s for each in batch) / _BATCH  # per machine
    scoring = _window_s(batch, _HOPS, cpu_clock_s) / _BATCH * windows_per_s
    return max(1, int(USABLE_CPU_SHARE / (scoring + overhead)))


def _plain_window_s(clock_s: Callable[[], float]) -> float:
    """Return the processor time per window of statistics in a batch, in s."""
    front_end = FrontEnd()
    streams = [WindowStream(front_end) for _ in range(_BATCH)]
    noise = _noise(front_end.window + _HOPS * front_end.hop)
    spent_s: list[float] = []
    begin, end = 0, front_end.window
    for _ in range(1 + _HOPS):
        for stream in streams:
            stream.append(noise[begin:end])
        before_s = clock_s()
        extract_pending(streams)
        spent_s.append((clock_s() - before_s) / _BATCH)
        begin, end = end, end + front_end.hop
    return float(np.median(spent_s[1:]))


def _window_s(detectors: Sequence[Detector], hops: int, cpu_clock_s: Callable[[], float]) -> float:
    """Return the time to score one further window of each detector, in s: median over hops."""
    # work on a GPU or in other threads is not in the processor time of this thread
    runtimes = {encoder.network.runtime for each in detectors for encoder in each.encoders}
    clock_s = cpu_clock_s if runtimes <= {Runtime()} else time.monotonic
    pipelines = [Pipeline(detector) for detector in detectors]
    sources = [Stream(detector.rate_hz) for detector in detectors]
    noise = _noise(max(d.front_end.window + hops * d.front_end.hop for d in detectors))
    begins = [each.front_end.window for each in detectors]
    first = [Block(source, 0, noise[:begin]) for source, begin in zip(sources, begins, strict=True)]
    score_batch(list(zip(pipelines, first, strict=True)))
    spent_s: list[float] = []
    for _ in range(hops):
        ends = [begin + each.front_end.hop for begin, each in zip(begins, detectors, strict=True)]
        work = [
            (pipeline, Block(source, begin, noise[begin:end]))
            for pipeline, source, begin, end in zip(pipelines, sources, begins, ends, strict=True)
        ]
        before_s = clock_s()
        score_batch(work)
        spent_s.append(clock_s() - before_s)
        begins = ends
    return float(np.median(spent_s))


def _noise(samples: int) -> Samples:
    return np.random.default_rng(_SEED).standard_normal(samples, np.float32) * np.float32(0.01)
