"""The running daemon: start-up time, memory, latency of the scores, and memory growth."""

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
from benchmarks import daemon_comparison
from benchmarks.measure import number, percentile
from benchmarks.mosquitto import MosquittoProcess
from benchmarks.recorded_fleet import ReceivedScore, RecordedFleet, ScoreRecorder, train_fleet
from benchmarks.simulated_fleet import RATE_HZ, synthetic_sound
from experiments.markdown import table

FLEETS = (1, 8, 64)
SOAK_CORES = 2
SPEED = 20.0
_FOUND_S = 2.5  # a new recording is found within this time
_INTERVAL_S = 5.0  # of the measurements of memory
_RING_S = 61.0  # of sound that the daemon keeps; then its memory is at its maximum


def run(
    *, soak_minutes: float, short: bool, before: Path | None = None
) -> tuple[dict[str, Any], str]:
    """Measure everything; return the figures and their tables.

    ``before`` is an earlier checkout that is compared.
    """
    compared, text = daemon_comparison.run(
        before,
        machines=daemon_comparison.MACHINES,
        rounds=1 if short else 3,
        seconds=15.0 if short else 40.0,
    )
    with tempfile.TemporaryDirectory() as name, MosquittoProcess(Path(name)) as broker:
        folder = Path(name)
        bench = _DaemonBenchmark(folder, train_fleet(folder), broker.port)
        found: dict[str, Any] = {
            "start": bench.start_up(rounds=3 if short else 5),
            "fleets": [bench.fleet(n, 10.0 if short else _RING_S + 15.0) for n in FLEETS],
        }
        if soak_minutes > 0:
            found["soak"] = bench.soak(60.0 * soak_minutes)
        found["flatness"] = bench.memory_growth(60.0 if short else 180.0)
    found["comparison"] = compared
    return found, f"{text}\n{_tables(found)}"


