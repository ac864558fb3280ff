"""The delays of the alarm of one machine, in samples.

They count running time: an idle pause suspends them, since a machine with a short duty cycle never
runs for a whole delay at a stretch.  A gap restarts them.
"""

from __future__ import annotations

from asd_monitor.alarm.state import AlarmRule

LONGEST_PAUSE_S = 3600.0
"""Longest pause within a duty cycle.

A machine that runs for less than the span of the alarm score at a time needs the runs of before;
a warning of the evening must not be shown for a machine that was repaired at night.
"""


class Timer:
    """Measures for how long a predicate has held without interruption, in samples."""

    def __init__(self) -> None:
        self._since: int | None = None

    def reset(self) -> None:
        """Begin anew."""
        self._since = None

    def update(self, *, holds: bool, at: int) -> None:
        """Note whether it holds at this time."""
        if not holds:
            self.reset()
        elif self._since is None:
            self._since = at

    def reached(self, delay: int, *, at: int) -> bool:
        """Return whether it has held for at least this delay."""
        return self._since is not None and at - self._since >= delay


class Delays:
    """On-delay and off-delay of a machine.

    Args:
        rule: Has the delays, in s.
        rate_hz: Sampling rate of the sample indices.
        newest: Sample index of the newest window.

    """

    def __init__(self, rule: AlarmRule, rate_hz: int, newest: int) -> None:
        self.newest = newest
        """Sample index of the newest window, running or not."""
        self.is_idle = False
        """Whether the machine has been off for the on-delay, and has not run since."""
        self.run_end: int | None = None
        """Sample index of the newest running window."""
        self._rate_hz = rate_hz
        self._longest_pause = round(LONGEST_PAUSE_S * rate_hz)
        self.replace_rule(rule)
        self._above_alarm, self._above_warning, self._below_warning = Timer(), Timer(), Timer()
        self._worse = Timer()
        self._idle_time, self._quiet_time = Timer(), Timer()
        self._idle_samples = 0

    def replace_rule(self, rule: AlarmRule) -> None:
        """Take the delays of another rule from the next window on."""
        self._on_delay = round(rule.on_delay_s * self._rate_hz)
        self._off_delay = round(rule.off_delay_s * self._rate_hz)

    @property
    def quiet(self) -> bool:
        """Whether the sound has been far quieter than ever in training for the on-delay."""
        return self._quiet_time.reached(self._on_delay, at=self.newest)

    def begins_run(self, at: int) -> bool:
        """Return whether a running window at this sample index begins a new run."""
        return self.run_end is not None and at - self.run_end > self._longest_pause

    def note_quiet(self, at: int, *, quiet: bool) -> None:
        """Note whether a window is far quieter than ever in training."""
        self._quiet_time.update(holds=quiet, at=at)

    def run(
        self, at: int, *, above_alarm: bool, above_warning: bool, below_warning: bool, worse: bool
    ) -> None:
        """Advance by a window of the running machine.

        ``worse`` is whether the sound is worse than at the acknowledgement.
        """
        self.is_idle = False
        self._idle_time.update(holds=False, at=at)
        self.newest = at
        running = self._running
        self._above_alarm.update(holds=above_alarm, at=running)
        self._above_warning.update(holds=above_warning, at=running)
        self._below_warning.update(holds=below_warning, at=running)
        self._worse.update(holds=worse, at=running)

    def pause(self, at: int) -> None:
        """Advance by an idle window."""
        self.suspend(at)
        self._idle_time.update(holds=True, at=at)
        self.is_idle = self.is_idle or self._idle_time.reached(self._on_delay, at=at)

    def suspend(self, at: int) -> None:
        """Advance by sound that is not evaluated: the delays do not go on."""
        self._idle_samples += at - self.newest
        self.newest = at

    def end_idle_time(self) -> None:
        """Note that it is not known whether the machine is idle or quiet."""
        self._idle_time.reset()
        self._quiet_time.reset()

    def restart(self) -> None:
        """Restart all delays."""
        for timer in (self._above_alarm, self._above_warning, self._below_warning, self._worse):
            timer.reset()
        self.end_idle_time()

    @property
    def is_alarm_due(self) -> bool:
        """Whether the score was at or above the alarm threshold for the on-delay."""
        return self._above_alarm.reached(self._on_delay, at=self._running)

    @property
    def is_warning_due(self) -> bool:
        """Whether the score was at or above the warning threshold for the on-delay."""
        return self._above_warning.reached(self._on_delay, at=self._running)

    @property
    def is_re_alarm_due(self) -> bool:
        """Whether the sound was worse than at the acknowledgement for the on-delay."""
        return self._worse.reached(self._on_delay, at=self._running)

    @property
    def has_returned(self) -> bool:
        """Whether the score was below the warning threshold for the off-delay."""
        return self._below_warning.reached(self._off_delay, at=self._running)

    @property
    def _running(self) -> int:
        return self.newest - self._idle_samples
