"""Detection of a machine whose work has stopped although sound is due."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkProgress:
    """How far the work of one machine has advanced."""

    count: int
    """Grows with the work done, in any unit."""
    idle_reason: str | None = None
    """Why no progress is expected; None: it is expected."""


class HangDetector:
    """Keeps the time at which each machine last advanced.

    >>> detector = HangDetector(timeout_s=10)
    >>> detector.hung(0.0, {"fan01": WorkProgress(1)})
    []
    >>> detector.hung(11.0, {"fan01": WorkProgress(1)})
    ['fan01']
    >>> detector.hung(12.0, {"fan01": WorkProgress(1, idle_reason="no_device")})
    []
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._last: dict[str, tuple[int, float]] = {}  # count, and since when

    def hung(self, now_s: float, progress: Mapping[str, WorkProgress]) -> list[str]:
        """Return the machines that have not advanced for longer than the timeout.

        Machines with an idle reason are not among them; their timeout starts anew.
        """
        hung = []
        for machine, current in progress.items():
            count, since_s = self._last.get(machine, (None, now_s))
            if current.count != count or current.idle_reason is not None:
                since_s = now_s
            elif now_s - since_s > self._timeout_s:
                hung.append(machine)
            self._last[machine] = (current.count, since_s)
        for removed in self._last.keys() - progress.keys():
            del self._last[removed]
        return hung
