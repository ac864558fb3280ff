"""Measure asd-monitor's speed against its floor, against others, and as a running daemon.

    python -m benchmarks --output DIR [--floor] [--scoring] [--peers] [--daemon] [--growth]

Without a section all are measured, for 40 to 60 minutes.  Prints tables in Markdown and writes
DIR/bench.json, DIR/bench.md and DIR/growth.svg; sections that are not measured stay there as
they were.  All but the daemon is measured on one core, in processor time.  What the columns
mean stands in docs/bench.md.
"""

from __future__ import annotations

import os

os.environ.pop("OPENBLAS_CORETYPE", None)  # of this computer, not of the product
os.environ.pop("OPENBLAS_L2_SIZE", None)
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when numpy is loaded
os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.dsp.mel import mel_filters
from asd_monitor.errors import AsdMonitorError
from benchmarks import daemon, growth, peers, scoring
from benchmarks.measure import child_json, host, number, table
from benchmarks.plot import growth_svg

TITLES = {
    "floor": "Floor: spectrogram and mel product alone",
    "scoring": "Scoring",
    "peers": "Peers",
    "growth": "Growth",
    "daemon": "Daemon",
}
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "asd-monitor-bench"


def main() -> int:
    """Measure the chosen sections."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    for section, title in TITLES.items():
        parser.add_argument(f"--{section}", action="store_true", help=title)
    parser.add_argument("--short", action="store_true", help="a quick look, of fewer rounds")
    parser.add_argument(
        "--environment", type=Path, default=CACHE, help="of the peers, made when it is missing"
    )
    parser.add_argument("--normals-s", type=float, default=60.0, help="that detectors have learned")
    parser.add_argument("--soak-minutes", type=float, default=10.0, help="0: no soak")
    given = parser.parse_args()
    chosen = [section for section in TITLES if getattr(given, section)] or list(TITLES)
    given.output.mkdir(parents=True, exist_ok=True)
    try:
        _measure(chosen, given)
    except AsdMonitorError as error:
        sys.stderr.write(f"bench: {error}\n")
        return error.exit_code
    return 0


def _measure(chosen: list[str], given: argparse.Namespace) -> None:
    kept = given.output / "bench.json"
    found: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    found["host"] = host()
    sys.stdout.write(", ".join(f"{key} {value}" for key, value in found["host"].items()) + "\n")
    floor: dict[str, float] = {}
    cells: list[scoring.Cell] = []
    part: dict[str, Any]
    for section in chosen:
        if section in {"floor", "scoring"} and not floor:  # all else is told in multiples of it
            found["floor"], text, floor = _floor(given)
            found["floor"]["text"] = text
            _show("floor", text)
        if section == "floor":
            continue
        sys.stderr.write(f"bench: {section}\n")
        if section == "scoring":
            cells, text = scoring.run(floor, reference_s=given.reference_s, short=given.short)
            part = {"reference_s": given.reference_s, "cells": [asdict(cell) for cell in cells]}
        elif section == "peers":
            if not cells:
                cells = scoring.measure(
                    peers.OURS, reference_s=given.reference_s, short=given.short
                )
            part, text = peers.run(given.environment, cells, short=given.short)
        elif section == "growth":
            part, text = growth.run(reference_s=given.reference_s, short=given.short)
            (given.output / "growth.svg").write_text(growth_svg(part))
        else:
            part, text = daemon.run(soak_minutes=given.soak_minutes, short=given.short)
        found[section] = {**part, "short": given.short, "text": text}
        _show(section, text)
        _write(given.output, found)
    _write(given.output, found)


def _floor(given: argparse.Namespace) -> tuple[dict[str, Any], str, dict[str, float]]:
    """Return the best way of each library, their table, and the fastest of all and of numpy."""
    front_end = FrontEnd()
    foreign = peers.environment_python(given.environment)
    rounds = "5" if given.short else "25"
    libraries: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        mel = Path(folder) / "mel.npy"
        np.save(mel, mel_filters(front_end.rate_hz, front_end.frame, front_end.mel_bands))
        for library in ("numpy", "torch", "scipy", "ducc0"):
            python = sys.executable if library in {"numpy", "torch"} else foreign
            script = peers.HERE / "bench_floor.py"
            try:
                libraries[library] = child_json([python, script, library, mel, "--rounds", rounds])
            except (OSError, RuntimeError, ValueError) as error:
                libraries[library] = {"failed": str(error)}
    rows, best = [], {}
    for library, ways in libraries.items():
        if "failed" in ways:
            rows.append([library, f"not measured: {ways['failed']}"[:100], ""])
            continue
        dense = {way: rate for way, rate in ways.items() if way.startswith("dense")}
        told = dict.fromkeys((max(dense, key=dense.__getitem__), max(ways, key=ways.get)))
        rows += [[library, way, number(ways[way])] for way in told]
        best[library] = max(ways.values())
    floor = {"any": max(best.values()), "numpy": best["numpy"]}
    fastest = max(best, key=best.__getitem__)
    text = table(["library", "fastest dense way, and fastest of all", "mic-s / CPU-s"], rows)
    text += (
        f"\nThe floor is {fastest}'s {number(floor['any'])} microphone-seconds a CPU-second; "
        f"with numpy alone it is {number(floor['numpy'])}.\n"
    )
    return {"ways": libraries, "floor": floor, "fastest": fastest}, text, floor


def _show(section: str, text: str) -> None:
    sys.stdout.write(f"\n## {TITLES[section]}\n\n{text}")
    sys.stdout.flush()


def _write(output: Path, found: dict[str, Any]) -> None:
    (output / "bench.json").write_text(json.dumps(found, indent=1) + "\n")
    parts = [
        f"## {TITLES[section]}\n\n{found[section]['text'].lstrip()}"
        for section in TITLES
        if section in found
    ]
    told = ", ".join(f"{key} {value}" for key, value in found["host"].items())
    (output / "bench.md").write_text("\n".join([f"{told}\n", *parts]))


if __name__ == "__main__":
    sys.exit(main())
