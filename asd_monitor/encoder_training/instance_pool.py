"""The instances and backgrounds that the batches of a training step are drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from asd_monitor.encoder_training.log_mel_frames import LogMel
from asd_monitor.encoder_training.pretraining_choices import SoundSource
from asd_monitor.encoder_training.sound_sources import Instance


@dataclass(frozen=True, slots=True)
class TrainingSounds:
    """The sound that an encoder is trained on."""

    seed: int
    recordings: tuple[Path, ...]  # of instances
    noise: tuple[Path, ...]  # of backgrounds
    source: SoundSource
    recorded_backgrounds: float  # share of recordings among the backgrounds, 0 … 1
    held_out: bool = False  # the recordings and machines that are not trained on


@dataclass(frozen=True, slots=True, eq=False)
class InstancePool:
    """Instances, and the backgrounds that are mixed into them."""

    instances: Sequence[Instance]
    backgrounds: Sequence[LogMel]


class PoolFeed(Protocol):
    """Delivers the pool of each training step."""

    def pool_at(self, step: int) -> InstancePool:
        """Return the pool of a step; it depends on the step alone."""

    def close(self) -> None:
        """Release what the feed holds."""