class _DaemonBenchmark:
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

    def _daemon(
        self, machines: int, *, query: str = "", options: tuple[str, ...] = ()
    ) -> RecordedFleet:
        return RecordedFleet(
            self._folder, self._models, self._port, machines, query=query, options=options
        )

    def start_up(self, rounds: int) -> list[dict[str, float]]:
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
        """Return memory, latency and processor time with so many machines."""
        recording = self._recording(seconds + 30.0)
        with ScoreRecorder(self._port) as recorder, self._daemon(machines) as daemon:
            before_mb = daemon.pss_mb()
            daemon.play(recording)
            time.sleep(_FOUND_S)
            before_s, began = daemon.cpu_s(), time.monotonic()
            time.sleep(seconds)
            cores = (daemon.cpu_s() - before_s) / (time.monotonic() - began)
            pss_mb = daemon.pss_mb()
            scores = recorder.scores()
        return {
            "machines": machines,
            "pss_mb": pss_mb,
            "pss_before_sound_mb": before_mb,
            "cores": cores,
            **_latency(scores),
        }

    def soak(self, seconds: float) -> dict[str, float]:
        """Return losses and latency of the largest fleet in a long run on two cores."""
        machines = FLEETS[-1]
        recording = self._recording(seconds)
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, set(sorted(allowed)[:SOAK_CORES]))
        try:
            with ScoreRecorder(self._port) as recorder, self._daemon(machines) as daemon:
                daemon.play(recording)
                time.sleep(_FOUND_S)
                before_s, began = daemon.cpu_s(), time.monotonic()
                cores = wall_s = 0.0
                while daemon.runs and wall_s < 1.5 * seconds + 60.0:
                    if wall_s < seconds - 2 * _INTERVAL_S:
                        cores = (daemon.cpu_s() - before_s) / max(time.monotonic() - began, 1e-9)
                    wall_s = time.monotonic() - began
                    time.sleep(1.0)
                scores = recorder.scores()
        finally:
            os.sched_setaffinity(0, allowed)
        front_end = FrontEnd()
        samples = round(seconds * RATE_HZ)
        expected = machines * ((samples - front_end.window) // front_end.hop + 1)
        by_machine: dict[str, list[ReceivedScore]] = {}
        for score in scores:
            by_machine.setdefault(score.machine, []).append(score)
        gaps = sum(
            max(score.seq for score in own) - len({score.seq for score in own})
            for own in by_machine.values()
        )
        return {
            "machines": machines,
            "seconds": seconds,
            "expected": expected,
            "received": len(scores),
            "seq_gaps": gaps,
            "lost_samples": sum(
                max(score.lost_samples for score in own) for own in by_machine.values()
            ),
            "cores": cores,
            **_latency(scores),
        }

    def memory_growth(self, seconds: float) -> dict[str, Any]:
        """Return the growth of memory with one machine at twenty times the pace."""
        recording = self._recording(300.0)
        options = ("--speed", f"{SPEED:g}")
        with self._daemon(1, query="?loop", options=options) as daemon:
            daemon.play(recording)
            time.sleep(_FOUND_S)
            began, measured = time.monotonic(), []
            while time.monotonic() - began < seconds:
                time.sleep(_INTERVAL_S)
                measured.append((time.monotonic() - began, daemon.pss_mb()))
        settled = [each for each in measured if each[0] >= seconds / 3]
        at_s, pss_mb = np.array(settled).T
        mb_per_s = float(np.polyfit(at_s, pss_mb, 1)[0])
        return {
            "sound_s": seconds * SPEED,
            "pss_mb": measured,
            "least_mb": float(pss_mb.min()),
            "most_mb": float(pss_mb.max()),
            "mb_per_hour_of_sound": mb_per_s * 3600.0 / SPEED,
            "mb_per_hour_of_clock": mb_per_s * 3600.0,
        }


def _latency(scores: list[ReceivedScore]) -> dict[str, float]:
    latency_s = [score.latency_s for score in scores]
    return {
        "windows": len(scores),
        "p50_ms": 1000 * percentile(latency_s, 0.5),
        "p99_ms": 1000 * percentile(latency_s, 0.99),
        "least_ms": 1000 * min(latency_s, default=float("nan")),
        "most_ms": 1000 * max(latency_s, default=float("nan")),
    }


def _tables(found: dict[str, Any]) -> str:
    ready = {start["machines"]: start["ready_s"] for start in found["start"]}
    rows, before = [], None
    for fleet in found["fleets"]:
        per_machine = ""
        if before is not None:
            added = fleet["machines"] - before["machines"]
            per_machine = f"{(fleet['pss_mb'] - before['pss_mb']) / added:.2f}"
        before = fleet
        row = [f"{fleet['machines']}", f"{ready[fleet['machines']]:.2f}", f"{fleet['pss_mb']:.1f}"]
        latency = [f"{fleet[key]:.1f}" for key in ("p50_ms", "p99_ms", "most_ms")]
        rows.append([*row, per_machine, f"{fleet['cores']:.3f}", *latency])
    head = ["machines", "ready, s", "PSS, MB", "MB per further machine", "cores"]
    head += ["latency p50, ms", "p99, ms", "maximum, ms"]
    text = table(head, rows)
    if soak := found.get("soak"):
        latency_names = {"p50": "p50", "p99": "p99", "most": "maximum"}
        cells = [
            ["machines", f"{soak['machines']}"],
            ["minutes", f"{soak['seconds'] / 60:g}"],
            ["windows expected", f"{soak['expected']:,}"],
            ["windows received", f"{soak['received']:,}"],
            ["gaps in seq", f"{soak['seq_gaps']}"],
            ["samples lost", f"{soak['lost_samples']}"],
            ["cores used by the daemon", f"{soak['cores']:.3f}"],
            *(
                [f"latency {name}, ms", f"{soak[f'{key}_ms']:.1f}"]
                for key, name in latency_names.items()
            ),
        ]
        text += f"\n{table([f'soak on {SOAK_CORES} cores', ''], cells)}"
    growth = found["flatness"]
    cells = [
        ["PSS in the last two thirds, MB", f"{growth['least_mb']:.2f} to {growth['most_mb']:.2f}"],
        ["growth, MB per hour of sound", f"{growth['mb_per_hour_of_sound']:.2f}"],
    ]
    title = f"one machine, {number(growth['sound_s'] / 60)} min of sound at speed {SPEED:g}"
    return f"{text}\n{table([title, ''], cells)}"
