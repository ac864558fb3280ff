"""An alarm that is delayed by a suspicion that the microphone has a fault.

It is held for up to `MAX_HOLD_S`, and raised when the suspicion is over or the time is up, also
where the sound has returned to normal meanwhile: a suspicion delays an alarm and never suppresses
one.  The time goes on while the machine is off.  A fault of the microphone that is recognised
meanwhile discards it, and so does an interruption of the sound: what led to it may be the crackle
of a connector, so the sound that returns decides.  An alarm that is due in it is held for the rest
of the time only, so that repeated interruptions do not suppress one.
"""

from __future__ import annotations

from dataclasses import dataclass

from asd_monitor.alarm.state import Trigger

MAX_HOLD_S = 30.0
"""Longest time for which a suspicion of the microphone delays an alarm."""
_HOLD_RESERVE_S = 5.0  # it ends with a window: one of many, or the first after an impact in a pause


@dataclass(frozen=True, slots=True)
class HeldAlarm:
    """An alarm that is due while a fault of the microphone is suspected."""

    since: int  # sample index
    until: int  # sample index at which it is raised, whatever is suspected
    why: str
    time_scale_s: float | None
    peak: float
    trigger: Trigger = Trigger.ALARM


class AlarmHold:
    """Holds at most one alarm.

    Args:
        rate_hz: Sampling rate of the sample indices.
        held: What an earlier one of the same stream holds.

    """

    def __init__(self, rate_hz: int, held: HeldAlarm | None) -> None:
        self.held = held
        """The alarm that is held."""
        self._longest = round((MAX_HOLD_S - _HOLD_RESERVE_S) * rate_hz)
        self._earlier = 0  # samples for which alarms were held that interruptions discarded

    def hold(
        self, trigger: Trigger, at: int, why: str, *, time_scale_s: float | None, peak: float
    ) -> None:
        """Hold an alarm that is due, unless one is held."""
        if self.held is None:
            until = at + max(0, self._longest - self._earlier)
            self.held = HeldAlarm(at, until, why, time_scale_s, peak, trigger)

    def restore_time(self) -> None:
        """Note normal sound: the next alarm can be held for the whole time."""
        if self.held is None:
            self._earlier = 0

    def release(self, at: int, *, suspected: bool) -> HeldAlarm | None:
        """Return the alarm that is held, unless the suspicion lasts and the time is not up."""
        held = self.held
        if held is None or (suspected and at < held.until):
            return None
        self.held, self._earlier = None, 0
        return held

    def interrupt(self, newest: int) -> None:
        """Discard what is held, at an interruption of the sound after the newest window."""
        if self.held is not None:
            self._earlier += newest - self.held.since
            self.held = None

    def discard(self, since: int) -> None:
        """Discard what is held, where it was due ``since`` then."""
        if self.held is not None and self.held.since >= since:
            self.held = None
