"""The first windows after idle ones: held back as long as one impact can explain them all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.alarm.logic import AlarmLogic
from tests.doubles.scripted_scorer import HOP, RATE_HZ, RULE, WINDOW, scored_window

OF_AN_IMPACT = round(RULE.window_s / RULE.hop_s) + 1  # windows that one impact can explain
FAULT = 9.0


class Player:
    """An alarm logic that is played windows one after the other, after one that was idle."""

    def __init__(self) -> None:
        self.logic = AlarmLogic(RULE, RATE_HZ)
        self._end = WINDOW
        self.logic.push(scored_window(self._end, FAULT, idle=True))

    def run(self, windows: int) -> list[float | None]:
        """Return the time scales of the alarm scores; None of a window that is held back."""
        scales = []
        for _ in range(windows):
            self._end += HOP
            scales.append(self.logic.push(scored_window(self._end, FAULT)).time_scale_s)
        return scales

    def suspend(self, samples: int) -> None:
        """Go on where the evaluation does: the next window begins after the suspended sound."""
        self._end += samples
        self.logic.suspend(self._end)
        self._end += WINDOW - HOP


@given(before=st.integers(0, OF_AN_IMPACT), suspended=st.integers(1, 100 * HOP))
def test_suspended_sound_does_not_count_towards_the_length_of_a_run(
    before: int, suspended: int
) -> None:
    player = Player()
    assert player.run(before) == [None] * before
    player.suspend(suspended)
    assert player.run(OF_AN_IMPACT) == [None] * OF_AN_IMPACT
    assert player.run(1) == [10.0]
