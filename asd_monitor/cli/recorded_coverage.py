"""The coverage of what is recorded, as it grows."""

from __future__ import annotations

import time
from pathlib import Path

from asd_monitor.audio.files.recordings import RecordingReader
from asd_monitor.errors import UsageError
from asd_monitor.guided_setup.coverage import Coverage, CoverageMeter, coverage_text
from asd_monitor.records import Block

_DETAIL_EVERY_S = 2.0  # between two measurements of the coverage


class RecordedCoverage:
    """The coverage of recordings and of live blocks, one sampling rate at a time.

    Args:
        target_s: How much sound is wanted, in s.

    """

    def __init__(self, target_s: float) -> None:
        self._target_s = target_s
        self._meter: CoverageMeter | None = None
        self._rate_hz = 0
        self._end: Block | None = None
        self._text = ""
        self._due_s = 0.0

    def listen(self, block: Block) -> None:
        """Add a block."""
        if self._meter is None or block.rate_hz != self._rate_hz:
            self._rate_hz, self._meter = block.rate_hz, CoverageMeter(block.rate_hz)
        elif (
            self._end is None
            or block.stream is not self._end.stream
            or block.start != self._end.end
        ):
            self._meter.interrupt()
        self._end = block
        self._meter.push(block.samples)

    def read(self, paths: tuple[Path, ...], channel: int | None) -> tuple[Path, ...]:
        """Add recordings; return those that can be read, the training reports the others."""
        read = []
        for path in paths:
            try:
                with RecordingReader(path, channel) as reader:
                    for block in reader.blocks():
                        self.listen(block)
            except UsageError:
                continue
            read.append(path)
        return tuple(read)

    def coverage(self) -> Coverage:
        """Return what the sound so far shows."""
        return Coverage(0.0, 1, None) if self._meter is None else self._meter.coverage()

    def text(self) -> str:
        """Return the coverage as a line, measured every two seconds."""
        now_s = time.monotonic()
        if now_s >= self._due_s:
            self._text = coverage_text(self.coverage(), self._target_s)
            self._due_s = now_s + _DETAIL_EVERY_S
        return self._text
