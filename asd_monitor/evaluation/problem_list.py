"""Several problems in one error message."""

from __future__ import annotations

from collections.abc import Sequence

_LISTED = 5


def join_problems(problems: Sequence[str]) -> str:
    """Return the first problems, and the number of the others."""
    more = len(problems) - _LISTED
    return "; ".join(problems[:_LISTED]) + (f"; and {more} more" if more > 0 else "")
