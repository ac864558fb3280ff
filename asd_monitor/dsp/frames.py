"""A stream of samples → overlapping frames and their power spectra, each computed once.

No padding and no centring: frame ``k`` covers the samples from ``k · hop`` on, counted
from the beginning of the stream, however the stream is cut into pieces.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from asd_monitor.records import Samples

Vector = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float32]
Number = TypeVar("Number", np.float32, np.float64)


def hann(frame: int) -> npt.NDArray[np.float32]:
    """Return the periodic Hann window of so many samples."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frame) / frame)).astype(np.float32)


def windows_of(rows: npt.NDArray[Number], length: int, hop: int) -> npt.NDArray[Number]:
    """Return a view (m, n, length, …) of every ``length`` rows, ``hop`` apart, of (m, rows, …).

    numpy's own sliding windows take longer to make than many a window to sum up.
    """
    rows = np.ascontiguousarray(rows)
    streams, count, *rest = rows.shape
    across, along, *within = rows.strides
    return np.ndarray(
        (streams, max(0, (count - length) // hop + 1), length, *rest),
        rows.dtype,
        rows,
        strides=(across, hop * along, along, *within),
    )


class PowerSpectra:
    """Hann-windowed power spectra of a stream, frames padded with zeros to ``fft`` samples."""

    def __init__(self, frame: int, hop: int, fft: int | None = None) -> None:
        self.frame, self.hop, self.fft = frame, hop, fft or frame
        self._hann = hann(frame)
        self._rest = np.zeros(0, np.float32)

    def push(self, samples: Samples) -> Matrix:
        """Return the spectra (frames, fft // 2 + 1) that these samples complete."""
        pending = np.concatenate([self._rest, samples])
        count = max(0, (len(pending) - self.frame) // self.hop + 1)
        if not count:
            self._rest = pending
            return np.zeros((0, self.fft // 2 + 1), np.float32)
        self._rest = pending[count * self.hop :].copy()
        frames = np.lib.stride_tricks.sliding_window_view(pending, self.frame)[:: self.hop][:count]
        spectra = np.fft.rfft(frames * self._hann, self.fft)
        return (spectra.real**2 + spectra.imag**2).astype(np.float32, copy=False)


class History:
    """The newest rows of a frame-wise feature, addressed by the samples that they cover."""

    def __init__(self, frame: int, hop: int) -> None:
        self._frame, self._hop = frame, hop
        self._rows: list[Matrix] = []
        self._first = 0  # index of the oldest row kept

    def push(self, rows: Matrix) -> None:
        """Add the next rows."""
        if len(rows):
            self._rows.append(rows)

    def between(self, start: int, end: int) -> Matrix:
        """Return the rows whose frames lie wholly within the samples ``start`` … ``end``."""
        first = -(-start // self._hop) - self._first
        last = (end - self._frame) // self._hop - self._first
        if len(self._rows) > 1:
            self._rows = [np.concatenate(self._rows)]
        return self._rows[0][first : last + 1]

    def forget(self, before: int) -> None:
        """Drop the rows whose frames begin before this sample."""
        if not self._rows:
            return
        self._rows = [np.concatenate(self._rows)] if len(self._rows) > 1 else self._rows
        drop = min(len(self._rows[0]), max(0, -(-before // self._hop) - self._first))
        self._rows = [self._rows[0][drop:]]
        self._first += drop
