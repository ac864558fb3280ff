"""Compare settings of the process, of malloc and of the interpreter in the running daemon.

    python -m benchmarks.process_settings [--machines N] [--seconds S] [--rounds R] ARM ARM …

Each ARM is a daemon of its own on N recordings that play at their pace, with a mosquitto of its
own.  All arms run side by side, so that what else the computer does hits all alike, and in every
round they begin in another order.  Printed is one table: of each arm the median of the rounds,
and the median, least and most of its ratio to the first arm.  `ships ships` tells the noise; the
first of equal arms has some percent more memory, so compare that in both orders.
What the arms are stands in ARMS, what was found in docs/realtime.md.
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

from benchmarks.broker import Broker
from benchmarks.detectors import RATE_HZ, synthetic_sound
from benchmarks.fleet import Daemon, Subscriber, train
from benchmarks.measure import host, number, percentile, plain_environment, table

ARMS: dict[str, dict[str, str]] = {
    "ships": {},
    "blas-2": {"OPENBLAS_NUM_THREADS": "2"},
    "arenas-16": {"MALLOC_ARENA_MAX": "16"},  # what glibc takes by itself on two cores
    "arenas-2": {"MALLOC_ARENA_MAX": "2"},
    "arenas-1": {"MALLOC_ARENA_MAX": "1"},
    "trim": {"MALLOC_TRIM_THRESHOLD_": str(1 << 17)},  # glibc's own, but fixed
    "never-trim": {"MALLOC_TRIM_THRESHOLD_": str(1 << 28), "MALLOC_TOP_PAD_": str(1 << 24)},
    "gc-freeze": {"HYGIENE_SET": "freeze"},
    "gc-rarely": {"HYGIENE_SET": "rarely"},
    "gc-never": {"HYGIENE_SET": "never"},
    "switch-1ms": {"HYGIENE_SET": "switch"},
    "nice-5": {"HYGIENE_SET": "nice"},  # as Nice=-5 of a unit; root alone may
}
_INSIDE = Path(__file__).resolve().with_name("process_settings_child.py")
_FOUND_S = 3.0  # a recording that appears is found within
_OF_THE_BENCH = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")  # taken away
_BUSY = "while True: pass"


class _Arm:
    """One daemon, its broker, and who listens."""

    def __init__(self, name: str, folder: Path, models: Path, machines: int) -> None:
        self._folder = folder
        broker = Broker(folder)
        python_path = f"{folder}:{plain_environment()['PYTHONPATH']}"
        environment = {"PYTHONPATH": python_path, "HYGIENE_FOLDER": str(folder)}
        environment |= dict.fromkeys(_OF_THE_BENCH, "") | ARMS[name]
        shutil.copy(_INSIDE, folder / "sitecustomize.py")
        for left in ("now", "inside.json"):
            (folder / left).unlink(missing_ok=True)
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(broker)
        self._subscriber = self._stack.enter_context(Subscriber(broker.port))
        self._daemon = self._stack.enter_context(
            Daemon(folder, models, broker.port, machines, environment=environment)
        )

    def play(self, recording: Path) -> None:
        """Let the settings act, then the recordings begin."""
        (self._folder / "now").touch()
        time.sleep(0.5)
        self._daemon.play(recording)

    def begin(self) -> None:
        """Count from here."""
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
        late_s = [one.latency_s for one in self._subscriber.heard()]
        found |= {f"p{p}, ms": 1000 * percentile(late_s, p / 100) for p in (50, 99)}
        return {**found, "most, ms": 1000 * max(late_s, default=float("nan"))}

    def close(self) -> dict[str, float]:
        """End it; return what the garbage collector did since `begin`."""
        self._stack.close()
        inside = json.loads((self._folder / "inside.json").read_text())
        pauses = [each for each in inside["pauses"] if each[0] >= self._began_s]
        return {
            "GC, ms in all": sum(1000 * s for _, _, s in pauses),
            "GC, ms longest": max((1000 * s for _, _, s in pauses), default=0.0),
            "GC, full ones": float(sum(generation == 2 for _, generation, _ in pauses)),
            "GC, ms a full one": 1000 * inside["full_s"],
            "objects": float(inside["objects"] + inside["frozen"]),
        }


def main() -> int:
    """Compare the arms that were named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("arm", nargs="+", choices=ARMS, metavar="ARM", help=", ".join(ARMS))
    parser.add_argument("--machines", type=int, default=16, metavar="N")
    parser.add_argument("--seconds", type=float, default=45.0, metavar="S")
    parser.add_argument("--rounds", type=int, default=3, metavar="R")
    parser.add_argument("--hog", action="store_true", help="beside a busy loop on every core")
    given = parser.parse_args()
    arms: list[str] = given.arm
    rounds: list[list[dict[str, float]]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = train(folder)
        recording = folder / "recording.wav"
        soundfile.write(recording, synthetic_sound(given.seconds + 30.0, 5), RATE_HZ, "PCM_16")
        for turn in range(given.rounds):
            order = [(place + turn) % len(arms) for place in range(len(arms))]
            rounds.append(_round(order, folder, models, recording, given))
            sys.stderr.write(f"hygiene: round {turn + 1} of {given.rounds}: {rounds[-1]}\n")
    told = ", ".join(f"{key} {value}" for key, value in host().items())
    busy = ", beside a busy loop on every core" if given.hog else ""
    sys.stdout.write(
        f"{told}; {given.machines} machines an arm, {given.seconds:g} s, "
        f"{given.rounds} rounds{busy}\n\n{_table(arms, rounds)}"
    )
    return 0


def _round(
    order: list[int], folder: Path, models: Path, recording: Path, given: argparse.Namespace
) -> list[dict[str, float]]:
    arms: dict[int, _Arm] = {}
    hogs: list[subprocess.Popen[bytes]] = []
    found: dict[int, dict[str, float]] = {}
    with contextlib.ExitStack() as stack:
        for place in order:
            own = folder / str(place)
            own.mkdir(exist_ok=True)
            arms[place] = _Arm(given.arm[place], own, models, given.machines)
        if given.hog:
            cores = int(host()["cores"])
            hogs = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(cores)]
            for hog in hogs:
                stack.callback(hog.kill)
        for place in order:
            arms[place].play(recording)
        time.sleep(_FOUND_S)
        for place in order:
            arms[place].begin()
        time.sleep(given.seconds)
        for place in order:
            found[place] = arms[place].end()
    for hog in hogs:
        hog.wait()
    return [found[place] | arms[place].close() for place in sorted(order)]


def _table(arms: list[str], rounds: list[list[dict[str, float]]]) -> str:
    rows = []
    for figure in rounds[0][0]:
        for place, arm in enumerate(arms):
            values = [each[place][figure] for each in rounds]
            first = [each[0][figure] for each in rounds]
            ratios = [v / f if f else float("nan") for v, f in zip(values, first, strict=True)]
            told = [number(statistics.median(ratios)), f"{min(ratios):.2f} to {max(ratios):.2f}"]
            cells = told if place else ["", ""]
            rows.append([figure, arm, number(statistics.median(values)), *cells])
    return table(["figure", "arm", "median", "× first arm", "of the rounds"], rows)


if __name__ == "__main__":
    sys.exit(main())
