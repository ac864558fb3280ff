"""What batches are drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from asd_monitor.encoder_training.sound_supply import Instance, LogMel


class Supply(StrEnum):
    """Which sounds the encoder is trained on."""

    MADE = "made"
    REAL = "real"
    BOTH = "both"


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Instances, and the backgrounds that they are heard in."""

    instances: Sequence[Instance]
    backgrounds: Sequence[LogMel]
