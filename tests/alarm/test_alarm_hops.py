"""The hop changes when an alarm is raised and cleared by one longer hop at most.

Where the delays are not whole hops, by less than two: a delay begins and ends with a window.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.alarm.state import ACTIVE, AlarmCondition, AlarmRule, TransitionKind
from asd_monitor.alarm.state_machine import AlarmStateMachine
from asd_monitor.records import Thresholds

RATE_HZ = 100
RULE = AlarmRule(Thresholds(4.0, 6.0), hop_s=0.5, on_delay_s=3.0, off_delay_s=10.0, latch=False)

Stretches = st.lists(
    st.tuples(st.sampled_from([0.5, 5.0, 8.0]), st.integers(20, 60)), min_size=1, max_size=6
)


def changes_s(stretches: list[tuple[float, int]], hop_s: float) -> list[tuple[float, bool]]:
    """Return when the alarm was raised and cleared, in s, for a score that is held in stretches."""
    machine = AlarmStateMachine(replace(RULE, hop_s=hop_s), RATE_HZ)
    levels = [score for score, seconds in stretches for _ in range(seconds)]
    found = []
    for step in range(1, round(len(levels) / hop_s) + 1):
        end_s = step * hop_s
        score = levels[min(len(levels) - 1, int(end_s - 1e-9))]
        for change in machine.observe(round(end_s * RATE_HZ), score):
            if change.kind is TransitionKind.ALARM:
                active = AlarmCondition(change.after) in ACTIVE
                found.append((change.sample / RATE_HZ, active))
    return found


@given(stretches=Stretches, longer_s=st.sampled_from([1.0, 2.0]))
def test_a_score_that_is_resampled_raises_and_clears_within_a_hop(
    stretches: list[tuple[float, int]], longer_s: float
) -> None:
    end_s = sum(seconds for _, seconds in stretches)
    fine = [each for each in changes_s(stretches, 0.5) if each[0] <= end_s - longer_s]
    coarse = changes_s(stretches, longer_s)
    assert [active for _, active in fine] == [active for _, active in coarse][: len(fine)]
    for (at_s, _), (coarse_s, _) in zip(fine, coarse, strict=False):
        whole_hops = longer_s == 1.0
        assert abs(coarse_s - at_s) <= longer_s * (1 if whole_hops else 2)
