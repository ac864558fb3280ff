"""Processor time, medians, and child processes that print a line of JSON.

Only the standard library is imported, since the peers' environment has nothing of asd-monitor.
"""

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

Key = TypeVar("Key")

MIN_ROUNDS = 3
_CHILD_S = 600.0
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
_TUNING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # of this computer, not of the product


def plain_environment() -> dict[str, str]:
    """Return the environment of a child: one thread, no tuning of numpy, and this repository."""
    kept = {name: value for name, value in os.environ.items() if name not in _TUNING}
    root = str(Path(__file__).resolve().parent.parent)
    return {**kept, **dict.fromkeys(_ONE_THREAD, "1"), "PYTHONPATH": root}


def median_cpu_s(work: Callable[[], object], *, rounds: int, budget_s: float = 20.0) -> float:
    """Return the median processor time of a call, in all threads of this process.

    One call precedes as warm-up.  At least `MIN_ROUNDS` are made, and no further ones once they
    have taken ``budget_s``.
    """
    return medians_cpu_s({"": work}, rounds=rounds, budget_s=budget_s)[""]


def medians_cpu_s(
    works: Mapping[Key, Callable[[], object]], *, rounds: int, budget_s: float = 60.0
) -> dict[Key, float]:
    """Return the median processor time of each of several calls, made in turn in every round.

    Other load on the computer then affects all of them alike.  See `median_cpu_s`.
    """
    spent: dict[Key, list[float]] = {name: [] for name in works}
    total_s = 0.0
    for done in range(-1, max(rounds, MIN_ROUNDS)):  # the first is the warm-up
        if done >= MIN_ROUNDS and total_s > budget_s:
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

    Raises:
        RuntimeError: it fails; the message is the last line of its stderr.
        OSError, ValueError: it cannot be run, or prints no JSON.
        subprocess.TimeoutExpired: it takes more than ten minutes.

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
        errors = [line for line in ended.stderr.splitlines() if line.strip()]
        raise RuntimeError(errors[-1] if errors else f"exit code {ended.returncode}")
    return json.loads(ended.stdout.splitlines()[-1])


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value with at least this share of the values below it; NaN of none."""
    ordered = sorted(values)
    if not ordered:
        return float("nan")
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def number(value: float) -> str:
    """Return a number with three significant digits as text."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 1 else f"{value:.{1 if value >= 10 else 2}f}"


def host() -> dict[str, str | int]:
    """Return the computer and the versions that were measured on."""
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
        "openblas": _openblas_kernel(),
    }


def host_text() -> str:
    """Return `host` as text."""
    return ", ".join(f"{key} {value}" for key, value in host().items())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _openblas_kernel() -> str:
    """Return the kernel that numpy's linear algebra has chosen, if threadpoolctl is installed."""
    try:
        import_module("numpy")  # loads the library
        threadpoolctl: Any = import_module("threadpoolctl")
    except ImportError:
        return "unknown"
    found = [pool.get("architecture", "") for pool in threadpoolctl.threadpool_info()]
    return ", ".join(name for name in found if name) or "unknown"
