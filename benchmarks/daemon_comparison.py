"""Processor time, latency and memory of the daemon, compared with an earlier checkout.

    python -m benchmarks.daemon_comparison [--before CHECKOUT] [--machines N …] [--rounds R]

The daemons run one after the other, taking turns, on recordings at real pace with a real mosquitto.

The latency of a score is counted from the capture of the last sample of its window.  A recording
that is read at its own pace begins when it is opened, and sample n is captured n / rate later.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import soundfile

from asd_monitor.dsp.front_end import FrontEnd
from benchmarks.measure import percentile
from benchmarks.mosquitto import MosquittoProcess
from benchmarks.mqtt_subscriber import MqttSubscriber
from benchmarks.recorded_fleet import RecordedFleet, train_fleet
from benchmarks.simulated_fleet import RATE_HZ, synthetic_sound
from experiments.markdown import table

MACHINES = (64, 1)
FOUND_S = 4.0  # after this time every machine has found its recording and scored a window
NOW = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Checkout:
    """A version of the program."""

    name: str
    tree: Path

    @property
    def clock_offset_s(self) -> float:
        """How much the clock of a recording is ahead of its capture, in s.

        Versions with blocks of 0.1 s assign the time of delivery of the first block to its first
        sample.
        """
        source = self.tree / "asd_monitor" / "audio" / "files" / "file_source.py"
        return 0.1 if "BLOCK_S = 0.1" in source.read_text() else 0.0


@dataclass(frozen=True, slots=True)
class Run:
    """What was measured in one run of the daemon."""

    ms_per_machine_s: float  # processor time for a second of one machine
    pss_mb: float
    latency_s: tuple[float, ...]
    lost_windows: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a version of the program runs."""

    checkout: Checkout
    folder: Path
    models: Path
    port: int  # of the broker


def measure(place: Place, machines: int, seconds: float) -> Run:
    """Run the daemon for so many seconds."""
    checkout, folder, models, port = place.checkout, place.folder, place.models, place.port
    recording = folder / "recording.wav"
    recording.unlink(missing_ok=True)
    soundfile.write(recording, synthetic_sound(seconds + FOUND_S + 10.0, 5), RATE_HZ, "PCM_16")
    received: list[tuple[float, bytes]] = []
    environment = {"PYTHONPATH": str(checkout.tree)}
    with (
        MqttSubscriber(
            port, "asd/+/score", lambda m: received.append((time.time(), bytes(m.payload)))
        ),
        RecordedFleet(folder, models, port, machines, environment=environment) as daemon,
    ):
        daemon.play(recording)
        time.sleep(FOUND_S)
        received.clear()
        before_s, began = daemon.cpu_s(), time.monotonic()
        time.sleep(seconds)
        spent_s, wall_s = daemon.cpu_s() - before_s, time.monotonic() - began
        pss_mb = daemon.pss_mb()
        messages = [(at_s, json.loads(payload)) for at_s, payload in list(received)]
    return Run(
        1000.0 * spent_s / wall_s / machines,
        pss_mb,
        tuple(
            at_s - datetime.fromisoformat(message["time"]).timestamp() + checkout.clock_offset_s
            for at_s, message in messages
        ),
        _lost_windows([message for _, message in messages], machines, wall_s),
    )


def _lost_windows(messages: Sequence[dict[str, Any]], machines: int, wall_s: float) -> int:
    """Return windows missing between the first and last message of a machine, or at the end."""
    hop = FrontEnd().hop
    ends: dict[str, list[int]] = {}
    for message in messages:
        ends.setdefault(message["machine"], []).append(message["sample"])
    expected = machines * int(wall_s * RATE_HZ / hop - 1.5)
    missing = sum((max(own) - min(own)) // hop + 1 - len(own) for own in ends.values())
    return missing + max(0, expected - len(messages))


def run(
    before: Path | None, *, machines: Sequence[int], rounds: int, seconds: float
) -> tuple[dict[str, Any], str]:
    """Measure; return the figures and their table."""
    checkouts = [Checkout("now", NOW)]
    if before is not None:
        checkouts.insert(0, Checkout("before", before.resolve()))
    found: dict[str, Any] = {"before": str(before), "cells": []}
    with tempfile.TemporaryDirectory() as name, MosquittoProcess(Path(name)) as broker:
        places = []
        for each in checkouts:
            folder = Path(name) / each.name
            folder.mkdir()
            tree = None if each.tree == NOW else each.tree
            places.append(Place(each, folder, train_fleet(folder, tree), broker.port))
        for count in machines:
            runs: dict[str, list[Run]] = {each.name: [] for each in checkouts}
            for _ in range(rounds):
                for place in places:
                    runs[place.checkout.name].append(measure(place, count, seconds))
            found["cells"] += [_cell(name, count, own) for name, own in runs.items()]
    return found, _table(found["cells"])


def _cell(name: str, machines: int, runs: Sequence[Run]) -> dict[str, Any]:
    latency_s = [each for run in runs for each in run.latency_s]
    return {
        "version": name,
        "machines": machines,
        "ms_per_machine_s": statistics.median(run.ms_per_machine_s for run in runs),
        "all_ms_per_machine_s": [run.ms_per_machine_s for run in runs],
        "pss_mb": statistics.median(run.pss_mb for run in runs),
        "windows": len(latency_s),
        "lost_windows": sum(run.lost_windows for run in runs),
        "p50_ms": 1000.0 * percentile(latency_s, 0.5),
        "p99_ms": 1000.0 * percentile(latency_s, 0.99),
        "most_ms": 1000.0 * max(latency_s, default=float("nan")),
    }


def _table(cells: Sequence[dict[str, Any]]) -> str:
    head = ["version", "machines", "CPU, ms per machine and s", "PSS, MB", "windows", "lost"]
    head += ["latency p50, ms", "p99, ms", "maximum, ms"]
    rows = [
        [
            cell["version"],
            f"{cell['machines']}",
            f"{cell['ms_per_machine_s']:.2f}",
            f"{cell['pss_mb']:.1f}",
            f"{cell['windows']:,}",
            f"{cell['lost_windows']}",
            *(f"{cell[key]:.0f}" for key in ("p50_ms", "p99_ms", "most_ms")),
        ]
        for cell in cells
    ]
    return table(head, rows)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.daemon_comparison",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--before", type=Path, metavar="CHECKOUT")
    parser.add_argument("--machines", type=int, nargs="+", default=list(MACHINES), metavar="N")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    found, text = run(
        options.before, machines=options.machines, rounds=options.rounds, seconds=options.seconds
    )
    sys.stdout.write(f"{text}\n{json.dumps(found)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
