"""Runs rounds of work in a process of its own, one for each line of its input.

    python -P round_child.py scoring|autoencoder

A line for ``scoring`` is the JSON of machines, frames from one window to the next, the length of
a block in s and the seconds of sound of each machine; for ``autoencoder`` any line.  Each is
answered by a line of JSON with the processor seconds of the round.  An empty line ends the process;
its answer is the largest resident memory in MB since the first round began.

It is run by its path, so that `asd_monitor` and `benchmarks` are those of PYTHONPATH, which can be
an earlier checkout.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(name, None)  # of this computer, not of the product; read when numpy is loaded

TRAINING_S = 60.0


@cache
def scoring_work(
    machines: int, hop_frames: int, block_s: float, seconds: float
) -> Callable[[], object]:
    """Return a call that scores the next seconds of sound of so many machines."""
    from benchmarks.simulated_fleet import SimulatedFleet, fitted_detectors  # noqa: PLC0415

    fleet = SimulatedFleet(fitted_detectors(machines, hop_frames, TRAINING_S))
    return lambda: fleet.score(seconds, block_s)


@cache
def autoencoder_work() -> Callable[[], object]:
    """Return a call that scores a minute of sound with the autoencoder."""
    from benchmarks.torch_peers import autoencoder_round  # noqa: PLC0415

    return autoencoder_round()


def run() -> int:
    """Answer the lines of stdin."""
    warm: set[str] = set()
    for line in sys.stdin:
        if not line.strip():
            break
        cell = json.loads(line)
        work = scoring_work(*cell) if sys.argv[1] == "scoring" else autoencoder_work()
        if line not in warm:
            work()
            warm.add(line)
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        began_s = time.process_time()
        work()
        print(json.dumps(time.process_time() - began_s), flush=True)  # noqa: T201
    status = Path("/proc/self/status").read_text().splitlines()
    [peak] = [entry for entry in status if entry.startswith("VmHWM")]
    print(json.dumps(int(peak.split()[1]) * 1024 / 1e6), flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(run())
