"""The signal path: blocks of sound → windows → window scores.

Live capture, ``file:`` devices, training and evaluation use the same path.  The division of a
stream into blocks does not affect the scores; after a gap the path restarts, so that no
window spans it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from asd_monitor.alarm.span_median import max_outliers, span_windows
from asd_monitor.batching import result_or_raise, run_batch
from asd_monitor.detector.detector import Detector, score_windows
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.dsp.sample_faults import usable_parts
from asd_monitor.dsp.signal_conditioning import SignalConditioner
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.features.windows import Window, WindowStream, extract_pending
from asd_monitor.records import Block, Samples, Stream, WindowScore


class WindowExtractor:
    """Blocks at the capture rate → windows with their features.

    The sample indices of the windows are those of the blocks.  Between blocks of two streams no
    window spans, as at a gap.  Blocks are held until they can complete a window: conditioning
    them at once costs less than one after the other.
    """

    def __init__(self, front_end: FrontEnd, encoders: Sequence[Encoder] = ()) -> None:
        self._front_end = front_end
        self._encoders = tuple(encoders)
        self._source: Stream | None = None  # of the blocks
        self._expected: int | None = None  # sample index of the next block
        self._start = 0
        self._conditioner: SignalConditioner | None = None
        self._held: list[Samples] = []  # not conditioned yet
        self._held_samples = 0
        self.max_stride = max_stride(front_end)
        """Largest stride that `append` uses."""
        self.stream = WindowStream(front_end, self._encoders)

    @property
    def missing_samples(self) -> int:
        """Samples at the rate of the blocks that the next window needs at least."""
        rate_hz = self._source.rate_hz if self._source else self._front_end.rate_hz
        missing = int(self.stream.missing_samples * rate_hz / self._front_end.rate_hz)
        return max(0, missing - self._held_samples)

    def push(self, block: Block) -> list[Window]:
        """Append a block and return the windows that it completes; unusable samples are a gap."""
        windows: list[Window] = []
        for part in usable_parts(block):
            self.append(part)
            windows += self._extract()
        return windows

    def _extract(self) -> list[Window]:
        return self.at_capture_rate(result_or_raise(extract_pending([self.stream])[0]))

    def append(self, block: Block, stride: int = 1) -> None:
        """Append a block of usable samples; the windows that it completes are pending in `stream`.

        From now on every ``stride``-th window is computed, up to `max_stride`.

        After a gap `stream` is replaced: extract the windows of the previous blocks before.
        """
        conditioner = self._conditioner
        joins = block.stream is self._source and block.start == self._expected
        if conditioner is None or not joins:
            self._source, self._start = block.stream, block.start
            conditioner = SignalConditioner(block.rate_hz, self._front_end.rate_hz)
            self._conditioner = conditioner
            self._held, self._held_samples = [], 0
            self.stream = WindowStream(self._front_end, self._encoders)
        self._expected = block.end
        self.stream.set_stride(min(stride, self.max_stride))
        self._held.append(block.samples)
        self._held_samples += len(block.samples)
        if not self.missing_samples:
            self._condition(conditioner)

    def _condition(self, conditioner: SignalConditioner) -> None:
        held = self._held[0] if len(self._held) == 1 else np.concatenate(self._held)
        self._held, self._held_samples = [], 0
        self.stream.append(conditioner.push(held))

    def flush(self) -> list[Window]:
        """End the stream and return the windows completed by the resampler's last samples."""
        self._expected = None
        if self._conditioner is not None:
            if self._held:
                self._condition(self._conditioner)
            self.stream.append(self._conditioner.flush())
            self._conditioner = None
        return self._extract()

    def at_capture_rate(self, windows: list[Window]) -> list[Window]:
        """Return windows of `stream` with sample indices at the capture rate."""
        if not windows or self._source is None:
            return windows
        ratio = self._source.rate_hz / self._front_end.rate_hz
        return [
            Window(
                self._start + round(window.start * ratio),
                self._start + round(window.end * ratio),
                window.features,
                window.hops,
            )
            for window in windows
        ]


