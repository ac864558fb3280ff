"""Values that cross the borders between folders.

All are frozen; nobody writes into an array after handing it over.

Time is the **sample index**: an absolute count of samples at the capture rate since
the stream began, in which lost samples count.  Wall-clock times are derived from it,
and only the daemon does so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
"""Mono sound, float32, full scale ±1."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Consecutive samples of one stream.

    A block whose ``start`` lies beyond the end of the one before follows a gap.
    """

    start: int
    samples: Samples

    @property
    def end(self) -> int:
        """Sample index one past the last sample."""
        return self.start + len(self.samples)


class MachineState(StrEnum):
    """What is known of a machine (``state`` on MQTT)."""

    NO_MODEL = "no_model"
    LEARNING = "learning"
    IDLE = "idle"
    NORMAL = "normal"
    WARNING = "warning"
    ALARM = "alarm"
    STOPPED = "stopped"


class MicrophoneState(StrEnum):
    """Whether a microphone hears (``microphone`` on MQTT)."""

    OK = "ok"
    DEGRADED = "degraded"
    FAULT = "fault"
    NO_DEVICE = "no_device"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """On the scale of the alarm score."""

    warning: float
    alarm: float


@dataclass(frozen=True, slots=True)
class WindowScore:
    """The verdict on one window; high is anomalous.

    ``score``, ``lasting`` and each of ``views`` are −log10 of a tail probability among this
    machine's normals (0 … 12); ``fused`` is the views combined, before calibration.
    ``lasting`` is that of so high a fused score for the span of the alarm score, and not
    for one window only.
    """

    start: int  # sample index of the window's first sample
    end: int  # one past its last sample
    score: float
    fused: float
    sustained: float
    views: Mapping[str, float]
    rms_dbfs: float
    idle: bool  # the level lies where the normals have shown the machine off
    hops: int = 1  # since the window before: more where a box under load passes some over
