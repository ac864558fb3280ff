"""The report of a training: one page that needs nothing but itself."""

from __future__ import annotations

from datetime import datetime
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asd_monitor.training.fit import Learned


def report_html(learned: Learned, version: str, now: datetime) -> str:
    """Return the page."""
    lines = "".join(f"<li>{escape(line)}</li>" for line in learned.warnings)
    return (
        "<!doctype html><meta charset=utf-8>"
        f"<title>{escape(learned.machine)} {version}</title>"
        f"<h1>{escape(learned.machine)} {version}</h1><p>{now:%Y-%m-%d %H:%M} UTC<ul>{lines}</ul>"
    )
