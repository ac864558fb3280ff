"""Process damaged inputs, and report every one that is neither used nor refused within bounds.

    python -m experiments.fuzz recordings --count 20000 --seed 0 [--output DIR] [--first N]

Counts the outcomes; a failure is a traceback, a crash, more than 300 MB of memory or more than
10 s.  Inputs of failed cases are kept in the output folder.  ``--first N --count 1`` repeats
case N.  The exit code is 1 if a case failed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from experiments.command_line import parser_of
from experiments.fuzz.frame import Result, Summary, run_cases
from experiments.fuzz.targets import TARGETS


def main() -> int:
    """Run the command line."""
    targets = {target.name: target for target in TARGETS}
    parser = parser_of("fuzz", __doc__)
    parser.add_argument("kind", choices=sorted(targets), help="kind of input")
    parser.add_argument("--count", type=int, default=1000, help="number of cases (1000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case (0)")
    parser.add_argument("--output", type=Path, help="folder for the inputs of failed cases")
    arguments = parser.parse_args()

    def report(result: Result) -> None:
        if result.failed:
            last = result.detail.strip().splitlines()[-1:] or [""]
            _line(f"case {result.number}: {result.description}: {result.outcome}: {last[0]}")
        done = result.number - arguments.first + 1
        if done % 1000 == 0:
            sys.stderr.write(f"{done} of {arguments.count}\n")

    summary = run_cases(
        targets[arguments.kind],
        range(arguments.first, arguments.first + arguments.count),
        seed=arguments.seed,
        output=arguments.output,
        report=report,
    )
    _print(summary)
    return 1 if summary.failures else 0


def _print(summary: Summary) -> None:
    for outcome, number in summary.outcomes.most_common():
        _line(f"{number:8d}  {outcome}")
    _line(
        f"slowest {summary.slowest_s:.2f} s, largest growth {summary.largest_mb:.0f} MB, "
        f"{len(summary.failures)} failed"
    )


def _line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
