"""Which sound belongs to an alarm, and what of it is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from asd_monitor.alarm.alarm_hold import MAX_HOLD_S
from asd_monitor.explanation.sound_analysis import conditioned
from asd_monitor.records import Block, Samples

MAX_S = 60.0
"""Longest sound of a package."""
MAX_SIDE_S = 30.0
"""Most sound before the onset, and after the raise: more would displace the other."""
RING_MARGIN_S = 8.0
"""For a block of 5 s that is evaluated at once, and the latency of its evaluation."""
LOWPASS_RATE_HZ = 2000
LOWPASS_HZ = 500.0
_TRANSITION_HZ = 100.0
_KAISER_BETA = 7.9  # 80 dB
_TAPS = 101


class SoundContent(StrEnum):
    """What of the sound of an alarm is stored."""

    FULL = "full"
    LOWPASS = "lowpass"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class KeptTimes:
    """Sound that is kept around an alarm, in s."""

    before_s: float
    after_s: float

    def __post_init__(self) -> None:
        """Limit both to `MAX_SIDE_S`."""
        object.__setattr__(self, "before_s", min(self.before_s, MAX_SIDE_S))
        object.__setattr__(self, "after_s", min(self.after_s, MAX_SIDE_S))

    def ring_s(self, on_delay_s: float) -> float:
        """Return how much sound a machine has to keep, so that the sound of an alarm is there."""
        needed = self.before_s + on_delay_s + MAX_HOLD_S + self.after_s
        return min(needed, MAX_S) + RING_MARGIN_S

    def span(self, onset: int, raised: int, rate_hz: int) -> tuple[int, int]:
        """Return the sample indices of the first sample and of one past the last."""
        past = raised + round(self.after_s * rate_hz)
        first = onset - round(self.before_s * rate_hz)
        return max(0, first, past - round(MAX_S * rate_hz)), past


@dataclass(frozen=True, slots=True)
class Gap:
    """Samples without sound: they were lost, or the capture was interrupted."""

    first: int  # sample index
    past: int


@dataclass(frozen=True, slots=True, eq=False)
class KeptSound:
    """Sound from one sample index on; 0 in its gaps."""

    first: int  # sample index
    rate_hz: int
    samples: Samples
    gaps: tuple[Gap, ...] = ()

    @property
    def past(self) -> int:
        """Sample index one past the last sample."""
        return self.first + len(self.samples)

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / self.rate_hz

    def at_s(self, sample: int) -> float:
        """Return the time of a sample index in the sound, in s; it may lie outside."""
        return (sample - self.first) / self.rate_hz

    def gapless_at(self, sample: int) -> KeptSound:
        """Return the part between two gaps that a sample index ends in, or the last before it."""
        begins = [self.first, *(gap.past for gap in self.gaps)]
        ends = [*(gap.first for gap in self.gaps), self.past]
        before = [each for each in zip(begins, ends, strict=True) if each[0] < sample]
        begin, end = before[-1] if before else (begins[0], ends[0])
        samples = self.samples[begin - self.first : end - self.first]
        return KeptSound(begin, self.rate_hz, samples)


def joined(blocks: Sequence[Block]) -> KeptSound | None:
    """Return blocks of one stream as one piece of sound; None: there is none."""
    filled = [block for block in blocks if len(block.samples)]
    if not filled:
        return None
    first, gaps = filled[0].start, []
    samples = np.zeros(filled[-1].end - first, np.float32)
    end = first
    for block in filled:
        if block.start > end:
            gaps.append(Gap(end, block.start))
        samples[block.start - first : block.end - first] = block.samples
        end = block.end
    return KeptSound(first, filled[0].rate_hz, samples, tuple(gaps))


def lowpassed(sound: KeptSound) -> Samples:
    """Return the sound (n,) at `LOWPASS_RATE_HZ`, without what is above `LOWPASS_HZ`.

    A filter of linear phase by a Kaiser window attenuates by 80 dB from 550 Hz on (J. F. Kaiser,
    "Nonrecursive digital filter design using the I0-sinh window function", ISCAS 1974).
    """
    decimated = conditioned(sound.samples, sound.rate_hz, LOWPASS_RATE_HZ)
    at = np.arange(_TAPS) - _TAPS // 2
    share = 2.0 * LOWPASS_HZ / LOWPASS_RATE_HZ
    taps = share * np.sinc(share * at) * np.kaiser(_TAPS, _KAISER_BETA)
    taps /= taps.sum()
    padded = np.pad(decimated.astype(np.float64), _TAPS // 2)
    return np.asarray(np.convolve(padded, taps, mode="valid"), np.float32)
