"""Signal conditioning: sound as captured → sound without DC at the rate of the analysis."""

from __future__ import annotations

import numpy as np

from asd_monitor.dsp.dc_removal import DCRemover
from asd_monitor.dsp.resampling import Resampler
from asd_monitor.records import Samples


class SignalConditioner:
    """Removes DC from a stream and converts its rate; the blocks can have any size.

    All that is analysed passes through it.  The DC is removed first, because a resampler begins
    with zeros: an offset would be a step for it.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._dc_remover = DCRemover(from_hz)
        self._resampler = Resampler(from_hz, to_hz)

    def push(self, samples: Samples) -> Samples:
        """Return the output that these samples (m,) complete, (n,) float32; n may be 0."""
        return self._resampler.push(self._dc_remover.push(samples))

    def flush(self) -> Samples:
        """End the stream and return its remainder, (n,) float32."""
        rest = self._resampler.push(self._dc_remover.flush())
        return np.concatenate([rest, self._resampler.flush()])
