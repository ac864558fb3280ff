"""Measure speed and memory: lower bound, scoring, other models, growth, and the running daemon.

    python -m benchmarks [--output DIR] [--SECTION …]

Without a section, all are measured, which takes 40 to 60 minutes.  Prints tables in Markdown and
writes DIR/bench.json, DIR/bench.md and DIR/growth.svg; sections that are not measured keep their
earlier results there.  All but the daemon are measured on one core, in processor time.
docs/method/speed.md explains the columns.
"""

from __future__ import annotations

import os

os.environ.pop("OPENBLAS_CORETYPE", None)  # of this computer, not of the product
os.environ.pop("OPENBLAS_L2_SIZE", None)
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when numpy is loaded
os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.dsp.mel import mel_filters
from asd_monitor.errors import AsdMonitorError
from benchmarks import comparison, daemon, growth, peers, scoring
from benchmarks.growth_plot import growth_svg
from benchmarks.measure import child_json, host, host_text, number
from experiments.markdown import table

TITLES = {
    "floor": "Floor: spectrogram and mel product alone",
    "scoring": "Scoring",
    "comparison": "Comparison with an earlier checkout and the autoencoder",
    "peers": "Peers",
    "growth": "Growth",
    "daemon": "Daemon",
}
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "asd-monitor-bench"


def main() -> int:
    """Measure the chosen sections."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--output", type=Path, default=CACHE / "results", metavar="DIR", help="default: %(default)s"
    )
    for section, title in TITLES.items():
        parser.add_argument(f"--{section}", action="store_true", help=title)
    parser.add_argument("--short", action="store_true", help="fewer rounds, for a quick check")
    parser.add_argument(
        "--environment", type=Path, default=CACHE, help="of the peers; created if it is missing"
    )
    parser.add_argument(
        "--normals-s",
        dest="training_s",
        type=float,
        default=60.0,
        metavar="S",
        help="seconds of sound that detectors are fitted to",
    )
    parser.add_argument(
        "--soak-minutes", type=float, default=10.0, metavar="MIN", help="0: no soak"
    )
    parser.add_argument(
        "--before",
        type=Path,
        metavar="CHECKOUT",
        help="an earlier checkout that --comparison and --daemon take turns with",
    )
    options = parser.parse_args()
    chosen = [section for section in TITLES if getattr(options, section)] or list(TITLES)
    options.output.mkdir(parents=True, exist_ok=True)
    try:
        _Benchmark(options).run(chosen)
    except AsdMonitorError as error:
        sys.stderr.write(f"benchmarks: {error}\n")
        return error.exit_code
    return 0


class _Benchmark:
    """The sections, and what one of them needs of another."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._floor: dict[str, float] = {}
        self._rates: list[scoring.ScoringRate] = []

    def run(self, sections: list[str]) -> None:
        """Measure sections, print their tables and write the files."""
        output: Path = self._options.output
        earlier = output / "bench.json"
        found: dict[str, Any] = json.loads(earlier.read_text()) if earlier.exists() else {}
        found["host"] = host()
        sys.stdout.write(host_text() + "\n")
        for section in sections:
            if section in {"floor", "scoring"} and not self._floor:
                part, text = self._measure_floor()
                found["floor"] = {**part, "text": text}
                _print("floor", text)
            if section != "floor":
                sys.stderr.write(f"benchmarks: {section}\n")
                part, text = self._measure(section)
                found[section] = {**part, "short": self._options.short, "text": text}
                _print(section, text)
            _write(output, found)

    def _measure(self, section: str) -> tuple[dict[str, Any], str]:
        options = self._options
        training_s, short = options.training_s, options.short
        match section:
            case "scoring":
                self._rates, text = scoring.run(self._floor, training_s=training_s, short=short)
                return {"normals_s": training_s, "cells": [asdict(r) for r in self._rates]}, text
            case "comparison":
                return comparison.run(options.before, short=short)
            case "peers":
                rates = self._rates or scoring.measure(
                    peers.OWN_MACHINES, training_s=training_s, short=short
                )
                return peers.run(options.environment, rates, short=short)
            case "growth":
                part, text = growth.run(training_s=training_s, short=short)
                (options.output / "growth.svg").write_text(growth_svg(part))
                return part, text
            case _:
                return daemon.run(
                    soak_minutes=options.soak_minutes, short=short, before=options.before
                )

    def _measure_floor(self) -> tuple[dict[str, Any], str]:
        """Measure every way of each library; the fastest is the unit of `scoring`."""
        front_end = FrontEnd()
        of_peers = peers.environment_python(self._options.environment)
        rounds = "5" if self._options.short else "25"
        libraries: dict[str, Any] = {}
        with tempfile.TemporaryDirectory() as folder:
            mel = Path(folder) / "mel.npy"
            np.save(mel, mel_filters(front_end.rate_hz, front_end.frame, front_end.mel_bands))
            for library in ("numpy", "torch", "scipy", "ducc0"):
                python = sys.executable if library in {"numpy", "torch"} else of_peers
                command = [python, "-m", "benchmarks.floor", library, mel, "--rounds", rounds]
                try:
                    libraries[library] = child_json(command)
                except (OSError, RuntimeError, ValueError, subprocess.TimeoutExpired) as error:
                    libraries[library] = {"failed": str(error)}
        rows, best = [], {}
        for library, ways in libraries.items():
            if "failed" in ways:
                rows.append([library, f"not measured: {ways['failed']}"[:100], ""])
                continue
            dense = {way: rate for way, rate in ways.items() if way.startswith("dense")}
            shown = dict.fromkeys((max(dense, key=dense.__getitem__), max(ways, key=ways.get)))
            rows += [[library, way, number(ways[way])] for way in shown]
            best[library] = max(ways.values())
        self._floor = {"any": max(best.values()), "numpy": best["numpy"]}
        fastest = max(best, key=best.__getitem__)
        head = ["library", "fastest dense way, and fastest of all", "mic-s / CPU-s"]
        text = table(head, rows) + (
            f"\nThe floor is {fastest}'s {number(self._floor['any'])} microphone-seconds per "
            f"CPU-second; with numpy alone it is {number(self._floor['numpy'])}.\n"
        )
        return {"ways": libraries, "floor": self._floor, "fastest": fastest}, text


def _print(section: str, text: str) -> None:
    sys.stdout.write(f"\n## {TITLES[section]}\n\n{text}")
    sys.stdout.flush()


def _write(output: Path, found: dict[str, Any]) -> None:
    (output / "bench.json").write_text(json.dumps(found, indent=1) + "\n")
    parts = [
        f"## {TITLES[section]}\n\n{found[section]['text'].lstrip()}"
        for section in TITLES
        if section in found
    ]
    (output / "bench.md").write_text("\n".join([f"{host_text()}\n", *parts]))


if __name__ == "__main__":
    sys.exit(main())
