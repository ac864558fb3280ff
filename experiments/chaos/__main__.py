"""Inject faults into the running program, and print one table of what was lost.

    python -m experiments.chaos OUTPUT [--only NAME …] [--times N] [--before CHECKOUT]
    python -m experiments.chaos --compare RESULTS [RESULTS]

OUTPUT is a folder.  In a folder of each checkout in it are the trained model, the logs of each
fault, and `results.json`, in which runs with --only are joined: the later run of a fault replaces
the earlier one.  With --before the program of another checkout is tested, by the same faults.
--list shows the faults, how often each is injected unless --times is given, and how long that
takes.  The exit code is 1 if anything happened that must not.

--compare prints one table of two results, before and after a change, or that of one.
"""

from __future__ import annotations

import hashlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from asd_monitor.errors import AsdMonitorError, UsageError
from experiments.chaos import (
    brokers,
    clocks,
    commands,
    disks,
    journal_files,
    kills,
    long_run,
    microphone_changes,
    microphones,
    packets,
    starvation,
)
from experiments.chaos.findings_table import comparison, report
from experiments.chaos.product import ROOT, prepare
from experiments.chaos.results import FILE_NAME, Result, load_results, save_result
from experiments.chaos.scenario import Findings, Place, Scenario
from experiments.command_line import parser_of

SCENARIOS: tuple[Scenario, ...] = (
    *kills.SCENARIOS,
    *microphones.SCENARIOS,
    *microphone_changes.SCENARIOS,
    *packets.SCENARIOS,
    *commands.SCENARIOS,
    *brokers.SCENARIOS,
    *disks.SCENARIOS,
    *journal_files.SCENARIOS,
    *starvation.SCENARIOS,
    *clocks.SCENARIOS,
    *long_run.SCENARIOS,
)


def main() -> int:
    """Run the command line."""
    total_s = sum(each.times * each.seconds_each for each in SCENARIOS)
    parser = parser_of(
        "chaos",
        f"{__doc__}\nAll faults take {total_s / 3600:.1f} h on two idle cores:\n\n"
        + _listing(SCENARIOS),
    )
    parser.add_argument("output", type=Path, nargs="?", help="folder of models and logs")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="a fault, or the begin of names")
    parser.add_argument("--times", type=int, help="how often each is injected")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="the program under test")
    parser.add_argument(
        "--compare", nargs="+", type=Path, metavar="RESULTS", help="print the table of results"
    )
    parser.add_argument("--list", action="store_true", help="show the faults")
    arguments = parser.parse_args()
    try:
        scenarios = select(arguments.only)
    except ValueError as error:
        parser.error(str(error))
    if arguments.list:
        sys.stdout.write(_listing(scenarios))
        return 0
    if arguments.compare is not None:
        try:
            sys.stdout.write(compare(arguments.compare))
        except UsageError as error:
            parser.error(str(error))
        return 0
    if arguments.output is None:
        parser.error("OUTPUT is missing")
    signal.signal(signal.SIGTERM, _stop)  # so that everything is cleaned up
    return run(
        arguments.output,
        scenarios,
        tree=(arguments.before or ROOT).resolve(),
        times=arguments.times,
        seed=arguments.seed,
    )


def select(names: Sequence[str] | None) -> list[Scenario]:
    """Return the faults of these names; a name that is none selects all that begin with it.

    Raises:
        ValueError: None begins with a name.

    """
    if names is None:
        return list(SCENARIOS)
    known = {each.name for each in SCENARIOS}
    selected: set[str] = set()
    for name in names:
        found = {name} & known or {each for each in known if each.startswith(name)}
        if not found:
            raise ValueError(f"no fault {name}: see --list")
        selected |= found
    return [each for each in SCENARIOS if each.name in selected]


def compare(paths: Sequence[Path]) -> str:
    """Return the table of one file of results, or of two.  Raises UsageError."""
    match [load_results(path) for path in paths]:
        case [only]:
            return report(only)
        case [before, after]:
            return comparison(before, after)
        case _:
            raise UsageError("--compare: name one or two results")


def run(
    output: Path, scenarios: Sequence[Scenario], *, tree: Path, times: int | None, seed: int
) -> int:
    """Inject faults and print the table; return the exit code."""
    version = hashlib.sha256(str(tree).encode()).hexdigest()[:8]
    folder = output.resolve() / version
    product = prepare(tree, folder / "product")
    results: list[Result] = []
    try:
        for scenario in scenarios:
            number = scenario.times if times is None else min(times, scenario.times)
            place = Place(product, folder / scenario.name, seed)
            results.append(Result(scenario.name, scenario.fault, _inject(scenario, place, number)))
            save_result(folder, results[-1])
    finally:  # also what was done before an interruption
        sys.stdout.write(report(results))
        sys.stderr.write(f"{folder / FILE_NAME}: {len(results)} results added\n")
    return 1 if any(result.findings.problems for result in results) else 0


def _inject(scenario: Scenario, place: Place, times: int) -> Findings:
    shutil.rmtree(place.folder, ignore_errors=True)
    place.folder.mkdir(parents=True)
    began_s = time.monotonic()
    try:
        findings = scenario.run(place, times)
    except (AsdMonitorError, OSError, sqlite3.Error, subprocess.SubprocessError) as error:
        findings = Findings(times, problems=[f"the experiment ended: {error}"])
    sys.stderr.write(f"{scenario.name}: {time.monotonic() - began_s:.0f} s\n")
    sys.stderr.writelines(f"    {line}\n" for line in findings.problems)
    sys.stderr.flush()
    return findings


def _listing(scenarios: Sequence[Scenario]) -> str:
    lines = [
        f"  {each.name:<28} {each.times:>8} × {each.seconds_each:8.3g} s  {each.fault}\n"
        for each in scenarios
    ]
    return "".join(lines)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(143)


if __name__ == "__main__":
    sys.exit(main())
