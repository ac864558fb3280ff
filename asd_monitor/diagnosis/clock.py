"""Checks of the system clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from asd_monitor.daemon.clock_check import ClockCheck, newest_time_s
from asd_monitor.daemon.stream_clock import clock_synced
from asd_monitor.diagnosis.findings import Area, Check, Finding
from asd_monitor.diagnosis.programs import output_of

FIRST_YEAR, LAST_YEAR = 2024, 2099
"""Years in which this version may run."""
_SYNCHRONISE = (
    "let the box reach a time server: `timedatectl set-ntp true`, or install chrony and name a "
    "server of the plant; without a network, fit a battery-backed clock"
)


@dataclass(frozen=True, slots=True)
class ClockFacts:
    """Readings of the clock."""

    wall_s: float  # Unix time
    is_synced: bool
    past_s: float  # Unix time that must be past
    ntp: bool | None  # whether a service sets the clock from the network; None: unknown


def read_clock(state: Path) -> ClockFacts:
    """Read the clock; the newest file of the state folder must be past."""
    shown = output_of(["timedatectl", "show", "--property=NTP", "--value"])
    ntp = None if shown is None else shown.strip() == "yes"
    return ClockFacts(time.time(), clock_synced(), newest_time_s(state), ntp)


def check_clock(facts: ClockFacts) -> Iterator[Finding]:
    """Yield the findings."""
    now = datetime.fromtimestamp(facts.wall_s, UTC)
    is_plausible = FIRST_YEAR <= now.year <= LAST_YEAR
    time_check = Check(Area.CLOCK, "time", "system clock")
    conditions = ClockCheck(facts.past_s).judge(
        wall_s=facts.wall_s, steady_s=0.0, is_synced=facts.is_synced
    )
    if not is_plausible:
        yield time_check.failed(f"the clock says {now:%Y-%m-%d}", _SYNCHRONISE)
    elif conditions:
        yield time_check.failed(conditions[0].text, conditions[0].remedy)
    else:
        yield time_check.ok(f"{now:%Y-%m-%d %H:%M} UTC")
    check = Check(Area.CLOCK, "synchronised", "system clock")
    if facts.is_synced:
        yield check.ok("synchronised with a reference")
    else:
        off = "; setting it from the network is switched off" if facts.ntp is False else ""
        yield check.warning(
            f"not synchronised with a reference, so the times of alarms may be wrong{off}",
            _SYNCHRONISE,
        )
