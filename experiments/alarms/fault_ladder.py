"""The steps by which a fault grows, and their names."""

from __future__ import annotations

from asd_monitor.synthesis.added_faults import SEVERITIES_DB, FaultKind

LADDER_DB = {
    FaultKind.TONE: (0.0, *SEVERITIES_DB[FaultKind.TONE]),
    FaultKind.IMPACTS: (-24.0, *SEVERITIES_DB[FaultKind.IMPACTS]),
}
"""Severities in ascending order; the lowest one is none that is to be found."""


def fault_name(kind: FaultKind, severity_db: float) -> str:
    """Return the name of a fault of this severity: ``tone6``, ``impacts-9``."""
    return f"{kind}{severity_db:g}"
