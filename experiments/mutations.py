"""Apply small errors to the code, one at a time, and check that the tests detect each of them.

    python -m experiments.mutations [--only NAME ...] [--list]

The tree is copied to a temporary folder.  Each mutation of `mutation_list` replaces one piece of
text in the copy and runs the fast tests of its area there (`pytest -x -m "not slow" tests/AREA`),
which must pass without mutations.  Prints a table: name, place, change, and the test that failed,
or SURVIVED.  The exit code is 1 if a mutation survived.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from asd_monitor.errors import OperationError, UsageError
from experiments.command_line import parser_of
from experiments.markdown import table
from experiments.mutation_list import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parent.parent
SURVIVED = "SURVIVED"
_NOT_COPIED = (".git", ".venv*", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info", "build")
_TESTS_S = 1800.0  # of one area
_MAX_SHOWN = 60  # characters of a piece of text in the table


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a mutation."""

    mutation: Mutation
    line: int  # where the text is, from 1
    caught_by: str | None  # the first test that failed; None: no test did

    def row(self) -> list[str]:
        """Return the cells of its row in the table."""
        mutation = self.mutation
        return [
            mutation.name,
            f"{mutation.file}:{self.line}",
            f"{_cell(mutation.old)} → {_cell(mutation.new)}",
            self.caught_by or SURVIVED,
        ]


def _cell(text: str) -> str:
    """Return source text as it fits into a table."""
    line = " ".join(text.split()).replace("|", "\\|")
    if len(line) > _MAX_SHOWN:
        line = line[: _MAX_SHOWN - 1] + "…"
    return f"`{line}`" if line else "(nothing)"


def locate(root: Path, mutation: Mutation) -> int:
    """Return the line, from 1, at which the text of a mutation begins.

    Raises:
        UsageError: the file is missing, or the text does not occur exactly once in it.

    """
    path = root / mutation.file
    if not path.is_file():
        raise UsageError(
            f"mutation {mutation.name}: {mutation.file} is missing: correct its file in "
            "experiments/mutation_list.py"
        )
    source = path.read_text()
    count = source.count(mutation.old)
    if count != 1:
        raise UsageError(
            f"mutation {mutation.name}: its text occurs {count} times in {mutation.file} instead "
            f"of once: correct it in experiments/mutation_list.py: {mutation.old!r}"
        )
    return source[: source.index(mutation.old)].count("\n") + 1


def run_mutations(
    root: Path,
    mutations: Sequence[Mutation],
    on_outcome: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Apply each mutation to a copy of the tree and run the tests of its area.

    Raises:
        UsageError: the text of a mutation does not occur exactly once in its file.
        OperationError: the tests of an area fail without mutations, or there are none.

    """
    lines = [locate(root, mutation) for mutation in mutations]
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        copy = Path(folder) / "tree"
        shutil.copytree(root, copy, ignore=shutil.ignore_patterns(*_NOT_COPIED))
        for area in dict.fromkeys(mutation.area for mutation in mutations):
            failed = first_failure(copy, area)
            if failed is not None:
                raise OperationError(
                    f"tests/{area} fails without mutations ({failed}): repair it first"
                )
        for mutation, line in zip(mutations, lines, strict=True):
            path = copy / mutation.file
            source = path.read_text()
            path.write_text(source.replace(mutation.old, mutation.new))
            try:
                outcome = Outcome(mutation, line, first_failure(copy, mutation.area))
            finally:
                path.write_text(source)
            outcomes.append(outcome)
            on_outcome(outcome)
    return outcomes


def first_failure(tree: Path, area: str) -> str | None:
    """Run the fast tests of an area; return the first test that fails, None if all pass.

    Raises:
        OperationError: there are no tests, or pytest itself fails.

    """
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not slow"]
    command += ["-p", "no:cacheprovider", f"tests/{area}"]
    # without bytecode: a mutation may leave size and time of the file as they were
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command,
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_TESTS_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"tests/{area}: no end within {_TESTS_S:g} s"
    if done.returncode == 0:
        return None
    failures = re.findall(r"(?m)^(?:FAILED|ERROR) (\S+)", done.stdout)
    if done.returncode in {1, 2} and failures:
        return str(failures[0])
    output = (done.stdout + done.stderr).strip().splitlines()
    raise OperationError(f"pytest tests/{area}: {output[-1] if output else done.returncode}")


def main() -> int:
    """Run the mutations and print the table."""
    parser = parser_of("mutations", __doc__)
    names = [mutation.name for mutation in MUTATIONS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--list", action="store_true", help="list the mutations only")
    options = parser.parse_args()
    chosen = [mutation for mutation in MUTATIONS if mutation.name in options.only]
    if options.list:
        for mutation in chosen:
            sys.stdout.write(f"{mutation.name:<32} {mutation.file}\n")
        return 0
    try:
        outcomes = run_mutations(ROOT, chosen, _report)
    except (UsageError, OperationError) as error:
        sys.stderr.write(f"mutations: {error}\n")
        return error.exit_code
    sys.stdout.write(
        table(["mutation", "place", "change", "caught by"], [each.row() for each in outcomes])
    )
    survived = [each.mutation.name for each in outcomes if each.caught_by is None]
    if survived:
        sys.stderr.write(f"mutations: no test detects {', '.join(survived)}\n")
    return 1 if survived else 0


def _report(outcome: Outcome) -> None:
    sys.stderr.write(f"{outcome.mutation.name}: {outcome.caught_by or SURVIVED}\n")


if __name__ == "__main__":
    sys.exit(main())
