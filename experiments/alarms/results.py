"""The files of a measurement: JSON, tables in Markdown, a chart."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_results(
    folder: Path, name: str, figures: Mapping[str, Any], tables: str, charts: Mapping[str, str]
) -> None:
    """Write NAME.json, NAME.md and the charts by their names to a folder; print the tables."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(figures, indent=1) + "\n")
    (folder / f"{name}.md").write_text(tables)
    for chart, svg in charts.items():
        (folder / f"{chart}.svg").write_text(svg)
    sys.stdout.write(tables)


def share_text(values: list[bool]) -> str:
    """Return how many of the values are true: ``28 of 30 (93 %)``."""
    count = sum(values)
    return f"{count} of {len(values)} ({count / max(1, len(values)):.0%})".replace("%", " %")
