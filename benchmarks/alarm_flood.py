"""Machines that raise alarms at the same time: windows lost, latency, time to evidence.

    python -m benchmarks.alarm_flood [--machines N] [--evidence full|lowpass|none]

The real daemon monitors one recording on all machines at its own pace.  After 40 s a tone begins in
it, so that all raise an alarm within a second, and their evidence is due ten seconds later.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.evidence.package_files import read_package, stored_packages
from benchmarks.measure import percentile
from benchmarks.mosquitto import MosquittoProcess
from benchmarks.recorded_fleet import MAX_MACHINES, RecordedFleet, ScoreRecorder, train_fleet
from benchmarks.simulated_fleet import RATE_HZ, synthetic_sound
from experiments.markdown import table

NORMAL_S, FAULTY_S = 40.0, 45.0
_EVIDENCE_LIMIT_S = 90.0
_POLL_S = 0.25


def measure(machines: int, evidence: str) -> dict[str, Any]:
    """Return the figures of an alarm of so many machines at once."""
    with tempfile.TemporaryDirectory() as name, MosquittoProcess(Path(name) / "broker") as broker:
        folder = Path(name)
        models = train_fleet(folder)
        recording = folder / "flood.wav"
        sound = synthetic_sound(NORMAL_S + FAULTY_S, 21)
        time_s = np.arange(len(sound)) / RATE_HZ
        sound += np.where(time_s >= NORMAL_S, 0.05 * np.sin(2 * np.pi * 1517.0 * time_s), 0.0)
        soundfile.write(recording, sound, RATE_HZ, "PCM_16")
        defaults = {"evidence": {"sound": evidence}, "commissioning": {"days": 0}}
        fleet = RecordedFleet(folder, models, broker.port, machines, defaults=defaults)
        with (
            ScoreRecorder(broker.port) as recorder,
            fleet as daemon,
        ):
            before_mb = daemon.pss_mb()
            began = time.time()
            daemon.play(recording)
            packages, complete_s, most_mb = 0, float("nan"), before_mb
            while daemon.runs and time.time() - began < NORMAL_S + FAULTY_S + _EVIDENCE_LIMIT_S:
                packages = len(stored_packages(folder / "state"))
                most_mb = max(most_mb, daemon.pss_mb() if daemon.runs else 0.0)
                if packages >= machines and np.isnan(complete_s):
                    complete_s = time.time() - began
                time.sleep(_POLL_S)
            scores = recorder.scores()
        stored = stored_packages(folder / "state")
        with_sound = [
            read_package(folder / "state/evidence" / each.machine / each.alarm_id).sound_path
            for each in stored
        ]
    front_end = FrontEnd()
    samples = round((NORMAL_S + FAULTY_S) * RATE_HZ)
    windows = (samples - front_end.window) // front_end.hop + 1
    received = Counter(score.machine for score in scores)
    first_s = min(score.received_s for score in scores)
    calm = [score.latency_s for score in scores if score.received_s - first_s < NORMAL_S]
    flood = [score.latency_s for score in scores if score.received_s - first_s >= NORMAL_S]
    return {
        "machines": machines,
        "evidence": evidence,
        "windows_expected": machines * windows,
        "windows_received": sum(received.values()),
        "samples_lost": max((score.lost_samples for score in scores), default=0),
        "packages": len(stored),
        "with_sound": sum(path is not None for path in with_sound),
        "bytes_each": sum(each.bytes for each in stored) // max(1, len(stored)),
        "complete_after_alarm_s": complete_s - NORMAL_S,
        "pss_before_mb": before_mb,
        "pss_most_mb": most_mb,
        "calm_p50_ms": 1000 * percentile(calm, 0.5),
        "calm_p99_ms": 1000 * percentile(calm, 0.99),
        "flood_p50_ms": 1000 * percentile(flood, 0.5),
        "flood_p99_ms": 1000 * percentile(flood, 0.99),
        "flood_most_ms": 1000 * max(flood),
    }


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.alarm_flood",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--machines", type=int, default=MAX_MACHINES)
    parser.add_argument("--evidence", choices=("full", "lowpass", "none"), default="full")
    options = parser.parse_args()
    found = measure(options.machines, options.evidence)
    rows = [
        [name.replace("_", " "), f"{value:.1f}" if isinstance(value, float) else f"{value}"]
        for name, value in found.items()
    ]
    sys.stdout.write(table(["alarms at the same time", ""], rows))


if __name__ == "__main__":
    main()
