"""How the bench measures: processor time, medians, children that print one line of JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

K = TypeVar("K")

FEWEST_ROUNDS = 3
_CHILD_S = 600.0
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
_TUNING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # of a box, not of what is measured


def plain_environment() -> dict[str, str]:
    """Return the environment for a child: one thread, and nothing that tunes numpy."""
    kept = {name: text for name, text in os.environ.items() if name not in _TUNING}
    root = str(Path(__file__).resolve().parent.parent)
    return {**kept, **dict.fromkeys(_ONE_THREAD, "1"), "PYTHONPATH": root}


def median_cpu_s(work: Callable[[], object], *, rounds: int, budget_s: float = 20.0) -> float:
    """Return the median processor time of one call, threads of this process included.

    The first call is a warm-up.  Three rounds are made at least, and no more of them once
    they have taken the budget.
    """
    work()
    spent: list[float] = []
    while len(spent) < FEWEST_ROUNDS or (len(spent) < rounds and sum(spent) < budget_s):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return statistics.median(spent)


def medians_cpu_s(
    works: Mapping[K, Callable[[], object]], *, rounds: int, budget_s: float = 60.0
) -> dict[K, float]:
    """Return the median processor time of each, all done in turn in every round.

    What else the computer does then slows all of them, and no one alone.  Warm-up, threads and
    budget are as in `median_cpu_s`.
    """
    spent: dict[K, list[float]] = {name: [] for name in works}
    total_s = 0.0
    for done in range(-1, rounds):  # the warm-up first
        if done >= FEWEST_ROUNDS and total_s > budget_s:
            break
        for name, work in works.items():
            began = time.process_time()
            work()
            if done >= 0:
                spent[name].append(time.process_time() - began)
                total_s += spent[name][-1]
    return {name: statistics.median(times) for name, times in spent.items()}


def child_json(command: Sequence[str | Path]) -> Any:
    """Run a child and return the JSON of its last line.

    Raises RuntimeError with the last line of its errors where it fails.
    """
    ended = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        env=plain_environment(),
        timeout=_CHILD_S,
        check=False,
    )
    if ended.returncode or not ended.stdout.strip():
        told = [line for line in ended.stderr.splitlines() if line.strip()]
        raise RuntimeError(told[-1] if told else f"exit code {ended.returncode}")
    return json.loads(ended.stdout.splitlines()[-1])


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which this share lies; NaN where there are none."""
    ordered = sorted(values)
    if not ordered:
        return float("nan")
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown; all columns but the first are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def number(value: float) -> str:
    """Return a number with three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 1 else f"{value:.{1 if value >= 10 else 2}f}"


def host() -> dict[str, str | int]:
    """Return what the figures were measured on."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        named = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = named[0].partition(":")[2].strip() if named else model
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "numpy": _version("numpy"),
        "openblas": _kernel(),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _kernel() -> str:
    """Return the kernel that numpy's linear algebra has chosen, where somebody can tell."""
    try:
        import_module("numpy")  # loads the library that is asked about
        threadpoolctl: Any = import_module("threadpoolctl")  # is there by chance
    except ImportError:
        return "unknown"
    found = [pool.get("architecture", "") for pool in threadpoolctl.threadpool_info()]
    return ", ".join(name for name in found if name) or "unknown"
