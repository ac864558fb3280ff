"""The daemon as a whole: its start, its memory, how late its scores come, and whether it grows."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from asd_monitor.dsp.front_end import FrontEnd
from benchmarks.broker import Broker
from benchmarks.detectors import RATE_HZ, synthetic_sound
from benchmarks.fleet import Daemon, Heard, Subscriber, train
from benchmarks.measure import number, percentile, table

FLEETS = (1, 8, 64)
SOAK_CORES = 2
SPEED = 20.0
_FOUND_S = 2.5  # a recording that appears is found within
_EVERY_S = 5.0  # a look at memory and processor time
_RING_S = 30.0  # of sound that the daemon keeps; memory is at its height after it


def run(*, soak_minutes: float, short: bool) -> tuple[dict[str, Any], str]:
    """Run all of it; return the figures and their tables."""
    with tempfile.TemporaryDirectory() as name, Broker(Path(name)) as broker:
        folder = Path(name)
        bench = _Bench(folder, train(folder), broker.port)
        found: dict[str, Any] = {
            "start": bench.starts(rounds=3 if short else 5),
            "fleets": [bench.fleet(n, 10.0 if short else _RING_S + 15.0) for n in FLEETS],
        }
        if soak_minutes > 0:
            found["soak"] = bench.soak(60.0 * soak_minutes)
        found["flatness"] = bench.flatness(60.0 if short else 180.0)
    return found, _tables(found)


class _Bench:
    """A folder, trained models, and a broker."""

    def __init__(self, folder: Path, models: Path, port: int) -> None:
        self._folder, self._models, self._port = folder, models, port

    def _recording(self, seconds: float) -> Path:
        path = self._folder / "recording.wav"
        path.unlink(missing_ok=True)
        with soundfile.SoundFile(path, "w", RATE_HZ, 1, "PCM_16") as file:
            for first in range(0, round(seconds), 60):
                file.write(synthetic_sound(min(60.0, seconds - first), first))
        return path

    def _daemon(self, machines: int, *, query: str = "", options: tuple[str, ...] = ()) -> Daemon:
        return Daemon(
            self._folder, self._models, self._port, machines, query=query, options=options
        )

    def starts(self, rounds: int) -> list[dict[str, float]]:
        """Return the median seconds from the start of the process until it is ready."""
        found = []
        for machines in FLEETS:
            seconds = []
            for _ in range(rounds):
                with self._daemon(machines) as daemon:
                    seconds.append(daemon.ready_s)
            found.append({"machines": machines, "ready_s": statistics.median(seconds)})
        return found

    def fleet(self, machines: int, seconds: float) -> dict[str, float]:
        """Let so many machines sound; return memory, latency and cost."""
        recording = self._recording(seconds + 30.0)
        with Subscriber(self._port) as subscriber, self._daemon(machines) as daemon:
            silent_mb = daemon.pss_mb()
            daemon.play(recording)
            time.sleep(_FOUND_S)
            before_s, began = daemon.cpu_s(), time.monotonic()
            time.sleep(seconds)
            cores = (daemon.cpu_s() - before_s) / (time.monotonic() - began)
            pss_mb = daemon.pss_mb()
            heard = subscriber.heard()
        return {
            "machines": machines,
            "pss_mb": pss_mb,
            "pss_before_sound_mb": silent_mb,
            "cores": cores,
            **_latency(heard),
        }

    def soak(self, seconds: float) -> dict[str, float]:
        """Let the largest fleet sound for long on two cores."""
        machines = FLEETS[-1]
        recording = self._recording(seconds)
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, set(sorted(allowed)[:SOAK_CORES]))
        try:
            with Subscriber(self._port) as subscriber, self._daemon(machines) as daemon:
                daemon.play(recording)
                time.sleep(_FOUND_S)
                before_s, began = daemon.cpu_s(), time.monotonic()
                cores = wall_s = 0.0
                while daemon.runs and wall_s < 1.5 * seconds + 60.0:
                    if wall_s < seconds - 2 * _EVERY_S:
                        cores = (daemon.cpu_s() - before_s) / max(time.monotonic() - began, 1e-9)
                    wall_s = time.monotonic() - began
                    time.sleep(1.0)
                heard = subscriber.heard()
        finally:
            os.sched_setaffinity(0, allowed)
        front_end = FrontEnd()
        samples = round(seconds * RATE_HZ)
        expected = machines * ((samples - front_end.window) // front_end.hop + 1)
        by_machine: dict[str, list[Heard]] = {}
        for each in heard:
            by_machine.setdefault(each.machine, []).append(each)
        gaps = sum(
            max(one.seq for one in scores) - len({one.seq for one in scores})
            for scores in by_machine.values()
        )
        return {
            "machines": machines,
            "seconds": seconds,
            "expected": expected,
            "received": len(heard),
            "seq_gaps": gaps,
            "lost_samples": sum(
                max(one.lost_samples for one in scores) for scores in by_machine.values()
            ),
            "cores": cores,
            **_latency(heard),
        }

    def flatness(self, seconds: float) -> dict[str, Any]:
        """Let one machine sound twenty times as fast; return how its memory goes."""
        recording = self._recording(300.0)
        options = ("--speed", f"{SPEED:g}")
        with self._daemon(1, query="?loop", options=options) as daemon:
            daemon.play(recording)
            time.sleep(_FOUND_S)
            began, looks = time.monotonic(), []
            while time.monotonic() - began < seconds:
                time.sleep(_EVERY_S)
                looks.append((time.monotonic() - began, daemon.pss_mb()))
        late = [look for look in looks if look[0] >= seconds / 3]
        at_s, pss_mb = np.array(late).T
        slope = float(np.polyfit(at_s, pss_mb, 1)[0])
        return {
            "sound_s": seconds * SPEED,
            "pss_mb": looks,
            "least_mb": float(pss_mb.min()),
            "most_mb": float(pss_mb.max()),
            "mb_per_hour_of_sound": slope * 3600.0 / SPEED,
            "mb_per_hour_of_clock": slope * 3600.0,
        }


def _latency(heard: list[Heard]) -> dict[str, float]:
    late_s = [one.latency_s for one in heard]
    return {
        "windows": len(heard),
        "p50_ms": 1000 * percentile(late_s, 0.5),
        "p99_ms": 1000 * percentile(late_s, 0.99),
        "least_ms": 1000 * min(late_s, default=float("nan")),
        "most_ms": 1000 * max(late_s, default=float("nan")),
    }


def _tables(found: dict[str, Any]) -> str:
    ready = {start["machines"]: start["ready_s"] for start in found["start"]}
    rows, before = [], None
    for fleet in found["fleets"]:
        more = ""
        if before is not None:
            added = fleet["machines"] - before["machines"]
            more = f"{(fleet['pss_mb'] - before['pss_mb']) / added:.2f}"
        before = fleet
        row = [f"{fleet['machines']}", f"{ready[fleet['machines']]:.2f}", f"{fleet['pss_mb']:.1f}"]
        late = [f"{fleet[key]:.1f}" for key in ("p50_ms", "p99_ms", "most_ms")]
        rows.append([*row, more, f"{fleet['cores']:.3f}", *late])
    head = ["machines", "ready, s", "PSS, MB", "MB a further machine", "cores"]
    head += ["latency p50, ms", "p99, ms", "most, ms"]
    text = table(head, rows)
    if soak := found.get("soak"):
        cells = [
            ["machines", f"{soak['machines']}"],
            ["minutes", f"{soak['seconds'] / 60:g}"],
            ["windows expected", f"{soak['expected']:,}"],
            ["windows received", f"{soak['received']:,}"],
            ["gaps in seq", f"{soak['seq_gaps']}"],
            ["samples lost", f"{soak['lost_samples']}"],
            ["cores taken by the daemon", f"{soak['cores']:.3f}"],
            *([f"latency {key}, ms", f"{soak[f'{key}_ms']:.1f}"] for key in ("p50", "p99", "most")),
        ]
        text += f"\n{table([f'soak on {SOAK_CORES} cores', ''], cells)}"
    flat = found["flatness"]
    span = f"{flat['least_mb']:.2f} to {flat['most_mb']:.2f}"
    cells = [
        ["PSS in the last two thirds, MB", span],
        ["growth, MB an hour of sound", f"{flat['mb_per_hour_of_sound']:.2f}"],
    ]
    heading = f"one machine, {number(flat['sound_s'] / 60)} min of sound at speed {SPEED:g}"
    return f"{text}\n{table([heading, ''], cells)}"
