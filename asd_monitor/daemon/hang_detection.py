"""Detection of work that stands still although it is due."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class WorkProgress:
    """How far some work has advanced."""

    count: int
    """Grows with the work done, in any unit."""
    idle_reason: str | None = None
    """Why no progress is expected; None: it is expected."""
    limit_s: float | None = None
    """Longest time without progress, in s; None: that of the detector."""


@dataclass(frozen=True, slots=True)
class Standstill:
    """Work that has not advanced for longer than its limit."""

    begun: tuple[str, ...] = ()
    """Names of the work of which this is the first time since it last advanced."""
    lasting: tuple[str, ...] = ()
    """Names of the work that stands still after it was among the ``begun``."""


@dataclass(frozen=True, slots=True)
class _Observed:
    count: int
    since_s: float
    has_stood_still: bool = False  # since the count last changed


@dataclass(slots=True)
class HangDetector:
    """Keeps the time at which each work last advanced.

    Work that stands still for its limit has begun to do so, which is the time to restart it.  If it
    has not advanced after the limit once more, the standstill lasts, also where the new attempt
    had an idle reason in between: only progress ends a standstill.

    >>> detector = HangDetector(timeout_s=10)
    >>> detector.observe(0.0, {"fan01": WorkProgress(1)})
    Standstill(begun=(), lasting=())
    >>> detector.observe(11.0, {"fan01": WorkProgress(1)})
    Standstill(begun=('fan01',), lasting=())
    >>> detector.observe(12.0, {"fan01": WorkProgress(1, idle_reason="restarting")})
    Standstill(begun=(), lasting=())
    >>> detector.observe(23.0, {"fan01": WorkProgress(1)})
    Standstill(begun=(), lasting=('fan01',))
    """

    timeout_s: float
    _observed: dict[str, _Observed] = field(default_factory=dict)

    @property
    def standing(self) -> tuple[str, ...]:
        """Names of the work that has begun to stand still and has not advanced since."""
        return tuple(name for name, each in self._observed.items() if each.has_stood_still)

    def observe(self, now_s: float, progress: Mapping[str, WorkProgress]) -> Standstill:
        """Return what has not advanced for longer than its limit.

        The limit of work with an idle reason starts anew.

        Args:
            now_s: monotonic time, in s.
            progress: of each work, by its name; what is missing is forgotten.

        """
        begun, lasting, observed = [], [], {}
        for name, current in progress.items():
            before = self._observed.get(name)
            if before is None or before.count != current.count:
                now = _Observed(current.count, now_s)
            elif current.idle_reason is not None:
                now = replace(before, since_s=now_s)
            else:
                now = before
            limit_s = self.timeout_s if current.limit_s is None else current.limit_s
            if now_s - now.since_s > limit_s:
                if now.has_stood_still:
                    lasting.append(name)
                else:
                    begun.append(name)
                    now = _Observed(current.count, now_s, has_stood_still=True)
            observed[name] = now
        self._observed = observed
        return Standstill(tuple(begun), tuple(lasting))
