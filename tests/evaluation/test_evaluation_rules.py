"""The figures of each year: small cases by hand, all others against scikit-learn."""

from statistics import harmonic_mean as plain_harmonic_mean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

from asd_monitor.evaluation.clip_names import Domain
from asd_monitor.evaluation.dcase_rules import (
    Decisions,
    Figures,
    decision_file,
    decisions_of,
    figures_of,
    of_all,
    of_type,
    score_file,
)
from asd_monitor.evaluation.dcase_years import Rules
from asd_monitor.metrics import harmonic_mean

S, T = Domain.SOURCE, Domain.TARGET

# two normal clips and an anomalous one in each domain; all of the target score higher
DOMAINS = [S, S, S, T, T, T]
LABELS = [False, False, True, False, False, True]
SCORES = [0.1, 0.2, 0.3, 0.8, 0.9, 1.0]


def test_a_domain_shift_lowers_the_figures_from_2022_on() -> None:
    # within each domain, the ranking is perfect
    found = figures_of(Rules.Y2021, LABELS, DOMAINS, SCORES)
    assert (found.auc_source, found.auc_target, found.official) == pytest.approx((1, 1, 1))
    # the anomaly of the source ranks below both normal clips of the target: 2 of 4 pairs
    found = figures_of(Rules.Y2022, LABELS, DOMAINS, SCORES)
    assert (found.auc_source, found.auc_target) == pytest.approx((1.0, 0.5))
    # pAUC of both domains: one of two anomalies ranks above all normal clips, so that the
    # curve is at 1/2: A = 0.05, ½(1 + (0.05 − 0.005) / 0.095)
    assert found.pauc == pytest.approx(0.5 * (1 + 0.045 / 0.095))
    assert found.official == pytest.approx(3 / (1 / 1.0 + 1 / 0.5 + 1 / found.pauc))
    assert found.auc == pytest.approx(2 / (1 / 1.0 + 1 / 0.5))


cells = st.tuples(st.booleans(), st.sampled_from(list(Domain)), st.integers(-5, 5))
every_cell = [(label, domain, 0) for label in (False, True) for domain in Domain]


@settings(max_examples=40)  # scikit-learn is slow
@given(st.lists(cells, max_size=40).map(lambda rows: rows + every_cell))
def test_figures_equal_those_of_scikit_learn(rows: list[tuple[bool, Domain, int]]) -> None:
    labels, domains, scores = map(np.array, zip(*rows, strict=True))
    known = labels.tolist(), [Domain(str(d)) for d in domains], scores.tolist()
    found = figures_of(Rules.Y2020, *known)
    assert found.auc == pytest.approx(roc_auc_score(labels, scores))
    assert found.pauc == pytest.approx(roc_auc_score(labels, scores, max_fpr=0.1))
    assert found.official is None

    found = figures_of(Rules.Y2021, *known)
    expected = [
        roc_auc_score(labels[domains == d], scores[domains == d], max_fpr=limit)
        for limit in (None, 0.1)
        for d in Domain
    ]
    measured = [found.auc_source, found.auc_target, found.pauc_source, found.pauc_target]
    assert measured == pytest.approx(expected)
    assert found.official == pytest.approx(harmonic_mean(expected))

    expected = [
        roc_auc_score(labels[(domains == d) | labels], scores[(domains == d) | labels])
        for d in Domain
    ]
    expected.append(roc_auc_score(labels, scores, max_fpr=0.1))
    for rules in (Rules.Y2022, Rules.Y2023, Rules.Y2024, Rules.Y2025, Rules.Y2026):
        found = figures_of(rules, *known)
        assert [found.auc_source, found.auc_target, found.pauc] == pytest.approx(expected)
        assert found.official == pytest.approx(harmonic_mean(expected))


def test_one_machine_with_an_auc_of_0_makes_the_official_score_0() -> None:
    inverted = figures_of(Rules.Y2022, LABELS, DOMAINS, [-score for score in SCORES])
    assert inverted.auc_source == 0
    assert inverted.official == pytest.approx(0, abs=1e-15)
    perfect = figures_of(Rules.Y2022, LABELS, DOMAINS, [float(label) for label in LABELS])
    assert perfect.official == pytest.approx(1)
    both = of_all(Rules.Y2022, {"fan": [perfect], "pump": [inverted]})
    assert both.official is not None
    assert 0 < both.official < 1e-14


def _figures(*cells: float) -> Figures:
    source, target, part = cells
    both = plain_harmonic_mean([source, target])
    official = plain_harmonic_mean(cells)
    return Figures(both, part, auc_source=source, auc_target=target, official=official)


def test_means_of_2020_are_over_ids_and_then_types() -> None:
    fan = [Figures(0.6, 0.5), Figures(0.8, 0.7), Figures(1.0, 0.9)]
    pump = [Figures(0.5, 0.5)]
    assert of_type(Rules.Y2020, fan).to_json() == pytest.approx({"auc": 0.8, "pauc": 0.7})
    mean = of_all(Rules.Y2020, {"fan": fan, "pump": pump})
    assert mean.to_json() == pytest.approx({"auc": 0.65, "pauc": 0.6})


def test_the_official_score_is_over_all_cells_at_once() -> None:
    fan = [_figures(0.9, 0.6, 0.55), _figures(0.8, 0.5, 0.52)]
    pump = [_figures(0.7, 0.4, 0.51)]
    cells = [0.9, 0.6, 0.55, 0.8, 0.5, 0.52, 0.7, 0.4, 0.51]
    mean = of_all(Rules.Y2023, {"fan": fan, "pump": pump})
    assert mean.official == pytest.approx(plain_harmonic_mean(cells))
    assert mean.auc_source == pytest.approx(plain_harmonic_mean([0.9, 0.8, 0.7]))
    assert mean.pauc == pytest.approx(plain_harmonic_mean([0.55, 0.52, 0.51]))
    assert of_type(Rules.Y2023, fan).official == pytest.approx(plain_harmonic_mean(cells[:6]))


@given(st.lists(st.floats(1e-3, 1), min_size=1, max_size=9))
def test_harmonic_mean(values: list[float]) -> None:
    assert harmonic_mean(values) == pytest.approx(plain_harmonic_mean(values))
    assert harmonic_mean([*values, 0.0]) == pytest.approx(
        (len(values) + 1) * np.finfo(float).eps, rel=1e-6
    )


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=20))
def test_decisions_equal_those_of_scikit_learn(rows: list[tuple[bool, bool]]) -> None:
    labels, decided = zip(*rows, strict=True)
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, decided, average="binary", zero_division=0
    )
    found = decisions_of(labels, decided)
    assert (found.precision, found.recall, found.f1) == pytest.approx((precision, recall, f1))


def test_decisions_without_a_positive_are_0() -> None:
    assert decisions_of([True, False], [False, False]) == Decisions(0.0, 0.0, 0.0)


def test_files_are_named_as_the_evaluators_expect() -> None:
    assert score_file("fan", "id_00", Rules.Y2020) == "anomaly_score_fan_id_00.csv"
    assert (
        score_file("fan", "section_00", Rules.Y2021, T)
        == "anomaly_score_fan_section_00_target_test.csv"
    )
    assert (
        score_file("ToyCar", "section_03", Rules.Y2022)
        == "anomaly_score_ToyCar_section_03_test.csv"
    )
    assert (
        decision_file("ToyCar", "section_00", Rules.Y2024)
        == "decision_result_ToyCar_section_00_test.csv"
    )