@cache
def max_stride(front_end: FrontEnd) -> int:
    """Return the largest stride with which all sound is scored and an impact raises no alarm.

    Adjacent windows must overlap or adjoin.  A single impact is contained in every window that
    covers it, and each window stands for ``stride`` hops of the alarm score: together they must
    be less than half of its span.
    """
    hop, window = front_end.hop, front_end.window
    tolerated = max_outliers(span_windows(front_end.hop_s))
    return max(
        (
            stride
            for stride in range(1, window // hop + 1)
            if ((window - 1) // (hop * stride) + 1) * stride <= tolerated
        ),
        default=1,
    )


class Pipeline:
    """The signal path of one machine: blocks → window scores."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.windows = WindowExtractor(detector.front_end, detector.encoders)
        self.tap: Callable[[Sequence[Window]], object] | None = None
        """Receives the windows that have been scored, before their scores are returned.

        Their features are shared with other pipelines: what is kept of them is copied.
        """

    def exchange(self, detector: Detector) -> bool:
        """Score by another detector from the next window on; return whether that is possible.

        It is where front end and encoders are the same: no window is lost then.
        """
        old = self.detector
        possible = (old.front_end, old.encoders) == (detector.front_end, detector.encoders)
        if possible:
            self.detector = detector
        return possible

    @property
    def missing_samples(self) -> int:
        """Samples of the stream that the next window needs at least."""
        return self.windows.missing_samples

    @property
    def max_stride(self) -> int:
        """Largest stride with which all sound is scored."""
        return self.windows.max_stride

    def append(self, block: Block, stride: int = 1) -> None:
        """Append a block for `score_pending`; every ``stride``-th window is scored from now on."""
        self.windows.append(block, stride)

    @property
    def score_pending(self) -> Callable[[Sequence[Pipeline]], list[list[WindowScore] | Exception]]:
        """The function that scores the appended blocks of many pipelines."""
        return score_pending

    def push(self, block: Block) -> list[WindowScore]:
        """Return the scores of the windows that it completes; unusable samples are a gap."""
        scores: list[WindowScore] = []
        for part in usable_parts(block):
            self.windows.append(part)
            scores += result_or_raise(score_pending([self])[0])
        return scores

    def flush(self) -> list[WindowScore]:
        """End the stream and return the scores of its last windows."""
        windows = self.windows.flush()
        scores = self.detector.score(windows)
        self.pass_on(windows)
        return scores

    def pass_on(self, windows: Sequence[Window]) -> None:
        """Pass windows that have been scored to the tap."""
        if self.tap is not None and windows:
            self.tap(windows)


def score_batch(work: Sequence[tuple[Pipeline, Block]]) -> list[list[WindowScore]]:
    """Return the scores of the windows that the next block of each pipeline completes.

    Features and views of all are computed in shared calls, which costs less than one pipeline
    after the other.  Each pipeline occurs once, and the samples are usable (`usable_parts`).
    Raises what one of them raises.
    """
    for pipeline, block in work:
        pipeline.windows.append(block)
    return list(map(result_or_raise, score_pending([pipeline for pipeline, _ in work])))


def score_pending(pipelines: Sequence[Pipeline]) -> list[list[WindowScore] | Exception]:
    """Return the scores of the windows that the appended blocks of each pipeline complete.

    An exception takes the place of the scores of the pipeline that raises it.
    """
    outcomes: list[list[WindowScore] | Exception] = [[] for _ in pipelines]
    pending = [number for number, each in enumerate(pipelines) if each.windows.stream.has_pending]
    extracted: list[tuple[int, Pipeline, list[Window]]] = []
    streams = [pipelines[number].windows.stream for number in pending]
    for number, windows in zip(pending, extract_pending(streams), strict=True):
        if isinstance(windows, Exception):
            outcomes[number] = windows
        else:
            pipeline = pipelines[number]
            own = pipeline.windows.at_capture_rate(windows)
            extracted.append((number, pipeline, own))
    if extracted:
        for (number, pipeline, own), scores in zip(
            extracted, run_batch(_score, extracted), strict=True
        ):
            outcomes[number] = scores
            if not isinstance(scores, Exception):
                pipeline.pass_on(own)
    return outcomes


def _score(extracted: Sequence[tuple[int, Pipeline, list[Window]]]) -> list[list[WindowScore]]:
    detectors = [pipeline.detector for _, pipeline, _ in extracted]
    return score_windows(detectors, [windows for *_, windows in extracted])
