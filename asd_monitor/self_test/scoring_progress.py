"""Whether a machine's windows are scored while its sound is captured."""

from __future__ import annotations

from asd_monitor.self_test.checks import STALLED_S


class ScoringProgress:
    """Sound that was captured since the newest window of one machine."""

    def __init__(self) -> None:
        self.stalled_s = 0.0
        """Sound that was captured since a window was scored, in s."""
        self._windows: int | None = None
        self._openings = 0
        self._captured_s = 0.0  # when the newest window was observed

    @property
    def has_stopped(self) -> bool:
        """Whether scoring has stopped."""
        return self.stalled_s >= STALLED_S

    def observe(self, captured_s: float, windows: int, *, openings: int, expected: bool) -> None:
        """Take note of what has been captured and scored.

        Args:
            captured_s: captured sound without what was lost, in s.
            windows: windows that were scored.
            openings: how often the device was opened: sound before an outage may be too short for
                a window.
            expected: whether windows are scored now: a machine that is off has none.

        """
        is_other_stream = captured_s < self._captured_s or openings != self._openings
        if windows != self._windows or is_other_stream or not expected:
            self._windows, self._captured_s = windows, captured_s
            self._openings = openings
        self.stalled_s = captured_s - self._captured_s
