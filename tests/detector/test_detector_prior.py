"""The prior of the variation between hours, and the predictive distribution it gives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.detector.prior import (
    FUSED_PRIOR,
    PRIOR_DOF,
    SHIFT_OF_OTHER_VIEW,
    WEEK_DAYS,
    WEEK_SHARE,
    HourPrior,
    view_prior,
)
from asd_monitor.detector.views import VIEW_KINDS

spreads = st.floats(0.02, 50)
counts = st.integers(1, 10_000)


@given(st.floats(0.01, 10), counts)
def test_the_shift_falls_with_the_hours_of_the_training_sound(shift: float, hours: int) -> None:
    prior = HourPrior(shift)
    assert prior.after(0, WEEK_DAYS) == prior.after(1, WEEK_DAYS) == shift
    assert 0 < prior.after(hours + 1, WEEK_DAYS) < prior.after(hours, WEEK_DAYS)


@given(st.floats(0.01, 10), counts)
def test_a_part_of_the_shift_remains_until_the_sound_covers_a_week(
    shift: float, hours: int
) -> None:
    prior = HourPrior(shift)
    shifts = [prior.after(hours, days) for days in (1, WEEK_DAYS - 1, WEEK_DAYS, WEEK_DAYS + 1)]
    assert shifts[0] == shifts[1] >= WEEK_SHARE * shift
    assert shifts[2] == shifts[3] < shifts[1]


@given(spreads, counts, counts)
def test_the_scale_contains_the_spread_and_the_shift(
    spread: float, hours: int, blocks: int
) -> None:
    scale, _ = FUSED_PRIOR.predictive(spread, hours=hours, days=7, blocks=blocks)
    assert scale**2 > spread**2 + FUSED_PRIOR.after(hours, 7) ** 2
    fewer, _ = FUSED_PRIOR.predictive(spread, hours=hours, days=7, blocks=max(1, blocks // 2))
    assert fewer >= scale


@given(spreads, counts, counts)
def test_the_degrees_of_freedom_lie_between_those_of_the_variances(
    spread: float, hours: int, blocks: int
) -> None:
    _, dof = FUSED_PRIOR.predictive(spread, hours=hours, days=1, blocks=blocks)
    of_blocks = max(1, blocks - 1)
    assert min(of_blocks, PRIOR_DOF) <= dof * (1 + 1e-9)
    assert dof <= (of_blocks + PRIOR_DOF) * (1 + 1e-9)


@pytest.mark.parametrize("blocks", [3, 30, 300])
def test_the_degrees_of_freedom_follow_the_variance_that_dominates(blocks: int) -> None:
    _, of_spread = HourPrior(1e-3).predictive(1.0, hours=1, days=1, blocks=blocks)
    assert of_spread == pytest.approx(blocks - 1, rel=0.01)
    _, of_prior = HourPrior(1.0).predictive(1e-3, hours=1, days=1, blocks=blocks)
    assert of_prior == pytest.approx(PRIOR_DOF, rel=0.01)


def test_each_view_of_the_statistics_has_its_own_prior() -> None:
    shifts = {kind.name: view_prior(kind.name).shift for kind in VIEW_KINDS}
    assert min(shifts.values()) > 0
    assert shifts["level"] > shifts["rhythm"], "the hall changes the level more than the rhythm"
    assert view_prior("of a network of the user's").shift == SHIFT_OF_OTHER_VIEW
