"""Figures of merit of anomaly scores: ROC, AUC, partial AUC."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MAX_FALSE_POSITIVES = 0.1  # of the partial AUC in the DCASE challenge


def auc(anomalous: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Return the area under the receiver operating characteristic; ties count half.

    Args:
        anomalous: labels, (n,), true for anomalies.
        scores: anomaly scores, (n,), high is anomalous.

    Raises:
        ValueError: one of the two classes is missing, or a score is not finite.

    """
    false, true = roc(anomalous, scores)
    return float(np.trapezoid(true, false))


def partial_auc(
    anomalous: npt.ArrayLike, scores: npt.ArrayLike, max_false: float = MAX_FALSE_POSITIVES
) -> float:
    """Return the standardised partial AUC: 0.5 for random scores, 1 for perfect ones.

    D. K. McClish, "Analyzing a portion of the ROC curve", Medical Decision Making 9 (1989);
    as ``sklearn.metrics.roc_auc_score(max_fpr=…)``.

    Args:
        anomalous: as for `auc`.
        scores: as for `auc`.
        max_false: upper limit of the false-positive rate, 0 < ``max_false`` < 1.

    Raises:
        ValueError: as `auc`.

    """
    false, true = roc(anomalous, scores)
    within = int(np.searchsorted(false, max_false, side="right"))
    at_limit = np.interp(max_false, false, true)
    area = np.trapezoid(np.append(true[:within], at_limit), np.append(false[:within], max_false))
    least, most = max_false**2 / 2, max_false
    return float(0.5 * (1.0 + (area - least) / (most - least)))


def roc(anomalous: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return the false-positive and true-positive rates, (k,) each, from (0, 0) to (1, 1).

    The arguments and exceptions are those of `auc`.
    """
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
    """Return the harmonic mean; values are limited to at least the float64 epsilon (2.2e-16)."""
    limited = np.maximum(np.asarray(values, np.float64), np.finfo(np.float64).eps)
    return float(len(limited) / np.sum(1.0 / limited))
