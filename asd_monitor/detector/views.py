"""Views: a feature of the window, a back end, and the calibration of its distances.

The features are the window statistics and the pooled outputs of encoders.  Each view is
calibrated by its own held-out distances of the training windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asd_monitor.detector.back_end import BackEnd, Floats, Vectors
from asd_monitor.detector.calibration import ViewCalibration
from asd_monitor.detector.estimators import (
    BACK_ENDS,
    KernelDensity,
    LocalDensityKNN,
    Mahalanobis,
    PCAReconstructionError,
    TopKRobustZ,
)
from asd_monitor.detector.spans import Spans
from asd_monitor.encoders.card import Card
from asd_monitor.features.windows import Window


@dataclass(frozen=True, slots=True)
class ViewKind:
    """A view before it is fitted."""

    name: str
    feature: str  # key in `Window.features`
    back_end: type[BackEnd]
    description: str  # of the changes that it responds to, for reports
    encoder: str | None = None  # name of the encoder; None: a window statistic

    def fit(self, reference: Vectors, spans: Spans) -> BackEnd:
        """Return the back end fitted to the training vectors (n, d) at these positions."""
        return self.back_end.fit(reference, spans)


VIEW_KINDS = (
    ViewKind(
        "level", "level", KernelDensity, "level above or below that of the training recordings"
    ),
    ViewKind("spectrum", "spectrum", Mahalanobis, "changed spectral envelope"),
    ViewKind("tone", "tone", PCAReconstructionError, "new, missing or shifted tonal component"),
    ViewKind("texture", "texture", LocalDensityKNN, "changed roughness or sparseness"),
    ViewKind("rhythm", "rhythm", Mahalanobis, "changed modulation or impact rate"),
    ViewKind("pattern", "pattern", PCAReconstructionError, "new local spectro-temporal patterns"),
    ViewKind("change", "change", TopKRobustZ, "bands that fluctuate more or less over time"),
    ViewKind("peaks", "peaks", Mahalanobis, "changed maximum spectrum, as by an impact"),
    ViewKind("spread", "spread", Mahalanobis, "bands that vary more or less within the window"),
)


def encoder_views(card: Card) -> tuple[ViewKind, ...]:
    """Return the views that the card of an encoder defines."""
    return tuple(
        ViewKind(
            view.name,
            view.name,
            BACK_ENDS[view.back_end],
            f"deviation in the outputs of the network {card.name}",
            encoder=card.name,
        )
        for view in card.resolved_views
    )


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A fitted and calibrated view."""

    kind: ViewKind
    back_end: BackEnd
    calibration: ViewCalibration

    def score(self, windows: Sequence[Window]) -> Floats:
        """Return the deviations (n,) of n windows."""
        distances = self.back_end.score(vectors_of(windows, self.kind.feature))
        return self.calibration.deviation(distances)


def vectors_of(windows: Sequence[Window], feature: str) -> Vectors:
    """Return the vectors (n, d) of a feature of n windows."""
    return np.stack([window.features[feature] for window in windows])
