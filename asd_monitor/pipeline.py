"""What is computed: blocks of sound in, window scores out.

The one path for live capture, files, training and evaluation.  How the sound is cut into
blocks does not matter; a gap begins anew, so that no window spans one.
"""

from __future__ import annotations

from collections.abc import Sequence

from asd_monitor.audio.resample import Resampler
from asd_monitor.detector.detector import Detector
from asd_monitor.features.encoder import Encoder
from asd_monitor.features.front_end import FrontEnd
from asd_monitor.features.windows import Window, WindowStream
from asd_monitor.records import Block, WindowScore


class SoundWindows:
    """Blocks at the capture rate → windows, addressed by sample index at the capture rate."""

    def __init__(self, front_end: FrontEnd, rate_hz: int, encoders: Sequence[Encoder] = ()) -> None:
        self._front_end = front_end
        self._rate_hz = rate_hz
        self._encoders = tuple(encoders)
        self._expected: int | None = None
        self._begin(0)

    def _begin(self, start: int) -> None:
        self._start = start
        self._resampler = Resampler(self._rate_hz, self._front_end.rate_hz)
        self._stream = WindowStream(self._front_end, self._encoders)

    def push(self, block: Block) -> list[Window]:
        """Return the windows that this block completes."""
        if block.start != self._expected:
            self._begin(block.start)
        self._expected = block.end
        return self._placed(self._stream.push(self._resampler.push(block.samples)))

    def finish(self) -> list[Window]:
        """Return what the resampler still held back; the stream ends here."""
        self._expected = None
        return self._placed(self._stream.push(self._resampler.flush()))

    def _placed(self, windows: list[Window]) -> list[Window]:
        ratio = self._rate_hz / self._front_end.rate_hz
        return [
            Window(
                self._start + round(window.start * ratio),
                self._start + round(window.end * ratio),
                window.features,
            )
            for window in windows
        ]


class Pipeline:
    """A machine's detector, fed with its stream."""

    def __init__(self, detector: Detector, rate_hz: int) -> None:
        self._detector = detector
        self._windows = SoundWindows(detector.front_end, rate_hz, detector.encoders)

    def push(self, block: Block) -> list[WindowScore]:
        """Return the scores of the windows that this block completes."""
        return self._detector.judge(self._windows.push(block))

    def finish(self) -> list[WindowScore]:
        """Return the scores of the windows that were still held back; the stream ends here."""
        return self._detector.judge(self._windows.finish())
