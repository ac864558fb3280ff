"""The views: ways of looking at a window, each one thing that a person could name.

A view is a feature of the window and a back end that knows the normals' vectors of it.
The feature is one of the statistics, or what an encoder makes of the window.
Its raw score is calibrated by the tail of its own scores on held-out normals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asd_monitor.detector.calibration import ParetoTail
from asd_monitor.detector.estimators import (
    BACK_ENDS,
    BackEnd,
    Floats,
    KernelDensity,
    LocalDensityKNN,
    Mahalanobis,
    PCAReconstructionError,
    TopKRobustZ,
    Vectors,
)
from asd_monitor.detector.spans import Spans
from asd_monitor.encoders.card import Card
from asd_monitor.features.windows import Window

TAIL_SHAPE = 0.4


@dataclass(frozen=True, slots=True)
class ViewKind:
    """What a view looks at, and how it says that something is new there.

    The shape of its tail is heavy, since minutes of normals show little of how days differ.
    Level is in decibels, where half a decibel is the least scale: that is caution enough.
    """

    name: str
    feature: str
    back_end: type[BackEnd]
    hears: str  # for reports
    least_scale: float = 0.0  # of the tail, in units of the raw score: fewer cannot be learned
    tail_shape: float = TAIL_SHAPE
    encoder: str | None = None  # name of the network that it comes from; None: a statistic

    def fit(self, reference: Vectors, spans: Spans) -> BackEnd:
        """Fit the back end to the normals' vectors (n, d)."""
        return self.back_end.fit(reference, spans)

    def calibrated(self, held_out: Floats) -> ParetoTail:
        """Return the tail of raw scores of normals (n,) by what had not heard them."""
        return ParetoTail.fit_scale(held_out, self.tail_shape, self.least_scale)


VIEW_KINDS = (
    ViewKind(
        "level",
        "level",
        KernelDensity,
        "louder or quieter than ever",
        least_scale=0.5,
        tail_shape=0.0,
    ),
    ViewKind("spectrum", "spectrum", Mahalanobis, "another colour of the sound"),
    ViewKind("tone", "tone", PCAReconstructionError, "a tonal line that came, went or moved"),
    ViewKind("texture", "texture", LocalDensityKNN, "another roughness or sparseness of the sound"),
    ViewKind("rhythm", "rhythm", Mahalanobis, "another beat, knock or modulation"),
    ViewKind(
        "pattern", "pattern", PCAReconstructionError, "unknown local shapes in the spectrogram"
    ),
    ViewKind("change", "change", TopKRobustZ, "bands that flutter more or less than before"),
    ViewKind("peaks", "peaks", Mahalanobis, "an unknown loudest spectrum, such as a click's"),
    ViewKind("spread", "spread", Mahalanobis, "bands that vary more or less within the window"),
)


def encoder_views(card: Card) -> tuple[ViewKind, ...]:
    """Return the views of a network, as its card asks for them."""
    return tuple(
        ViewKind(
            view.name,
            view.name,
            BACK_ENDS[view.back_end],
            f"sounds that are new to the network {card.name}",
            encoder=card.name,
        )
        for view in card.resolved_views
    )


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A fitted and calibrated view."""

    kind: ViewKind
    back_end: BackEnd
    tail: ParetoTail

    def score(self, windows: Sequence[Window]) -> Floats:
        """Return −log10 of the tail probability (n,) of each window, 0 … 12."""
        return self.tail.score(self.back_end.score(vectors_of(windows, self.kind.feature)))


def vectors_of(windows: Sequence[Window], feature: str) -> Vectors:
    """Return the windows' vectors of a feature (n, d)."""
    return np.stack([window.features[feature] for window in windows])
