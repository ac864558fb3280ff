"""Detection as a function of severity."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.metrics import auc
from experiments.fault_curves import BIN, SeverityBin, detected_from, rank_in, severity_curve

SCORES = st.lists(st.integers(0, 5).map(float), min_size=1, max_size=20)
AREAS = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8)


def curve_of(*areas: float) -> list[SeverityBin]:
    """A curve at the severities 0.1, 0.2, …"""
    return [SeverityBin(0.1 * k, 0.1 * (k + 1), area, 1) for k, area in enumerate(areas)]


@given(SCORES, SCORES)
def test_the_mean_rank_of_anomalies_is_their_auc(
    reference: list[float], anomalies: list[float]
) -> None:
    labels = [False] * len(reference) + [True] * len(anomalies)
    ranks = [rank_in(reference, score) for score in anomalies]
    assert np.mean(ranks) == pytest.approx(auc(labels, reference + anomalies))


def test_severities_are_binned_in_tenths_in_ascending_order() -> None:
    curve = severity_curve([0.70, 0.30, 0.15, 0.39, 0.30], [1.0, 0.6, 0.5, 0.9, 0.9])
    assert [(round(step.low, 1), step.clips) for step in curve] == [(0.1, 1), (0.3, 3), (0.7, 1)]
    assert [step.severity for step in curve] == pytest.approx([0.15, 0.33, 0.70])
    assert [step.auc for step in curve] == pytest.approx([0.5, 0.8, 1.0])


@given(st.lists(st.integers(0, 100), min_size=1, max_size=40))
def test_the_clips_and_severity_of_a_bin_are_those_within_it(hundredths: list[int]) -> None:
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


def test_the_curve_is_interpolated_between_bins() -> None:
    assert detected_from(curve_of(0.5, 0.8, 1.0), 0.9) == pytest.approx(0.25)
    assert detected_from(curve_of(0.5, 0.9, 1.0), 0.9) == pytest.approx(0.2)


def test_a_bin_above_the_limit_followed_by_one_below_does_not_count() -> None:
    assert detected_from(curve_of(0.5, 1.0, 0.8, 1.0), 0.9) == pytest.approx(0.35)


def test_none_if_the_severest_faults_are_below_the_limit() -> None:
    assert detected_from(curve_of(0.5, 0.95, 0.85), 0.9) is None
    assert detected_from([], 0.9) is None


def test_the_lowest_severity_if_all_are_above_the_limit() -> None:
    assert detected_from(curve_of(0.95, 0.92), 0.9) == pytest.approx(0.1)


@given(AREAS, st.floats(0.01, 0.99))
def test_from_the_severity_on_every_bin_is_at_the_limit_or_above(
    areas: list[float], wanted: float
) -> None:
    curve = curve_of(*areas)
    severity = detected_from(curve, wanted)
    if severity is None:
        assert areas[-1] < wanted
    else:
        assert all(step.auc >= wanted for step in curve if step.severity > severity + 1e-9)
