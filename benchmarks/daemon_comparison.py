"""Processor time, latency and memory of the daemon, compared with an earlier checkout.

    python -m benchmarks.daemon_comparison [--before CHECKOUT] [--machines N …] [--rounds R]
        [--settled-s S] [--seconds S] [--together]

The daemons run on recordings at real pace with a real mosquitto: that of the earlier checkout, this
one, and this one without commissioning.  Each version trains the models with its own code.  In the
first minutes of a commissioning more blocks are kept than later; ``--settled-s`` is the sound
before the measurement.

The daemons of a round run one after the other, or at the same time with ``--together``.  Ratios are
medians of those of a round.  Where other work runs on the computer, they are steadier with
``--together``; the latencies are then not those of a daemon alone.

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
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
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
class Variant:
    """A version of the program, and settings of all machines."""

    name: str
    tree: Path
    defaults: Mapping[str, Any]

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
    """Where a variant runs."""

    variant: Variant
    folder: Path
    models: Path
    port: int  # of the broker


def measure(place: Place, machines: int, settled_s: float, seconds: float) -> Run:
    """Run the daemon, and measure for so many seconds after ``settled_s`` of sound."""
    variant, folder = place.variant, place.folder
    recording = folder / "recording.wav"
    recording.unlink(missing_ok=True)
    sound = synthetic_sound(settled_s + seconds + 10.0, 5)
    soundfile.write(recording, sound, RATE_HZ, "PCM_16")
    received: list[tuple[float, bytes]] = []
    with (
        MqttSubscriber(
            place.port, "asd/+/score", lambda m: received.append((time.time(), bytes(m.payload)))
        ),
        RecordedFleet(
            folder,
            place.models,
            place.port,
            machines,
            defaults=variant.defaults,
            environment={"PYTHONPATH": str(variant.tree)},
        ) as daemon,
    ):
        daemon.play(recording)
        time.sleep(settled_s)
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
            at_s - datetime.fromisoformat(message["time"]).timestamp() + variant.clock_offset_s
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
    before: Path | None,
    *,
    machines: Sequence[int],
    rounds: int,
    seconds: float,
    settled_s: float = FOUND_S,
    together: bool = False,
) -> tuple[dict[str, Any], str]:
    """Measure; return the figures and their table.

    Args:
        before: the earlier checkout; None: there is none.
        machines: numbers of machines.
        rounds: how often each is measured.
        seconds: length of a measurement.
        settled_s: sound before it, in s.
        together: the daemons of a round run at the same time.

    """
    variants = [
        Variant("now", NOW, {}),
        Variant("now, no commissioning", NOW, {"commissioning": {"days": 0}}),
    ]
    if before is not None:
        variants.insert(0, Variant("before", before.resolve(), {}))
    found: dict[str, Any] = {"before": str(before), "cells": []}
    with tempfile.TemporaryDirectory() as name, MosquittoProcess(Path(name)) as broker:
        models: dict[Path, Path] = {}
        places = []
        for number, each in enumerate(variants):
            folder = Path(name) / f"{number}"
            folder.mkdir()
            if each.tree not in models:
                models[each.tree] = train_fleet(folder, each.tree)
            places.append(Place(each, folder, models[each.tree], broker.port))
        for count in machines:
            one = partial(measure, machines=count, settled_s=settled_s, seconds=seconds)
            with ThreadPoolExecutor(len(places) if together else 1) as threads:
                runs = [list(threads.map(one, places)) for _ in range(rounds)]
            found["cells"] += [
                cell(variant.name, count, [each[number] for each in runs], runs)
                for number, variant in enumerate(variants)
            ]
    return found, _table(found["cells"])


def cell(
    name: str, machines: int, own: Sequence[Run], rounds: Sequence[Sequence[Run]]
) -> dict[str, Any]:
    """Return the figures of the runs of a variant; ``rounds`` are the runs of all, by round."""
    firsts = [runs[0] for runs in rounds]
    latency_s = [each for run in own for each in run.latency_s]
    return {
        "version": name,
        "machines": machines,
        "ms_per_machine_s": statistics.median(run.ms_per_machine_s for run in own),
        "all_ms_per_machine_s": [run.ms_per_machine_s for run in own],
        "ratio": statistics.median(
            run.ms_per_machine_s / first.ms_per_machine_s
            for run, first in zip(own, firsts, strict=True)
        ),
        "pss_mb": statistics.median(run.pss_mb for run in own),
        "mb_more_per_machine": statistics.median(
            (run.pss_mb - first.pss_mb) / machines for run, first in zip(own, firsts, strict=True)
        ),
        "windows": len(latency_s),
        "lost_windows": sum(run.lost_windows for run in own),
        "p50_ms": 1000.0 * percentile(latency_s, 0.5),
        "p99_ms": 1000.0 * percentile(latency_s, 0.99),
        "most_ms": 1000.0 * max(latency_s, default=float("nan")),
    }


def _table(cells: Sequence[dict[str, Any]]) -> str:
    head = ["version", "machines", "CPU, ms per machine and s", "× first row", "PSS, MB"]
    head += ["MB more a machine", "windows", "lost", "latency p50, ms", "p99, ms", "maximum, ms"]
    rows = [
        [
            cell["version"],
            f"{cell['machines']}",
            f"{cell['ms_per_machine_s']:.2f}",
            f"{cell['ratio']:.3f}",
            f"{cell['pss_mb']:.1f}",
            f"{cell['mb_more_per_machine']:+.2f}",
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
    parser.add_argument("--settled-s", type=float, default=FOUND_S, metavar="S")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--together", action="store_true")
    options = parser.parse_args()
    found, text = run(
        options.before,
        machines=options.machines,
        rounds=options.rounds,
        seconds=options.seconds,
        settled_s=options.settled_s,
        together=options.together,
    )
    sys.stdout.write(f"{text}\n{json.dumps(found)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
