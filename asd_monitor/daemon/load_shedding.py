"""Load shedding: fewer windows are scored while the box is too slow for its machines.

A machine whose sound is evaluated too slowly would finally lose samples.  Before that, only
every n-th window is scored; n is the **stride**.  It is limited so that consecutive scored windows
still overlap or touch: every frame remains part of a scored window.

The stride rises by one when sound waits while scoring is busy, and falls by one after a calm
period whose load leaves room for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Load:
    """Load of the scoring thread."""

    busy: float
    """Share of the time since the last measurement."""
    backlog_s: float
    """Sound that waits to be scored, in s; largest value over the machines."""


@dataclass(frozen=True, slots=True)
class SheddingThresholds:
    """When the stride changes."""

    max_backlog_s: float = 1.0
    """A larger backlog is an overload."""
    overload_delay_s: float = 2.0
    """The overload must last this long: a model may be loading, a device may have been absent."""
    settling_s: float = 5.0
    """The stride does not rise again earlier."""
    busy_share: float = 0.7
    """Load from which on scoring is the bottleneck."""
    recovery_delay_s: float = 60.0
    """The load must leave room for a smaller stride this long."""


DEFAULT_THRESHOLDS = SheddingThresholds()


class LoadShedder:
    """Chooses the next stride from the present one and the load."""

    def __init__(self, *, thresholds: SheddingThresholds = DEFAULT_THRESHOLDS) -> None:
        self._thresholds = thresholds
        self._changed_s = -math.inf
        self._overload_since_s: float | None = None
        self._calm_since_s: float | None = None

    def next_stride(self, stride: int, load: Load, now_s: float, *, max_stride: int) -> int:
        """Evaluate a measurement of the load; return the stride from now on.

        It is ``stride``, one more, or one less, limited to 1 … ``max_stride``.
        """
        if stride > max(1, max_stride):  # the machine that permitted it was removed
            return max(1, max_stride)
        if load.backlog_s > self._thresholds.max_backlog_s:
            return self._on_overload(stride, load, now_s, max_stride)
        self._overload_since_s = None
        load_at_smaller_stride = load.busy * stride / max(1, stride - 1)
        if stride == 1 or load_at_smaller_stride > self._thresholds.busy_share:
            self._calm_since_s = None
        elif self._calm_since_s is None:
            self._calm_since_s = now_s
        elif now_s - self._calm_since_s >= self._thresholds.recovery_delay_s:
            return self._changed(stride - 1, now_s)
        return stride

    def _on_overload(self, stride: int, load: Load, now_s: float, max_stride: int) -> int:
        limits = self._thresholds
        self._calm_since_s = None
        if load.busy < limits.busy_share:  # scoring is not what the sound waits for
            self._overload_since_s = None
            return stride
        if self._overload_since_s is None:
            self._overload_since_s = now_s
        lasts = now_s - self._overload_since_s >= limits.overload_delay_s
        settled = now_s - self._changed_s >= limits.settling_s
        if lasts and settled and stride < max_stride:
            return self._changed(stride + 1, now_s)
        return stride

    def _changed(self, stride: int, now_s: float) -> int:
        self._changed_s, self._calm_since_s = now_s, None
        return stride
