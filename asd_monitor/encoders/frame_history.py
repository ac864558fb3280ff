"""The newest frames of a stream, addressed by the samples that they span."""

from __future__ import annotations

import numpy as np

from asd_monitor.dsp.frames import Matrix


class FrameHistory:
    """Rows (frames, d) of a frame-wise quantity; row k spans ``span`` samples from k · hop on."""

    def __init__(self, span: int, hop: int) -> None:
        self._span, self._hop = span, hop
        self._rows: list[Matrix] = []
        self._first = 0  # number of the oldest row kept

    def push(self, rows: Matrix) -> None:
        """Append the next rows (n, d)."""
        if len(rows):
            self._rows.append(rows)

    def between(self, start: int, end: int) -> Matrix:
        """Return the rows whose spans lie wholly within the samples ``start`` … ``end``."""
        first = -(-start // self._hop) - self._first
        last = (end - self._span) // self._hop - self._first
        return self._joined()[first : last + 1]

    def discard(self, before: int) -> None:
        """Discard the rows whose spans begin before this sample."""
        if not self._rows:
            return
        rows = self._joined()
        count = min(len(rows), max(0, -(-before // self._hop) - self._first))
        self._rows = [rows[count:]]
        self._first += count

    def _joined(self) -> Matrix:
        if len(self._rows) > 1:
            self._rows = [np.concatenate(self._rows)]
        return self._rows[0]
