"""How detection grows with severity, as the scripts tell it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.metrics import auc
from experiments.fault_curves import BIN, Step, beaten, reached_at, severity_curve

SCORES = st.lists(st.integers(0, 5).map(float), min_size=1, max_size=20)
AREAS = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8)


def curve_of(*areas: float) -> list[Step]:
    """Steps at the severities 0.1, 0.2, …"""
    return [Step(0.1 * k, 0.1 * (k + 1), area, 1) for k, area in enumerate(areas)]


@given(SCORES, SCORES)
def test_the_mean_share_that_anomalies_beat_is_their_auc(
    reference: list[float], anomalies: list[float]
) -> None:
    labels = [False] * len(reference) + [True] * len(anomalies)
    shares = [beaten(score, reference) for score in anomalies]
    assert np.mean(shares) == pytest.approx(auc(labels, reference + anomalies))


def test_severities_are_gathered_in_tenths_from_mild_to_gross() -> None:
    curve = severity_curve([0.70, 0.30, 0.15, 0.39, 0.30], [1.0, 0.6, 0.5, 0.9, 0.9])
    assert [(round(step.low, 1), step.clips) for step in curve] == [(0.1, 1), (0.3, 3), (0.7, 1)]
    assert [step.severity for step in curve] == pytest.approx([0.15, 0.33, 0.70])
    assert [step.area for step in curve] == pytest.approx([0.5, 0.8, 1.0])


@given(st.lists(st.integers(0, 100), min_size=1, max_size=40))
def test_each_severity_lies_in_its_range(hundredths: list[int]) -> None:
    curve = severity_curve([n / 100 for n in hundredths], [0.5] * len(hundredths))
    assert sum(step.clips for step in curve) == len(hundredths)
    for step in curve:
        inside = [
            n
            for n in hundredths
            if 10 * round(step.low / BIN) <= n < 10 * round(step.low / BIN) + 10
        ]
        assert step.clips == len(inside)
        assert step.severity == pytest.approx(np.mean(inside) / 100)


def test_the_severity_that_suffices_lies_between_two_steps() -> None:
    assert reached_at(curve_of(0.5, 0.8, 1.0), 0.9) == pytest.approx(0.25)
    assert reached_at(curve_of(0.5, 0.9, 1.0), 0.9) == pytest.approx(0.2)


def test_a_lucky_step_below_a_dip_does_not_count() -> None:
    assert reached_at(curve_of(0.5, 1.0, 0.8, 1.0), 0.9) == pytest.approx(0.35)


def test_what_is_missed_at_the_grossest_is_not_reached() -> None:
    assert reached_at(curve_of(0.5, 0.95, 0.85), 0.9) is None
    assert reached_at([], 0.9) is None


def test_what_is_heard_at_the_mildest_is_bounded_by_that() -> None:
    assert reached_at(curve_of(0.95, 0.92), 0.9) == pytest.approx(0.1)


@given(AREAS, st.floats(0.01, 0.99))
def test_from_there_on_every_step_suffices(areas: list[float], wanted: float) -> None:
    curve = curve_of(*areas)
    severity = reached_at(curve, wanted)
    if severity is None:
        assert areas[-1] < wanted
    else:
        assert all(step.area >= wanted for step in curve if step.severity > severity + 1e-9)
