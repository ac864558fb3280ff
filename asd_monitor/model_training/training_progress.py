"""Progress of a long calculation, reported to a callback."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float], None]
"""Called with the name of the current step and the share of it that is done, 0 … 1."""


def no_progress(step: str, share: float) -> None:
    """Ignore the report."""
