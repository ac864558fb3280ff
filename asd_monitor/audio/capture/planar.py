"""Several channels of one device, at the same moments: interleaved on the way, planar here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asd_monitor.audio.wire import Frame
from asd_monitor.records import Block

_FULL_SCALE = np.float32(1 / 32768)


@dataclass(frozen=True, slots=True, eq=False)
class PlanarBlock:
    """Consecutive samples of several channels of one stream, which share their indices."""

    start: int
    channels: tuple[int, ...]  # the device's number of the channel in each row, from 0
    samples: npt.NDArray[np.float32]  # (channels, samples), full scale ±1, rows contiguous

    @property
    def end(self) -> int:
        """Sample index one past the last sample."""
        return self.start + len(self.samples[0])

    def channel(self, number: int) -> Block | None:
        """Return one channel, which is not copied; None: it is not among them."""
        if number not in self.channels:
            return None
        return Block(self.start, self.samples[self.channels.index(number)])


def take_apart(frame: Frame, start: int, channels: tuple[int, ...]) -> PlanarBlock:
    """Return the channels of an interleaved frame, whose first samples have this index."""
    interleaved = np.frombuffer(frame.pcm, "<i2").reshape(-1, len(channels))
    samples = interleaved.T.astype(np.float32, order="C")
    samples *= _FULL_SCALE
    return PlanarBlock(start, channels, samples)
