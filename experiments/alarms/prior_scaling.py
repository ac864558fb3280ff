"""The prior of the variation between hours, halved or doubled for a comparison."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from asd_monitor.detector.prior import FUSED_PRIOR, SHIFT_BY_VIEW


@contextmanager
def scaled_prior(factor: float) -> Iterator[None]:
    """Multiply the shifts of the prior by a factor, in this process, until the context ends."""
    views, fused = dict(SHIFT_BY_VIEW), FUSED_PRIOR.shift
    try:
        SHIFT_BY_VIEW.update({name: factor * shift for name, shift in views.items()})
        object.__setattr__(FUSED_PRIOR, "shift", factor * fused)  # the instance is used elsewhere
        yield
    finally:
        SHIFT_BY_VIEW.update(views)
        object.__setattr__(FUSED_PRIOR, "shift", fused)
