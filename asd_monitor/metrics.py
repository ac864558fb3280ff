"""How well scores tell anomalous clips from normal ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MAX_FALSE_POSITIVES = 0.1  # of the partial area, by the challenge's rules


def auc(anomalous: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Return the area under the receiver operating characteristic (ties count half).

    ``anomalous`` (n,) are labels, ``scores`` (n,) are high for anomalies.  Raises ValueError
    where one of the two classes is missing or a score is not a number.
    """
    false, true = roc(anomalous, scores)
    return float(np.trapezoid(true, false))


def partial_auc(
    anomalous: npt.ArrayLike, scores: npt.ArrayLike, max_false: float = MAX_FALSE_POSITIVES
) -> float:
    """Return the area up to a rate of false positives, standardised: 0.5 is chance, 1 perfect.

    D. K. McClish, "Analyzing a portion of the ROC curve", Medical Decision Making 9 (1989);
    what scikit-learn's ``roc_auc_score(max_fpr=…)`` gives.  Raises ValueError as `auc`.
    """
    false, true = roc(anomalous, scores)
    within = int(np.searchsorted(false, max_false, side="right"))
    at_limit = np.interp(max_false, false, true)
    area = np.trapezoid(np.append(true[:within], at_limit), np.append(false[:within], max_false))
    least, most = max_false**2 / 2, max_false
    return float(0.5 * (1.0 + (area - least) / (most - least)))


def roc(anomalous: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return the rates of false and of true positives, from (0, 0) to (1, 1)."""
    positive = np.asarray(anomalous, bool)
    values = np.asarray(scores, np.float64)
    if not np.isfinite(values).all():
        raise ValueError("a score is not a number")
    if positive.all() or not positive.any():
        raise ValueError("both normal and anomalous clips are needed")
    order = np.argsort(-values, kind="stable")
    last_of_equal = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)
    true = np.cumsum(positive[order])[last_of_equal]
    false = last_of_equal + 1 - true
    return (
        np.concatenate(([0.0], false / false[-1])),
        np.concatenate(([0.0], true / true[-1])),
    )


def harmonic_mean(values: Sequence[float]) -> float:
    """Return the harmonic mean, each value clamped to the smallest step of a double (2.2e-16)."""
    clamped = np.maximum(np.asarray(values, np.float64), np.finfo(np.float64).eps)
    return float(len(clamped) / np.sum(1.0 / clamped))
