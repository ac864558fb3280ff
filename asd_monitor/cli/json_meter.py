"""The progress of a recording as lines of JSON on stdout, for programs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import numpy as np

from asd_monitor.audio.files.levels import dbfs
from asd_monitor.cli.json_lines import print_json
from asd_monitor.dsp.dc_removal import DCRemover
from asd_monitor.dsp.sample_faults import CLIPPING_LEVEL
from asd_monitor.guided_setup.coverage import Coverage
from asd_monitor.records import Samples

_EVERY_S = 1.0
_COVERAGE_EVERY_S = 5.0


class JsonMeter:
    """Prints once a second what was recorded, its level since the line before and its coverage.

    Args:
        total_s: Duration of the whole recording, in s.
        coverage: Measures what the sound so far shows.

    """

    def __init__(self, total_s: float, coverage: Callable[[], Coverage]) -> None:
        self._total_s = total_s
        self._measure = coverage
        self._coverage: Coverage | None = None
        self._dc_remover: DCRemover | None = None
        self._energy, self._samples, self._peak = 0.0, 0, 0.0
        self._is_clipped = False
        self._due_s = self._coverage_due_s = 0.0  # of the monotonic clock

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """End."""

    def print_line(self, text: str) -> None:
        """Print a notice."""
        print_json({"notice": text})
        sys.stdout.flush()

    def show(self, samples: Samples, rate_hz: int, recorded_s: float) -> None:
        """Take a block (n,), full scale ±1, of sound that now has ``recorded_s``, in s."""
        self._dc_remover = self._dc_remover or DCRemover(rate_hz)
        sound = self._dc_remover.push(samples)
        if len(sound):
            self._energy += float(np.square(sound, dtype=np.float64).sum())
            self._samples += len(sound)
            self._peak = max(self._peak, float(np.abs(sound).max()))
        self._is_clipped |= float(np.abs(samples).max(initial=0.0)) >= CLIPPING_LEVEL
        now_s = time.monotonic()
        is_end = recorded_s >= self._total_s
        if now_s < self._due_s and not is_end:
            return
        self._due_s = now_s + _EVERY_S
        if now_s >= self._coverage_due_s or self._coverage is None or is_end:
            self._coverage = self._measure()
            self._coverage_due_s = now_s + _COVERAGE_EVERY_S
        level = (self._energy / self._samples) ** 0.5 if self._samples else None
        print_json(
            {
                "recorded_s": round(recorded_s, 2),
                "total_s": self._total_s,
                "rms_dbfs": None if level is None else round(dbfs(level), 1),
                "peak_dbfs": None if level is None else round(dbfs(self._peak), 1),
                "clipped": self._is_clipped,
                "modes": self._coverage.modes,
                "pause": self._coverage.idle_dbfs is not None,
            }
        )
        sys.stdout.flush()
        self._energy, self._samples, self._peak, self._is_clipped = 0.0, 0, 0.0, False
