"""What a self-test is compared with: the levels at training, in the manifest of a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asd_monitor.self_test.detected_levels import DetectedLevels

KEY = "self_test"
"""Key of the manifest; models of earlier versions have none."""


def manifest_entry(levels: DetectedLevels | None) -> dict[str, Any]:
    """Return the entry of the manifest for the levels at training; None: not measured."""
    return {"levels_db": None if levels is None else levels.to_json()}


def levels_at_training(manifest: Mapping[str, Any]) -> DetectedLevels | None:
    """Return the levels in a checked manifest; None: it has none."""
    levels_db = manifest.get(KEY, {}).get("levels_db")
    return None if levels_db is None else DetectedLevels.from_json(levels_db)
