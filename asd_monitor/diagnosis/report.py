"""The findings as one JSON document; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from asd_monitor import __version__
from asd_monitor.diagnosis.findings import Finding, worst
from asd_monitor.wording import rfc3339

SCHEMA = "asd.doctor/1"


def report_of(findings: Sequence[Finding], now: datetime) -> dict[str, Any]:
    """Return the document; ``now`` is a time with time zone."""
    return {
        "schema": SCHEMA,
        "time": rfc3339(now),
        "version": __version__,
        "result": worst(findings),
        "findings": [asdict(each) for each in findings],
    }
