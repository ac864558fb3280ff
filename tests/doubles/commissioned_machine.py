"""The commissioning of the machine of a monitor session."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from asd_monitor.commissioning.schedule import Progress
from asd_monitor.commissioning.store import CommissioningStore
from tests.doubles.level_detector import StubBundle
from tests.doubles.monitored_machine import MonitoredMachine
from tests.doubles.waiting import until

NORMAL_LEVEL, ALARM_LEVEL = 0.05, 0.6
DAY_S = 86_400.0


def store_of(folder: Path) -> CommissioningStore:
    """Return what is stored of the machine."""
    return CommissioningStore(folder / "commissioning" / "fan")


def first_model(machine: MonitoredMachine) -> StubBundle:
    """Return its model, unless a test has put another one into use."""
    return machine.models.bundles["fan"]


async def begun(machine: MonitoredMachine) -> None:
    """Wait until the stored state has been read."""
    await machine.until_state("normal")
    await until(lambda: machine.session.status.commissioning is not None)


def begin_at(folder: Path, bundle: StubBundle, age_s: float, **changes: object) -> Progress:
    """Store the progress of an earlier run."""
    progress = Progress(bundle.sha256, "v1", 1.7e9, age_s)
    progress = replace(progress, **changes)  # type: ignore[arg-type]
    store_of(folder).begin(progress)
    return progress
