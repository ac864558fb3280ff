"""Peers in torch, run by themselves: each window anew, and the autoencoder of DCASE 2020.

    bench_plain.py anew|anew-batch|autoencoder ROUNDS

Prints one line of JSON.  Needs the extra `train`.
"""

from __future__ import annotations

import copy
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch

from asd_monitor.detector.detector import Detector
from asd_monitor.dsp.frames import Matrix
from asd_monitor.dsp.mel import mel_filters
from asd_monitor.encoder_training import autoencoder, network
from asd_monitor.encoders.steps import step_stream
from asd_monitor.features.windows import Window
from asd_monitor.pipeline import WindowExtractor
from asd_monitor.records import Block
from benchmarks.detectors import HOP_FRAMES, RATE_HZ, detectors, synthetic_sound
from benchmarks.measure import median_cpu_s

SOUND_S = 60.0
WINDOWS = 32
BATCH = 512


def anew(batch: int, rounds: int) -> dict[str, object]:
    """Measure seconds of processor a window: log-mel, statistics and network all anew.

    The network has the layers of the shipped one, in torch and with drawn weights.
    """
    [detector] = detectors(1, HOP_FRAMES["75 %"], SOUND_S)
    encode = _encoder(detector)
    front_end = detector.front_end
    fresh_windows, fresh_steps = (
        WindowExtractor(front_end, RATE_HZ),
        step_stream(detector.encoders[0].card.input),
    )
    sound = synthetic_sound(front_end.window_s * WINDOWS, 3)
    pieces = np.split(sound[: WINDOWS * front_end.window], WINDOWS)
    spent = []
    for _ in range(rounds + 1):
        seconds = 0.0
        for first in range(0, WINDOWS, batch):
            some = pieces[first : first + batch]
            begun = [(copy.deepcopy(fresh_windows), copy.deepcopy(fresh_steps)) for _ in some]
            began = time.process_time()
            windows, steps = [], []
            for piece, (statistic, step) in zip(some, begun, strict=True):
                windows += statistic.push(Block(0, piece))
                steps.append(step.push(piece))
            encoded = encode(np.stack(steps))
            detector.score([_joined(w, e) for w, e in zip(windows, encoded, strict=True)])
            seconds += time.process_time() - began
        spent.append(seconds / WINDOWS)
    told = f"torch {torch.__version__}"
    return {"window_cpu_s": statistics.median(spent[1:]), "told": told}


def _joined(window: Window, encoded: dict[str, Matrix]) -> Window:
    return Window(window.start, window.end, {**window.features, **encoded})


def _encoder(detector: Detector) -> Callable[[Matrix], list[dict[str, Matrix]]]:
    """Return what makes the encoder's vectors of the steps (windows, steps, bands)."""
    card = detector.encoders[0].card
    taps = tuple(int(output.name.removeprefix("maps")) for output in card.outputs)
    eager = network.Network(network.LAYERS[: max(taps) + 1], taps).eval()
    pools = {
        "mean": lambda maps: maps.mean(1),
        "spread": lambda maps: maps.std(1, correction=0),
        "maximum": lambda maps: maps.amax(1),
    }
    names = [output.name for output in card.outputs]

    def vectors(steps: Matrix) -> list[dict[str, Matrix]]:
        with torch.inference_mode():
            maps = dict(zip(names, eager(torch.from_numpy(steps)), strict=True))
            pooled_statistics = {
                view.name: torch.cat(
                    [pools[pool](maps[name]) for name in view.outputs for pool in view.pool], 1
                ).numpy()
                for view in card.resolved_views
            }
        return [{name: found[row] for name, found in pooled_statistics.items()} for row in range(len(steps))]

    return vectors


def baseline(rounds: int) -> dict[str, object]:
    """Measure the autoencoder on a minute: log-mel once a frame, vectors in batches."""
    sound = synthetic_sound(SOUND_S, 3)
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "normal.wav"
        soundfile.write(recording, sound, RATE_HZ)
        trained = autoencoder.train_autoencoder([recording], epochs=0)
    net = trained.network.eval()
    hann = torch.hann_window(autoencoder.FFT)
    mel = torch.from_numpy(mel_filters(RATE_HZ, autoencoder.FFT, autoencoder.MELS))

    def work() -> None:
        with torch.inference_mode():
            frames = torch.from_numpy(sound).unfold(0, autoencoder.FFT, autoencoder.HOP)
            made = []
            for some in torch.split(frames, 128):
                power = torch.view_as_real(torch.fft.rfft(some * hann)).square_().sum(2)
                made.append(10.0 * torch.log10((power @ mel).clamp_min(1e-10)))
            log_mel = torch.cat(made)
            vectors = log_mel.unfold(0, autoencoder.FRAMES, 1).transpose(1, 2).flatten(1)
            for inputs in torch.split(vectors, BATCH):
                (net(inputs) - inputs).square_().mean(1)

    told = f"torch {torch.__version__}"
    return {"rate": SOUND_S / median_cpu_s(work, rounds=rounds), "told": told}


def main() -> int:
    """Measure one peer."""
    name, rounds = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(1)
    if name == "autoencoder":
        found = baseline(rounds)
    else:
        found = anew(WINDOWS if name == "anew-batch" else 1, rounds)
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
