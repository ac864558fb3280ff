"""The condition `clock` of the box: the system clock is not set, or was stepped.

Times are Unix time, so that summer time is no step.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from asd_monitor.daemon.box_conditions import Condition, ConditionKind

STEP_S = 10.0
"""A larger change of the clock at once is a step, in s."""
STEP_HOLDS_S = 3600.0
"""A step is a condition for this time, in s."""
TOLERANCE_S = 60.0
"""The clock may be so far behind the newest file, in s."""
_PACKAGE = Path(__file__).parents[1] / "__init__.py"


def newest_time_s(state: Path) -> float:
    """Return the newest Unix time, in s, that must be past.

    It is that of the installation of this package, or of a file in the state folder that an
    earlier run has written; read it before this run writes any.
    """
    times = [_modified_s(_PACKAGE)]
    try:
        times += [_modified_s(path) for path in state.iterdir() if path.is_file()]
    except OSError:  # there is no folder yet, or it cannot be read: a condition of the disk
        return max(times)
    return max(times)


def _modified_s(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


class ClockCheck:
    """Judges readings of the system clock.

    Args:
        past_s: Unix time, in s, that must be past, see `newest_time_s`.

    """

    def __init__(self, past_s: float) -> None:
        self.steps = 0
        """Observed steps of the clock."""
        self._past_s = past_s
        self._offset_s: float | None = None  # wall clock less steady clock
        self._step_s = 0.0  # the newest one
        self._stepped_s: float | None = None  # when, by the steady clock

    def judge(self, *, wall_s: float, steady_s: float, is_synced: bool) -> list[Condition]:
        """Return the conditions that hold.

        Args:
            wall_s: Unix time, in s.
            steady_s: a clock that is never set and goes on while the computer is suspended
                (CLOCK_BOOTTIME), in s.
            is_synced: whether the system clock is synchronised with a reference.

        """
        offset_s = wall_s - steady_s
        step_s = 0.0 if self._offset_s is None else offset_s - self._offset_s
        self._offset_s = offset_s
        if abs(step_s) > STEP_S:
            self.steps += 1
            self._step_s, self._stepped_s = step_s, steady_s
        elif self._stepped_s is not None and steady_s - self._stepped_s >= STEP_HOLDS_S:
            self._stepped_s = None
        return [*self._not_set(wall_s, is_synced=is_synced), *self._stepped()]

    def _not_set(self, wall_s: float, *, is_synced: bool) -> Iterable[Condition]:
        if not is_synced and wall_s < self._past_s - TOLERANCE_S:
            yield Condition(
                ConditionKind.CLOCK,
                "the system clock is not set: it is before the newest file of asd-monitor, so the "
                "times of alarms are wrong",
                "set the clock (`timedatectl`), let the box reach a time server, or fit a "
                "real-time clock",
                check="set",
            )

    def _stepped(self) -> Iterable[Condition]:
        if self._stepped_s is not None:
            direction = "forward" if self._step_s > 0 else "back"
            yield Condition(
                ConditionKind.CLOCK,
                f"the system clock was set {direction} by {abs(self._step_s):.0f} s: the times "
                "before and after do not fit together",
                "nothing if it was set on purpose or by the first time server after the start; "
                "otherwise check the time service of the box",
                check="step",
            )
