"""`asd-monitor alarms` on a state folder with two alarms, and a daemon that answers."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

from typer.testing import CliRunner, Result

from asd_monitor.alarm.state import Alarm, AlarmCondition, Transition, TransitionKind
from asd_monitor.cli.alarms import app
from asd_monitor.daemon.state_lock import StateLock
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.machine_requests import MachineRequests
from asd_monitor.journal.store import Journal

NOW = datetime(2026, 11, 23, 4, 45, 0, 512000, UTC)
FAN = "fan01-20261123T044500Z"
PUMP = "pump02-20261123T044500Z"


def write_alarms(state: Path) -> None:
    """Write a journal in which an alarm of fan01 and one of pump02 are active."""
    with Journal(state) as journal:
        for machine in ("fan01", "pump02"):
            alarm = Alarm(1, AlarmCondition.UNACKNOWLEDGED, 8.25, 3600.0)
            MachineJournal(journal, machine).record(
                Transition(
                    100,
                    TransitionKind.ALARM,
                    AlarmCondition.NORMAL,
                    alarm.condition,
                    "alarm score at least 6.71 for 3 s",
                    alarm=alarm,
                ),
                NOW,
                "20261122T101500Z",
            )


def run(state: Path, *arguments: str) -> Result:
    """Run a command of `alarms` on a state folder."""
    return CliRunner().invoke(app, [*arguments, "--state", str(state)])


def apply(state: Path, *machines: str) -> None:
    """Apply the requests as the next start of the daemon does."""
    with Journal(state) as journal:
        for machine in machines or ("fan01", "pump02"):
            MachineRequests(MachineJournal(journal, machine)).apply(None, datetime.now(UTC), None)


class AnsweringDaemon:
    """Holds the folder of a journal and applies requests in a thread, as a daemon does."""

    def __init__(self, state: Path) -> None:
        self._ended = threading.Event()
        self._lock = StateLock(state)
        self._thread = threading.Thread(target=self._run, args=(state,))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._lock.release()

    def _run(self, state: Path) -> None:
        with Journal(state) as journal:
            machines = [
                MachineRequests(MachineJournal(journal, name)) for name in ("fan01", "pump02")
            ]
            while not self._ended.wait(0.02):
                for each in machines:
                    each.apply(None, datetime.now(UTC), None)
