"""What is computed: blocks of sound in, window scores out.

The one path for live capture, files, training and evaluation.  How the sound is cut into
blocks does not matter; a gap begins anew, so that no window spans one.
"""

from __future__ import annotations

from collections.abc import Sequence

from asd_monitor.alarm.score import ALARM_SPAN_S
from asd_monitor.batching import result_or_raise, run_batch
from asd_monitor.detector.detector import Detector, score_windows
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.dsp.resampling import Resampler
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.features.windows import Window, WindowStream, extract_pending
from asd_monitor.records import Block, WindowScore


class WindowExtractor:
    """Blocks at the capture rate → windows, addressed by sample index at the capture rate."""

    def __init__(self, front_end: FrontEnd, rate_hz: int, encoders: Sequence[Encoder] = ()) -> None:
        self._front_end = front_end
        self._rate_hz = rate_hz
        self._encoders = tuple(encoders)
        self._expected: int | None = None
        self._every = 1
        self._begin(0)

    def _begin(self, start: int) -> None:
        self._start = start
        self._resampler = Resampler(self._rate_hz, self._front_end.rate_hz)
        self.stream = WindowStream(self._front_end, self._encoders)
        self.stream.set_stride(self._every)

    def set_stride(self, every: int) -> int:
        """Make only every so-manieth window, `widest` at the most; return which."""
        self._every = min(every, max_stride(self._front_end))
        self.stream.set_stride(self._every)
        return self._every

    def push(self, block: Block) -> list[Window]:
        """Return the windows that this block completes."""
        self.take(block)
        return self.placed(result_or_raise(extract_pending([self.stream])[0]))

    def take(self, block: Block) -> None:
        """Take a block; the windows that it completes are due in `stream`.

        After a gap that is another stream: what was due before was to be made before.
        """
        start, samples = block.start, block.samples
        if start != self._expected:
            self._begin(start)
        self._expected = start + len(samples)
        self.stream.append(self._resampler.push(samples))

    def finish(self) -> list[Window]:
        """Return what the resampler still held back; the stream ends here."""
        self._expected = None
        self.stream.append(self._resampler.flush())
        return self.placed(result_or_raise(extract_pending([self.stream])[0]))

    def placed(self, windows: list[Window]) -> list[Window]:
        """Return windows of `stream` by sample index at the capture rate."""
        if not windows:
            return windows
        ratio = self._rate_hz / self._front_end.rate_hz
        return [
            Window(
                self._start + round(window.start * ratio),
                self._start + round(window.end * ratio),
                window.features,
                window.hops,
            )
            for window in windows
        ]


def max_stride(front_end: FrontEnd) -> int:
    """Return up to how many hops can be one: windows still touch, and no slam alarms.

    What is heard for a moment only is in each window that covers it, and these stand for the
    hops that were passed over: together for less than half of the alarm score's span.
    """
    hop, window = front_end.hop, front_end.window
    bears = (max(1, round(ALARM_SPAN_S / front_end.hop_s)) - 1) // 2
    return max(
        (
            every
            for every in range(1, window // hop + 1)
            if ((window - 1) // (hop * every) + 1) * every <= bears
        ),
        default=1,
    )


class Pipeline:
    """A machine's detector, fed with its stream."""

    def __init__(self, detector: Detector, rate_hz: int) -> None:
        self.detector = detector
        self.windows = WindowExtractor(detector.front_end, rate_hz, detector.encoders)

    def push(self, block: Block) -> list[WindowScore]:
        """Return the scores of the windows that this block completes."""
        self.windows.take(block)
        return result_or_raise(score_pending([self])[0])

    def finish(self) -> list[WindowScore]:
        """Return the scores of the windows that were still held back; the stream ends here."""
        return self.detector.score(self.windows.finish())


def score_batch(work: Sequence[tuple[Pipeline, Block]]) -> list[list[WindowScore]]:
    """Return the scores of the windows that the next block of each pipeline completes.

    It costs less than one after the other: their frames are made, and their views asked, in
    one go.  Each pipeline is named once.
    """
    for pipeline, block in work:
        pipeline.windows.take(block)
    return list(map(result_or_raise, score_pending([pipeline for pipeline, _ in work])))


def score_pending(pipelines: Sequence[Pipeline]) -> list[list[WindowScore] | Exception]:
    """Return the scores of the windows that what each pipeline has taken completes.

    What one of them raises comes in the place of its scores.
    """
    outcomes: list[list[WindowScore] | Exception] = [[] for _ in pipelines]
    due = [number for number, each in enumerate(pipelines) if each.windows.stream.is_due]
    made: list[tuple[int, Detector, list[Window]]] = []
    found = extract_pending([pipelines[number].windows.stream for number in due])
    for number, windows in zip(due, found, strict=True):
        if isinstance(windows, Exception):
            outcomes[number] = windows
        else:
            pipeline = pipelines[number]
            made.append((number, pipeline.detector, pipeline.windows.placed(windows)))
    if made:
        for (number, *_), scores in zip(made, run_batch(_judge, made), strict=True):
            outcomes[number] = scores
    return outcomes


def _judge(made: Sequence[tuple[int, Detector, list[Window]]]) -> list[list[WindowScore]]:
    return score_windows([detector for _, detector, _ in made], [own for *_, own in made])
