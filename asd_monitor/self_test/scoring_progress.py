"""Whether a machine's windows are scored while its sound is captured."""

from __future__ import annotations

from asd_monitor.self_test.checks import STALLED_S


class ScoringProgress:
    """Sound that was captured since the newest window of one machine."""

    def __init__(self) -> None:
        self.stalled_s = 0.0
        """Sound that was captured since a window was scored, in s."""
        self._windows: int | None = None
        self._captured_s = 0.0  # when the newest window was observed

    @property
    def has_stopped(self) -> bool:
        """Whether scoring has stopped."""
        return self.stalled_s >= STALLED_S

    def observe(self, captured_s: float, windows: int, *, expected: bool) -> None:
        """Take note of what has been captured and scored.

        Args:
            captured_s: end of the captured sound, in s of the stream.
            windows: windows that were scored.
            expected: whether windows are scored now: a machine that is off has none.

        """
        is_other_stream = captured_s < self._captured_s
        if windows != self._windows or is_other_stream or not expected:
            self._windows, self._captured_s = windows, captured_s
        self.stalled_s = captured_s - self._captured_s
