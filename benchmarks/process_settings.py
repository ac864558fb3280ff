"""Compare settings of the process, of malloc and of the interpreter in running daemons.

    python -m benchmarks.process_settings [--machines N] [--seconds S] [--rounds R] ARM ARM …

Each ARM is a daemon with a broker of its own, on N recordings that play at their own pace.  All
arms run at the same time, so that other load affects them alike, and each round starts them in
another order.  Prints a table: of each arm the median over the rounds, and the median, minimum
and maximum of its ratio to the first arm.  `ships ships` shows the spread of equal arms; the first
of equal arms has some percent more memory, so compare memory in both orders.

ARMS lists the settings; docs/method/process-settings.md reports the results.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import soundfile

from asd_monitor.errors import AsdMonitorError
from benchmarks.measure import host, host_text, number, percentile, plain_environment
from benchmarks.mosquitto import MosquittoProcess
from benchmarks.recorded_fleet import RecordedFleet, ScoreRecorder, train_fleet
from benchmarks.simulated_fleet import RATE_HZ, synthetic_sound
from experiments.markdown import table

ARMS: dict[str, dict[str, str]] = {
    "ships": {},
    "blas-2": {"OPENBLAS_NUM_THREADS": "2"},
    "arenas-16": {"MALLOC_ARENA_MAX": "16"},  # glibc's default on two cores
    "arenas-2": {"MALLOC_ARENA_MAX": "2"},
    "arenas-1": {"MALLOC_ARENA_MAX": "1"},
    "trim": {"MALLOC_TRIM_THRESHOLD_": str(1 << 17)},  # glibc's initial value, but fixed
    "never-trim": {"MALLOC_TRIM_THRESHOLD_": str(1 << 28), "MALLOC_TOP_PAD_": str(1 << 24)},
    "gc-freeze": {"PROCESS_SETTING": "freeze"},
    "gc-rarely": {"PROCESS_SETTING": "rarely"},
    "gc-never": {"PROCESS_SETTING": "never"},
    "switch-1ms": {"PROCESS_SETTING": "switch"},
    "nice-5": {"PROCESS_SETTING": "nice"},  # as Nice=-5 of a unit; needs root
}
_CHILD = Path(__file__).resolve().with_name("process_settings_child.py")
_FOUND_S = 3.0  # a new recording is found within this time
_OF_THE_BENCHMARK = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
_BUSY_LOOP = "while True: pass"


class _Arm:
    """A daemon with its broker and a recorder of its scores."""

    def __init__(self, name: str, folder: Path, models: Path, machines: int) -> None:
        self._folder = folder
        broker = MosquittoProcess(folder)
        python_path = f"{folder}:{plain_environment()['PYTHONPATH']}"
        environment = {"PYTHONPATH": python_path, "PROCESS_SETTINGS_FOLDER": str(folder)}
        environment |= dict.fromkeys(_OF_THE_BENCHMARK, "") | ARMS[name]
        shutil.copy(_CHILD, folder / "sitecustomize.py")
        for file in ("now", "collector.json"):
            (folder / file).unlink(missing_ok=True)
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(broker)
        self._recorder = self._stack.enter_context(ScoreRecorder(broker.port))
        self._daemon = self._stack.enter_context(
            RecordedFleet(folder, models, broker.port, machines, environment=environment)
        )

    def play(self, recording: Path) -> None:
        """Let the setting take effect, then start the recordings."""
        (self._folder / "now").touch()
        time.sleep(0.5)
        self._daemon.play(recording)

    def begin(self) -> None:
        """Begin to measure."""
        self._began_s = time.monotonic()
        self._cpu_s, self._faults = self._daemon.cpu_s(), self._daemon.minor_faults()

    def end(self) -> dict[str, float]:
        """Return the figures since `begin`."""
        cpu_s = self._daemon.cpu_s() - self._cpu_s
        faults = self._daemon.minor_faults() - self._faults
        wall_s = time.monotonic() - self._began_s
        found = {
            "cores": cpu_s / wall_s,
            "PSS, MB": self._daemon.pss_mb(),
            "faults / s": faults / wall_s,
            "threads": float(self._daemon.threads()),
        }
        latency_s = [score.latency_s for score in self._recorder.scores()]
        found |= {f"p{p}, ms": 1000 * percentile(latency_s, p / 100) for p in (50, 99)}
        return {**found, "maximum, ms": 1000 * max(latency_s, default=float("nan"))}

    def close(self) -> dict[str, float]:
        """End the daemon; return the figures of the garbage collector since `begin`."""
        self._stack.close()
        found = json.loads((self._folder / "collector.json").read_text())
        pauses = [each for each in found["pauses"] if each[0] >= self._began_s]
        return {
            "GC, ms in all": sum(1000 * s for _, _, s in pauses),
            "GC, ms longest": max((1000 * s for _, _, s in pauses), default=0.0),
            "GC, full ones": float(sum(generation == 2 for _, generation, _ in pauses)),
            "GC, ms per full one": 1000 * found["full_s"],
            "objects": float(found["objects"] + found["frozen"]),
        }


def main() -> int:
    """Compare the given arms."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.process_settings",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("arm", nargs="+", choices=ARMS, metavar="ARM", help=", ".join(ARMS))
    parser.add_argument("--machines", type=int, default=16, metavar="N")
    parser.add_argument("--seconds", type=float, default=45.0, metavar="S")
    parser.add_argument("--rounds", type=int, default=3, metavar="R")
    parser.add_argument("--hog", action="store_true", help="with a busy loop on every core")
    options = parser.parse_args()
    try:
        rounds = _run(options)
    except AsdMonitorError as error:
        sys.stderr.write(f"process_settings: {error}\n")
        return error.exit_code
    load = ", with a busy loop on every core" if options.hog else ""
    sys.stdout.write(
        f"{host_text()}; {options.machines} machines per arm, {options.seconds:g} s, "
        f"{options.rounds} rounds{load}\n\n{_table(options.arm, rounds)}"
    )
    return 0


