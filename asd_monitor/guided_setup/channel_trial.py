"""A few seconds of one channel: its level, spectrum and reaction to a tap, and what is wrong.

A tap on the machine may clip and is loud: the level is the median over blocks, and clipping counts
where it is in many of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from asd_monitor.audio.files.levels import (
    LevelAccumulator,
    LevelDefect,
    LevelSummary,
    dbfs,
    level_defects,
)
from asd_monitor.dsp.sample_faults import CLIPPING_LEVEL
from asd_monitor.guided_setup.line_spectrum import LineSpectrum, MainsHum, OctaveBand
from asd_monitor.records import Samples

SETTLED_S = 1.5
"""A channel is judged from so much sound on."""
_REACTION_S = 4.0  # a tap is shown for this time
_BEFORE_S = 30.0  # with whose usual peaks it is compared
_MIN_CLIPPED_BLOCKS = 0.15  # share of the blocks; fewer are taps
_MIN_RISE_DB = 10.0
_MIN_LEAD_DB = 3.0  # before other channels, which hear the tap as well


@dataclass(frozen=True, slots=True)
class _BlockLevel:
    end_s: float
    level_dbfs: float
    peak_dbfs: float
    is_clipped: bool


@dataclass(frozen=True, slots=True)
class ChannelSound:
    """What one channel has captured so far."""

    channel: int  # from 0
    seconds: float
    levels: LevelSummary  # without what a tap does to it
    octaves: tuple[OctaveBand, ...]
    hum: MainsHum | None
    rise_db: float  # of the newest peaks above the usual ones

    @property
    def is_settled(self) -> bool:
        """Whether there is enough sound to judge it."""
        return self.seconds >= SETTLED_S

    @property
    def is_silent(self) -> bool:
        """Whether nothing is connected to the channel, by its level."""
        return self.levels.is_dead or self.levels.is_quiet


class ChannelTrial:
    """Listens to one channel; it is fed with blocks of a tenth of a second or so."""

    def __init__(self, channel: int, rate_hz: int) -> None:
        """Begin a stream with the sampling rate ``rate_hz``."""
        self._channel = channel
        self._rate_hz = rate_hz
        self._levels = LevelAccumulator(rate_hz)
        self._spectrum = LineSpectrum(rate_hz)
        self._blocks: deque[_BlockLevel] = deque()
        self.newest_dbfs: float | None = None
        """The level of the newest block; None before the first."""

    def push(self, samples: Samples) -> None:
        """Add a block, (n,) float32, n ≥ 1."""
        self._levels.push(samples)
        self._spectrum.push(samples)
        centred = samples - samples.mean()
        self.newest_dbfs = dbfs(float(np.sqrt(np.mean(np.square(centred)))))
        block = _BlockLevel(
            end_s=self.seconds,
            level_dbfs=self.newest_dbfs,
            peak_dbfs=dbfs(float(np.abs(centred).max())),
            is_clipped=bool((np.abs(samples) >= CLIPPING_LEVEL).any()),
        )
        self._blocks.append(block)
        while self._blocks[0].end_s < block.end_s - _BEFORE_S:
            self._blocks.popleft()

    @property
    def seconds(self) -> float:
        """Sound so far, in s."""
        return self._levels.samples / self._rate_hz

    def sound(self) -> ChannelSound:
        """Return what was captured so far."""
        return ChannelSound(
            channel=self._channel,
            seconds=self.seconds,
            levels=self._levels_without_taps(),
            octaves=self._spectrum.octaves(),
            hum=self._spectrum.mains_hum(),
            rise_db=self._rise_db(),
        )

    def _rise_db(self) -> float:
        if self.seconds < SETTLED_S:
            return 0.0
        since_s = self.seconds - _REACTION_S
        newest = max(block.peak_dbfs for block in self._blocks if block.end_s > since_s)
        return newest - float(np.median([block.peak_dbfs for block in self._blocks]))

    def _levels_without_taps(self) -> LevelSummary:
        summary = self._levels.summary()
        if not self._blocks:
            return summary
        level = float(np.median([block.level_dbfs for block in self._blocks]))
        clips = float(np.mean([block.is_clipped for block in self._blocks])) >= _MIN_CLIPPED_BLOCKS
        share = summary.clipped_share if clips else 0.0
        return replace(summary, rms_dbfs=round(level, 1), clipped_share=share)


def reacting(sounds: Sequence[ChannelSound | None]) -> int | None:
    """Return the number of the channel that a tap was nearest to; None: none was tapped."""
    rises = sorted(
        ((each.rise_db, number) for number, each in enumerate(sounds) if each is not None),
        reverse=True,
    )
    if not rises or rises[0][0] < _MIN_RISE_DB:
        return None
    if len(rises) > 1 and rises[0][0] < rises[1][0] + _MIN_LEAD_DB:
        return None
    return rises[0][1]


def channel_warnings(sound: ChannelSound, others: Sequence[ChannelSound] = ()) -> tuple[str, ...]:
    """Return what is wrong with a channel, each with its remedy.

    ``others`` are the other channels of the device.
    """
    defects = level_defects(sound.levels)
    warnings = []
    louder = [each for each in others if not each.is_silent]
    if sound.is_silent and louder:
        best = max(louder, key=lambda each: each.levels.rms_dbfs)
        warnings.append(
            f"channel {sound.channel} is silent ({sound.levels.rms_dbfs:.0f} dBFS) and channel "
            f"{best.channel} is not ({best.levels.rms_dbfs:.0f} dBFS): choose #{best.channel}, or "
            "check the cable"
        )
        defects.pop(LevelDefect.QUIET, None)
    warnings += defects.values()
    if sound.hum is not None and not sound.is_silent:
        warnings.append(
            f"{100 * sound.hum.share:.0f} % of the sound is hum of the mains ({sound.hum.hz} Hz "
            "and its odd harmonics), as of a broken shield or a ground loop: check cable and plug, "
            "or power the computer from another socket"
        )
    return tuple(warnings)
