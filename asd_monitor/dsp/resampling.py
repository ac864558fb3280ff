"""Sample rate conversion of a stream, with soxr."""

from __future__ import annotations

from typing import cast

import numpy as np
import soxr

from asd_monitor.records import Samples


class Resampler:
    """Converts the rate of a stream that arrives in blocks of any size.

    The output does not depend on the sizes of the blocks and is aligned with the input: the first
    sample out is at the time of the first sample in.  It lags the input by a few milliseconds
    until `flush`.  Equal rates pass unchanged.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self.from_hz = from_hz
        self.to_hz = to_hz
        self._stream = (
            None if from_hz == to_hz else soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32")
        )

    def push(self, samples: Samples) -> Samples:
        """Return the output that these samples (m,) complete, (n,) float32; n may be 0."""
        return self._convert(samples, last=False)

    def flush(self) -> Samples:
        """Return the remainder of the stream, (n,) float32; the next `push` starts a new one."""
        rest = self._convert(np.zeros(0, np.float32), last=True)
        if self._stream is not None:
            self._stream.clear()
        return rest

    def _convert(self, samples: Samples, *, last: bool) -> Samples:
        if self._stream is None:
            return samples
        block = np.ascontiguousarray(samples, np.float32)
        return cast("Samples", self._stream.resample_chunk(block, last=last))
