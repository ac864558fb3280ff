"""AUC and partial AUC equal those of scikit-learn, ties included."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from asd_monitor.metrics import auc, partial_auc

cases = st.lists(
    st.tuples(st.booleans(), st.integers(-5, 5) | st.floats(-5, 5)), min_size=2, max_size=60
).filter(lambda rows: len({label for label, _ in rows}) == 2)


@given(cases)
def test_auc_and_partial_auc_equal_those_of_scikit_learn(rows: list[tuple[bool, float]]) -> None:
    labels, scores = zip(*rows, strict=True)
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    expected = roc_auc_score(labels, scores, max_fpr=0.1)
    assert partial_auc(labels, scores) == pytest.approx(expected, abs=1e-12)


@given(cases, st.floats(0.01, 0.99))
def test_partial_auc_up_to_any_rate_equals_that_of_scikit_learn(
    rows: list[tuple[bool, float]], max_false: float
) -> None:
    labels, scores = zip(*rows, strict=True)
    expected = roc_auc_score(labels, scores, max_fpr=max_false)
    assert partial_auc(labels, scores, max_false) == pytest.approx(expected, abs=1e-9)


def test_perfect_inverted_and_constant_scores() -> None:
    labels = [False] * 10 + [True] * 10
    assert (auc(labels, range(20)), partial_auc(labels, range(20))) == pytest.approx((1, 1))
    assert auc(labels, range(20, 0, -1)) == 0
    assert (auc(labels, [1] * 20), partial_auc(labels, [1] * 20)) == pytest.approx((0.5, 0.5))


def test_a_missing_class_and_nan_are_refused() -> None:
    for measure in (auc, partial_auc):
        with pytest.raises(ValueError, match="both"):
            measure([True, True], [1.0, 2.0])
        with pytest.raises(ValueError, match="not a number"):
            measure([True, False], [1.0, np.nan])