def _run(options: argparse.Namespace) -> list[list[dict[str, float]]]:
    """Return the figures of each round and arm."""
    count = len(options.arm)
    rounds: list[list[dict[str, float]]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = train_fleet(folder)
        recording = folder / "recording.wav"
        soundfile.write(recording, synthetic_sound(options.seconds + 30.0, 5), RATE_HZ, "PCM_16")
        for turn in range(options.rounds):
            order = [(place + turn) % count for place in range(count)]
            rounds.append(_round(order, folder, models, recording, options))
            sys.stderr.write(
                f"process_settings: round {turn + 1} of {options.rounds}: {rounds[-1]}\n"
            )
    return rounds


def _round(
    order: list[int], folder: Path, models: Path, recording: Path, options: argparse.Namespace
) -> list[dict[str, float]]:
    arms: dict[int, _Arm] = {}
    loops: list[subprocess.Popen[bytes]] = []
    found: dict[int, dict[str, float]] = {}
    with contextlib.ExitStack() as stack:
        for place in order:
            own = folder / str(place)
            own.mkdir(exist_ok=True)
            arms[place] = _Arm(options.arm[place], own, models, options.machines)
        if options.hog:
            cores = int(host()["cores"])
            loops = [subprocess.Popen([sys.executable, "-c", _BUSY_LOOP]) for _ in range(cores)]
            for loop in loops:
                stack.callback(loop.kill)
        for place in order:
            arms[place].play(recording)
        time.sleep(_FOUND_S)
        for place in order:
            arms[place].begin()
        time.sleep(options.seconds)
        for place in order:
            found[place] = arms[place].end()
    for loop in loops:
        loop.wait()
    return [found[place] | arms[place].close() for place in sorted(order)]


def _table(arms: list[str], rounds: list[list[dict[str, float]]]) -> str:
    rows = []
    for figure in rounds[0][0]:
        for place, arm in enumerate(arms):
            values = [each[place][figure] for each in rounds]
            first = [each[0][figure] for each in rounds]
            ratios = [v / f if f else float("nan") for v, f in zip(values, first, strict=True)]
            spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
            cells = [number(statistics.median(ratios)), spread] if place else ["", ""]
            rows.append([figure, arm, number(statistics.median(values)), *cells])
    return table(["figure", "arm", "median", "× first arm", "of the rounds"], rows)


if __name__ == "__main__":
    sys.exit(main())
