"""Which blocks of the training sound the profile is fitted to, and their analysis."""

from __future__ import annotations

import math

import numpy as np

from asd_monitor.explanation.sound_analysis import SoundAnalysis, analyse, conditioned
from asd_monitor.explanation.sound_profile import (
    BLOCK_S,
    MAX_BLOCKS,
    MIN_BLOCK_S,
    SoundProfile,
    fit_profile,
)
from asd_monitor.records import Block, Samples

_OVERLAPPED_S = 80.0
"""Of more sound, blocks do not overlap."""


class ProfileBlocks:
    """Analyses of gapless blocks, evenly spaced over the recordings of a training.

    Blocks of little sound overlap by half.  Of a segment that is shorter than a block, all is one.
    """

    def __init__(self, rate_hz: int, total_s: float) -> None:
        """Analyse at a rate, at most about `MAX_BLOCKS` blocks of so much sound."""
        self.analyses: list[SoundAnalysis] = []
        self._rate_hz = rate_hz
        least = 1 if total_s <= _OVERLAPPED_S else 2
        self._stride = max(least, math.ceil(total_s / (BLOCK_S / 2) / MAX_BLOCKS))
        self._count = 0  # of blocks, analysed or not
        self._held: list[Samples] = []
        self._held_samples = 0
        self._from_hz = rate_hz
        self._of_segment = 0

    def push(self, block: Block) -> None:
        """Append a block that joins the one before."""
        self._from_hz = block.rate_hz
        self._held.append(block.samples)
        self._held_samples += len(block.samples)
        length = round(BLOCK_S * block.rate_hz)
        if self._held_samples < length:
            return
        sound = np.concatenate(self._held)
        while len(sound) >= length:
            self._take(sound[:length])
            sound = sound[length // 2 :]
        self._held, self._held_samples = [sound], len(sound)

    def end_segment(self) -> None:
        """End the segment: a gap follows, or another recording."""
        if not self._of_segment and self._held_samples >= MIN_BLOCK_S * self._from_hz:
            self._take(np.concatenate(self._held))
        self._held, self._held_samples, self._of_segment = [], 0, 0

    def profile(self) -> SoundProfile | None:
        """Return the profile of all sound; None: there was no block."""
        return fit_profile(self.analyses)

    def _take(self, sound: Samples) -> None:
        if self._count % self._stride == 0:
            samples = conditioned(sound, self._from_hz, self._rate_hz)
            self.analyses.append(analyse(samples, self._rate_hz))
        self._count += 1
        self._of_segment += 1
