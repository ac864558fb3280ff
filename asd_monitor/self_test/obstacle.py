"""What prevents a self-test, or one of its checks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a check cannot be made now."""

    reason: str  # one sentence
    remedy: str  # what has to happen before it can be made
