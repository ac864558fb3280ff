"""Blocks of several channels of one device, in planar layout."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asd_monitor.audio.pcm import decode_pcm
from asd_monitor.audio.wire import Frame
from asd_monitor.records import Block, Stream


@dataclass(frozen=True, slots=True, eq=False)
class PlanarBlock:
    """Consecutive samples of several channels of one stream, at the same sample indices."""

    start: int
    channels: tuple[int, ...]  # channel number of each row, from 0
    samples: npt.NDArray[np.float32]  # (channels, samples), full scale ±1, rows contiguous

    @property
    def end(self) -> int:
        """Sample index one past the last sample."""
        return self.start + len(self.samples[0])

    def channel(self, number: int, stream: Stream) -> Block | None:
        """Return one channel as a view, of its ``stream``; None if it is not contained."""
        if number not in self.channels:
            return None
        return Block(stream, self.start, self.samples[self.channels.index(number)])


def deinterleave(frame: Frame, start: int, channels: tuple[int, ...]) -> PlanarBlock:
    """Return the channels of a frame; ``start`` is the sample index of its first samples."""
    return PlanarBlock(start, channels, decode_pcm(frame.pcm, len(channels)))
