"""Problems are planted in an installation, one at a time, and what `doctor` finds is counted.

    python -m experiments.doctor --output FOLDER [--only TEXT]

Most are real: a mosquitto with access rules, limits and certificates, small disks, damaged models,
limits of the process.  What a test computer cannot have (sound cards, systemd, a clock that is not
set) is given to the checks as facts.  A problem counts as found where the check that it concerns
warns or fails, has a remedy, and does not do so in the healthy installation: where that has the
same finding, such as of a temporary folder that is in memory, it is masked.  Then secrets are
planted in everything that a support file is made of.  Needs mosquitto, openssl, and root for small
disks.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

from experiments.command_line import add_output, errors_reported, parser_of
from experiments.doctor.broker_problems import BROKER
from experiments.doctor.given_problems import GIVEN
from experiments.doctor.local_problems import LOCAL
from experiments.doctor.place import (
    Findings,
    Healthy,
    Problem,
    UnexpectedOutputError,
    make_healthy,
    placed,
)
from experiments.doctor.secrets_planted import Planted, plant_secrets
from experiments.markdown import text_table

_BAD = frozenset({"warning", "failed"})
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Trial:
    """What `doctor` has made of one problem."""

    problem: Problem
    found: str | None  # what it says; None: nothing
    remedy: str | None
    seconds: float
    is_masked: bool = False  # the healthy installation has the same finding, so none can be seen

    @property
    def outcome(self) -> str:
        """One word."""
        if self.is_masked:
            return "masked"
        return "missed" if self.found is None else "found"


def _documents(findings: Findings) -> list[Mapping[str, Any]]:
    return [
        asdict(each) if is_dataclass(each) and not isinstance(each, type) else each
        for each in findings
    ]


def _keys(findings: Iterable[Mapping[str, Any]]) -> set[Key]:
    return {
        (each["area"], each["check"], each["result"]) for each in findings if each["result"] in _BAD
    }


def try_problem(folder: Path, healthy: Healthy, problem: Problem, usual: set[Key]) -> Trial:
    """Plant one problem and return what is found."""
    begun_s = time.monotonic()
    with placed(folder, healthy) as place:
        try:
            found = _documents(problem.examine(place))
        except (UnexpectedOutputError, subprocess.TimeoutExpired) as error:
            sys.stderr.write(f"{problem.name}: {error}\n")
            found = []
    seconds = time.monotonic() - begun_s
    is_masked = False
    for each in found:
        is_it = each["area"] == problem.area and each["check"] in problem.checks
        key = (each["area"], each["check"], each["result"])
        if not is_it or each["result"] not in _BAD:
            continue
        if key not in usual or not problem.is_real:
            return Trial(problem, f"{each['result']}: {each['what']}", each["remedy"], seconds)
        is_masked = True
    return Trial(problem, None, None, seconds, is_masked=is_masked)


def examine_healthy(folder: Path, healthy: Healthy) -> tuple[set[Key], int]:
    """Return what warns or fails in the healthy installation, and how much of it failed."""
    with placed(folder, healthy) as place:
        place.start_broker()
        found = place.doctor()
    return _keys(found), sum(each["result"] == "failed" for each in found)


def report(trials: Sequence[Trial], secrets: Sequence[Planted], failed_healthy: int) -> str:
    """Return the tables."""
    found = sum(each.found is not None for each in trials)
    named = sum(bool(each.remedy) for each in trials)
    rows = [
        (
            each.problem.name,
            "planted" if each.problem.is_real else "facts given",
            {"found": "yes", "missed": "no"}.get(each.outcome, each.outcome),
            f"{each.problem.area}: {each.found or ''}".replace("|", "/"),
            (each.remedy or "none").replace("|", "/"),
        )
        for each in trials
    ]
    masked = [each.problem.name for each in trials if each.is_masked]
    not_tried = (
        f" {len(masked)} of them could not be seen, since the healthy installation has the same "
        f"finding ({', '.join(masked)}): set TMPDIR to a folder on a disk."
        if masked
        else ""
    )
    lines = [
        "# What `doctor` finds\n",
        f"{found} of {len(trials)} planted problems were found, {named} with a remedy "
        f"({sum(each.problem.is_real for each in trials)} planted, the others by given facts). "
        f"In the healthy installation {failed_healthy} checks failed.{not_tried}\n",
        text_table(("problem", "how", "found", "finding", "remedy"), rows),
    ]
    if secrets:
        remaining = sum(each.remaining for each in secrets)
        lines += [
            f"\n{len(secrets)} secrets were planted, each in several forms; {remaining} forms "
            "remained in the support file.\n",
            text_table(
                ("secret", "forms planted", "forms that remained"),
                [(each.name, str(each.planted_forms), str(each.remaining)) for each in secrets],
            ),
        ]
    return "\n".join(lines)


def main() -> None:
    """Run the experiment."""
    parser = parser_of("doctor", __doc__)
    add_output(parser)
    parser.add_argument("--only", metavar="TEXT", help="only problems whose name contains it")
    options = parser.parse_args()
    problems = [
        each
        for each in (*LOCAL, *BROKER, *GIVEN)
        if options.only in (None, "") or options.only in each.name
    ]
    options.output.mkdir(parents=True, exist_ok=True)
    with errors_reported("experiments.doctor"), tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch)
        base.chmod(0o755)
        healthy = make_healthy(base / "healthy")
        usual, failed_healthy = examine_healthy(base / "control", healthy)
        trials = []
        for number, problem in enumerate(problems):
            trial = try_problem(base / f"place{number}", healthy, problem, usual)
            trials.append(trial)
            sys.stderr.write(f"{trial.outcome:<6} {problem.name} ({trial.seconds:.0f} s)\n")
        secrets = []
        if not options.only:
            with placed(base / "secrets", healthy) as place:
                secrets = plant_secrets(place)
        text = report(trials, secrets, failed_healthy)
    (options.output / "doctor.md").write_text(text)
    sys.stdout.write(text)
    if any(not each.remedy for each in trials) or any(each.remaining for each in secrets):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
