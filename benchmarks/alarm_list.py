"""How long `asd-monitor alarms` takes with many alarms in the journal and their evidence on disk.

    python -m benchmarks.alarm_list [--alarms N] [--days D] [--unacknowledged N] [--rounds R]
        [--state DIR]

Makes a state folder by the functions of the daemon, with five events and a package an alarm, and
runs the commands in turn, each in a process of its own, whose start is included.  Prints minimum
and median of wall and processor time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from asd_monitor.journal.commands import read_journal
from benchmarks.alarm_folder import AlarmHistory, make_folder
from benchmarks.measure import host_text, plain_environment
from experiments.markdown import table


@dataclass(frozen=True, slots=True)
class Spent:
    """What one run of a command took, in s."""

    wall_s: float
    cpu_s: float
    """User and system, of the process and its threads."""


def run_command(arguments: Sequence[str | Path]) -> Spent:
    """Run `asd-monitor` with these arguments; what it prints is discarded.

    Raises RuntimeError where it fails.
    """
    command = [sys.executable, "-m", "asd_monitor", *map(str, arguments)]
    began_s = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=plain_environment()
    ) as child:
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.perf_counter() - began_s
    if child.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit code {child.returncode}")
    return Spent(wall_s, used.ru_utime + used.ru_stime)


def measure(state: Path, alarm_id: str, rounds: int) -> list[tuple[str, list[Spent]]]:
    """Return what each command took in each round, after one that is not counted."""
    commands: dict[str, list[str]] = {
        "--version": ["--version"],
        "alarms list": ["alarms", "list"],
        "alarms list --json": ["alarms", "list", "--json"],
        "alarms list --all": ["alarms", "list", "--all"],
        "alarms list --all --json": ["alarms", "list", "--all", "--json"],
        "alarms show ID": ["alarms", "show", alarm_id],
        "alarms stats": ["alarms", "stats"],
        "alarms stats --days 365": ["alarms", "stats", "--days", "365"],
    }
    spent: dict[str, list[Spent]] = {name: [] for name in commands}
    for done in range(-1, rounds):
        for name, arguments in commands.items():
            folder = [] if name == "--version" else ["--state", str(state)]
            each = run_command([*arguments, *folder])
            if done >= 0:
                spent[name].append(each)
    return list(spent.items())


def main() -> None:
    """Make the folder, measure and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.alarm_list",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--alarms", type=int, default=10_000, metavar="N")
    parser.add_argument("--machines", type=int, default=10, metavar="N")
    parser.add_argument("--unacknowledged", type=int, default=200, metavar="N")
    parser.add_argument("--days", type=float, default=365.0, metavar="D")
    parser.add_argument("--rounds", type=int, default=7, metavar="R")
    parser.add_argument(
        "--state", type=Path, metavar="DIR", help="written where it is missing, and kept"
    )
    options = parser.parse_args()
    history = AlarmHistory(options.alarms, options.machines, options.unacknowledged, options.days)
    with tempfile.TemporaryDirectory() as name:
        state = options.state or Path(name) / "state"
        if not state.exists():
            sys.stderr.write(f"benchmarks: writes {history.alarms} alarms\n")
            make_folder(state, history, datetime.now(UTC))
        journal = read_journal(state)
        if journal is None:
            parser.error(f"{state}: no daemon has written alarms here")
        alarms = journal.alarms
        found = measure(state, alarms[len(alarms) // 2].id, options.rounds)
    rows = []
    for command, spent in found:
        wall_s, cpu_s = [each.wall_s for each in spent], [each.cpu_s for each in spent]
        figures = (min(wall_s), statistics.median(wall_s), min(cpu_s), statistics.median(cpu_s))
        rows.append([f"`{command}`", *(f"{figure:.2f}" for figure in figures)])
    head = ["", "wall, s: min", "median", "CPU, s: min", "median"]
    sys.stdout.write(f"{host_text()}\n\n{table(head, rows)}")


if __name__ == "__main__":
    main()
