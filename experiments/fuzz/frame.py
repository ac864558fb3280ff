"""Runs generated inputs in child processes with limits, and keeps those that fail.

Every case runs in a fork of this process, after `Target.prepare` has loaded what all cases need:
a crash, a leak or an endless loop of one case does not touch the next, and a case costs
milliseconds.  The kernel keeps the limits: the address space of a case grows by
`Limits.address_space_mb` at most, and SIGALRM kills it after `Limits.seconds`.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, Protocol

import numpy as np

_MB = 1 << 20
_ADDRESS_SPACE, _RESIDENT = 0, 1  # columns of statm(5)
_MAX_REPORT_BYTES = 1 << 15  # fits into the buffer of a pipe


class Target(Protocol):
    """A kind of input: how a case is generated, and the code under test."""

    name: str

    def prepare(self) -> None:
        """Load what all cases need, such as a model; called once, before the first case."""

    def write_case(self, rng: np.random.Generator, folder: Path) -> str:
        """Write one input into the empty folder; return in a few words what it is."""

    def run_case(self, folder: Path) -> str:
        """Process the input of the folder; return the outcome in a word, such as ``refused``.

        An expected error is caught here.  Any exception that leaves this function is a failure.
        """


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one case."""

    seconds: float = 10.0
    resident_mb: int = 200  # growth of the resident set; with that of the process, below 300
    address_space_mb: int = 300  # growth


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one case."""

    number: int
    description: str
    outcome: str  # a word of the target, or one of `FAILURES`
    detail: str  # traceback or limit of a failure
    seconds: float
    peak_mb: float  # largest growth of the resident set

    @property
    def failed(self) -> bool:
        """Whether a bound was exceeded or the code under test failed."""
        return self.outcome in FAILURES


FAILURES = ("traceback", "too slow", "too much memory", "killed")


@dataclass(slots=True)
class Summary:
    """Counts of a run."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[Result] = field(default_factory=list)
    slowest_s: float = 0.0
    largest_mb: float = 0.0

    def add(self, result: Result) -> None:
        """Count one case."""
        self.outcomes[result.outcome] += 1
        self.slowest_s = max(self.slowest_s, result.seconds)
        self.largest_mb = max(self.largest_mb, result.peak_mb)
        if result.failed:
            self.failures.append(result)


def run_cases(
    target: Target,
    numbers: Iterable[int],
    *,
    seed: int,
    limits: Limits | None = None,
    output: Path | None = None,
    report: Callable[[Result], None] = lambda _: None,
) -> Summary:
    """Run cases; each depends on the seed and its number only.

    Inputs of failed cases are kept in ``output``, a folder each, with the failure as
    ``failure.txt``.  ``report`` is called after each case.
    """
    target.prepare()
    summary = Summary()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as temporary:
        for number in numbers:
            folder = Path(temporary) / f"{number:06}"
            folder.mkdir()
            result = _run_case(target, number, seed, folder, limits or Limits())
            summary.add(result)
            if result.failed and output is not None:
                _keep(result, target, folder, output)
            shutil.rmtree(folder)
            report(result)
    return summary


def _keep(result: Result, target: Target, folder: Path, output: Path) -> None:
    kept = output / target.name / folder.name
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(folder, kept, symlinks=True)
    text = f"{result.description}\n{result.outcome}\n{result.detail}\n"
    (kept / "failure.txt").write_text(text, errors="backslashreplace")


def _run_case(target: Target, number: int, seed: int, folder: Path, limits: Limits) -> Result:
    description = target.write_case(np.random.default_rng([seed, number]), folder)
    reading, writing = os.pipe()
    began, before_mb = time.monotonic(), _memory_mb(_RESIDENT)
    child = os.fork()
    if child == 0:
        _run_child(target, folder, limits, writing)
    os.close(writing)
    _, status, usage = os.wait4(child, 0)
    seconds = time.monotonic() - began
    with open(reading, "rb") as pipe:  # noqa: PTH123 - a descriptor
        outcome, _, detail = pipe.read().decode("utf-8", "replace").partition("\n")
    peak_mb = max(0.0, usage.ru_maxrss / 1024 - before_mb)
    if os.WIFSIGNALED(status):
        number_of_signal = os.WTERMSIG(status)
        outcome = "too slow" if number_of_signal == signal.SIGALRM else "killed"
        detail = signal.Signals(number_of_signal).name
    elif seconds > limits.seconds:
        outcome, detail = "too slow", f"{seconds:.1f} s"
    elif outcome != "traceback" and peak_mb > limits.resident_mb:
        outcome, detail = "too much memory", f"{peak_mb:.0f} MB"
    return Result(number, description, outcome or "killed", detail, seconds, peak_mb)


def _run_child(target: Target, folder: Path, limits: Limits, writing: int) -> NoReturn:
    """Run one case in the forked process, and end it."""
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.setsid()  # what the case starts is in a session of its own
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, limits.seconds)
        most = int(_memory_mb(_ADDRESS_SPACE) + limits.address_space_mb) * _MB
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        text = target.run_case(folder)
    except BaseException:  # noqa: BLE001 - whatever leaves the code under test is the finding
        text = "traceback\n" + traceback.format_exc()
    os.write(writing, text.encode("utf-8", "backslashreplace")[-_MAX_REPORT_BYTES:])
    os._exit(0)


def _memory_mb(column: int) -> float:
    """Return a column of this process's ``/proc/self/statm``, in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[column])
    return pages * resource.getpagesize() / _MB
