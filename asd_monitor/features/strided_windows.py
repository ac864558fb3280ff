"""A view of the sliding windows of an array, cheaper to create than numpy's own."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from asd_monitor.dsp.frames import Precision


def strided_windows(rows: npt.NDArray[Precision], length: int, hop: int) -> npt.NDArray[Precision]:
    """Return every ``length`` rows, ``hop`` apart: (m, n, length, …) of (m, rows, …), a view."""
    rows = np.ascontiguousarray(rows)
    streams, count, *rest = rows.shape
    stream_stride, row_stride, *strides = rows.strides
    return np.ndarray(
        (streams, max(0, (count - length) // hop + 1), length, *rest),
        rows.dtype,
        rows,
        strides=(stream_stride, hop * row_stride, row_stride, *strides),
    )
