"""Blocks of several channels of one device, in planar layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from asd_monitor.audio.pcm import decode_pcm
from asd_monitor.audio.source import Opened, Outage
from asd_monitor.audio.wire import Frame
from asd_monitor.records import Block, Stream


@dataclass(frozen=True, slots=True, eq=False)
class PlanarBlock:
    """Consecutive samples of several channels of one device, at the same sample indices."""

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


class PlanarReceiver(Protocol):
    """Takes the sound of several channels of one device; each call returns at once."""

    def opened(self, opened: Opened) -> None:
        """Take note of the opening; blocks follow."""

    def write(self, block: PlanarBlock) -> None:
        """Take a block, which may start after the end of the previous one (a gap)."""

    def interrupted(self, outage: Outage) -> None:
        """Take note of an outage, or of another reason of it."""


def deinterleave(frame: Frame, start: int, channels: tuple[int, ...]) -> PlanarBlock:
    """Return the channels of a frame; ``start`` is the sample index of its first samples."""
    return PlanarBlock(start, channels, decode_pcm(frame.pcm, len(channels)))
