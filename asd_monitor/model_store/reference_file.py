"""The training windows in a bundle: ``reference.npz``, from which a refit extends the model.

Vectors are in float16, levels in float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from asd_monitor.features.windows import Window
from asd_monitor.model_store.array_file import array_file_bytes, read_mixed_array_file

LEVEL = "level"

_FEATURE = "feature."
_NAME = "reference.npz"

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class StoredReference:
    """n training windows in order of segment and time."""

    features: Mapping[str, npt.NDArray[np.float16]]  # (n, d) by name, without the level
    levels_dbfs: npt.NDArray[np.float32]  # (n,)
    starts: Integers  # (n,) first sample, at the front end's rate, in the recording
    ends: Integers  # (n,) one past the last sample
    segments: Integers  # (n,) number of the gapless segment
    fractions: npt.NDArray[np.float32]  # (n,) of the recordings that lie before, 0 … 1
    times_s: npt.NDArray[np.float32]  # (n,) of the start, after that of the first

    @staticmethod
    def of(pieces: Sequence[Sequence[Window]], times_s: Sequence[float]) -> StoredReference:
        """Return the windows of pieces without a gap, each with the time of its start, in s."""
        windows = [window for piece in pieces for window in piece]
        segments = [number for number, piece in enumerate(pieces) for _ in piece]
        return StoredReference.of_windows(
            windows,
            segments=segments,
            fractions=np.linspace(0.0, 1.0, len(windows), endpoint=False),
            times_s=[times_s[number] for number in segments],
        )

    @staticmethod
    def of_windows(
        windows: Sequence[Window],
        *,
        segments: Sequence[int],
        fractions: npt.ArrayLike,
        times_s: npt.ArrayLike,
    ) -> StoredReference:
        """Return windows, each with its segment, fraction and time as the attributes say."""
        names = sorted(windows[0].features.keys() - {LEVEL}) if windows else []
        limit = np.float32(np.finfo(np.float16).max)
        return StoredReference(
            features={
                name: np.clip(
                    np.stack([window.features[name] for window in windows]), -limit, limit
                ).astype(np.float16)
                for name in names
            },
            levels_dbfs=np.array([window.rms_dbfs for window in windows], np.float32),
            starts=np.array([window.start for window in windows], np.int64),
            ends=np.array([window.end for window in windows], np.int64),
            segments=np.array(segments, np.int64),
            fractions=np.asarray(fractions, np.float32),
            times_s=np.asarray(times_s, np.float32),
        )

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.starts)

    def piece_times_s(self) -> list[float]:
        """Return the time of each piece (`pieces`), after the start of the first."""
        return [
            float(self.times_s[number])
            for number in range(len(self))
            if not number or self._follows_gap(number)
        ]

    def pieces(self) -> list[list[Window]]:
        """Return the windows of each piece without a gap, with features in float32."""
        pieces: list[list[Window]] = []
        for number in range(len(self)):
            if not number or self._follows_gap(number):
                pieces.append([])
            pieces[-1].append(self._window(number))
        return pieces

    def segment_windows(self) -> list[tuple[float, list[Window]]]:
        """Return the time of each segment, in s, and its windows, with features in float32."""
        begins = np.flatnonzero(np.diff(self.segments, prepend=-1)).tolist()
        return [
            (float(self.times_s[begin]), [self._window(number) for number in range(begin, past)])
            for begin, past in pairwise([*begins, len(self)])
        ]

    def _follows_gap(self, number: int) -> bool:
        length = int(self.ends[number] - self.starts[number])
        gap = int(self.starts[number] - self.ends[number - 1])
        return bool(self.segments[number] != self.segments[number - 1]) or gap > length // 2

    def _window(self, number: int) -> Window:
        vectors = {name: rows[number].astype(np.float32) for name, rows in self.features.items()}
        vectors[LEVEL] = self.levels_dbfs[number : number + 1].astype(np.float32)
        return Window(int(self.starts[number]), int(self.ends[number]), vectors)

    def content(self) -> bytes:
        """Return the content of the file."""
        return array_file_bytes(
            {
                **{f"{_FEATURE}{name}": rows for name, rows in self.features.items()},
                "level": self.levels_dbfs,
                "start": self.starts,
                "end": self.ends,
                "segment": self.segments,
                "fraction": self.fractions,
                "time": self.times_s,
            }
        )

    @staticmethod
    def from_content(content: bytes) -> StoredReference:
        """Return the windows in the content of a file.  Raises ValueError, KeyError."""
        arrays = read_mixed_array_file(content, _NAME)
        levels = arrays.pop("level").astype(np.float32)
        starts, ends, segments = (
            arrays.pop(name).astype(np.int64) for name in ("start", "end", "segment")
        )
        fractions = arrays.pop("fraction").astype(np.float32)
        times_s = arrays.pop("time").astype(np.float32)
        features = {
            name.removeprefix(_FEATURE): rows.astype(np.float16, copy=False)
            for name, rows in arrays.items()
        }
        one_each = (levels, starts, ends, segments, fractions, times_s)
        if any(each.shape != (len(starts),) for each in one_each) or any(
            rows.ndim != 2 or len(rows) != len(starts) for rows in features.values()
        ):
            raise ValueError(f"{_NAME}: its arrays have different lengths")
        if not np.isfinite(times_s).all():
            raise ValueError(f"{_NAME}: its times are not finite")
        return StoredReference(features, levels, starts, ends, segments, fractions, times_s)
