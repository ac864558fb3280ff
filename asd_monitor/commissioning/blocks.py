"""Blocks of live sound: the vectors of their windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asd_monitor.detector.detector import Detector
from asd_monitor.features.windows import Window

BLOCK_S = 10.0
LEVEL = "level"
"""The feature that is the level, in dB; it is kept in float32, the others in float16."""

BAND_DB = 3
"""Width of a band of level."""
_HALF_MAX = np.float32(np.finfo(np.float16).max)
_HOUR_S = 3600.0

Floats = npt.NDArray[np.float32]
HalfFloats = npt.NDArray[np.float16]


class Layout(tuple[tuple[str, int], ...]):
    """Names and sizes of the features in a vector, sorted by name, without the level."""

    __slots__ = ()

    @staticmethod
    def of(features: Mapping[str, npt.NDArray[np.float32]]) -> Layout:
        """Return the layout of the features of a window."""
        return Layout((name, len(features[name])) for name in sorted(features) if name != LEVEL)

    @property
    def size(self) -> int:
        """Values of a vector."""
        return sum(size for _, size in self)

    def join(self, features: Mapping[str, npt.NDArray[np.float32]]) -> Floats:
        """Return the features of a window as one vector (size,), float32; a copy."""
        joined: Floats = np.concatenate([features[name] for name, _ in self])
        return joined

    @staticmethod
    def pack(vectors: Sequence[Floats]) -> HalfFloats:
        """Return m vectors (size,) as (m, size), float16, limited to its range."""
        stacked = np.stack(vectors)
        packed: HalfFloats = np.clip(stacked, -_HALF_MAX, _HALF_MAX, out=stacked).astype(np.float16)
        return packed

    def unpack(self, vector: HalfFloats, level_dbfs: float) -> dict[str, Floats]:
        """Return the features of a window from its vector (size,) and level, as float32."""
        features = {LEVEL: np.array([level_dbfs], np.float32)}
        at = 0
        for name, size in self:
            features[name] = vector[at : at + size].astype(np.float32)
            at += size
        return features


def feature_key(detector: Detector) -> str:
    """Return what two models must have in common for the windows of one to suit the other."""
    encoders = ",".join(encoder.sha256 for encoder in detector.encoders)
    return f"{detector.front_end} {encoders}"


@dataclass(frozen=True, slots=True, order=True)
class Stratum:
    """An operating condition: hour of the day (UTC), band of level, alarm active or not."""

    hour: int
    band: int
    alarm_active: bool

    @staticmethod
    def of(time_s: float, level_dbfs: float, *, alarm_active: bool) -> Stratum:
        """Return the stratum at a Unix time, in s."""
        return Stratum(int(time_s // _HOUR_S) % 24, int(level_dbfs // BAND_DB), alarm_active)

    @property
    def mode(self) -> SoundMode:
        """Its operating mode, whatever the hour of the day."""
        return SoundMode(self.band, self.alarm_active)


@dataclass(frozen=True, slots=True, order=True)
class SoundMode:
    """An operating mode as far as the level shows it: band of level, alarm active or not."""

    band: int
    alarm_active: bool


@dataclass(frozen=True, slots=True, order=True)
class SoundPiece:
    """Ten seconds of stored sound."""

    time_s: float  # Unix time of its start
    mode: SoundMode


@dataclass(frozen=True, slots=True, eq=False)
class LiveBlock:
    """Ten seconds of live sound: m non-overlapping windows."""

    time_s: float  # Unix time of its start
    age_s: float  # sound that was evaluated in the commissioning before it
    alarm_active: bool
    level_dbfs: float  # median of all its windows, also of those that overlap
    starts_s: Floats  # (m,) of the windows, from the block's start
    levels_dbfs: Floats  # (m,)
    vectors: HalfFloats  # (m, size)

    @property
    def stratum(self) -> Stratum:
        """Its operating condition."""
        return Stratum.of(self.time_s, self.level_dbfs, alarm_active=self.alarm_active)

    def windows(self, layout: Layout, rate_hz: int, window_samples: int) -> list[Window]:
        """Return the m windows; their samples count from the block's start at ``rate_hz``."""
        return [
            Window(start, start + window_samples, layout.unpack(vector, float(level)))
            for vector, level, start in zip(
                self.vectors,
                self.levels_dbfs,
                np.rint(self.starts_s * rate_hz).astype(int).tolist(),
                strict=True,
            )
        ]
