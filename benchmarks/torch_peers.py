"""Peers in torch, each measured in a process of its own.

    python -m benchmarks.torch_peers anew|anew-batch|autoencoder ROUNDS

`anew` computes each of our windows from its samples, whatever it shares with the one before;
`autoencoder` is the baseline of DCASE 2020.  Prints a line of JSON.  Needs the extra `train`.
"""

from __future__ import annotations

import argparse
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
from asd_monitor.encoder_training import autoencoder
from asd_monitor.encoder_training.export import map_name
from asd_monitor.encoder_training.network import LAYERS, Network
from asd_monitor.encoders.steps import step_stream
from asd_monitor.features.windows import Window
from asd_monitor.pipeline import WindowExtractor
from asd_monitor.records import Block, Stream
from benchmarks.measure import median_cpu_s
from benchmarks.simulated_fleet import HOP_FRAMES, RATE_HZ, fitted_detectors, synthetic_sound

SOUND_S = 60.0
WINDOWS = 32
BATCH = 512

_POOLS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "mean": lambda maps: maps.mean(1),
    "spread": lambda maps: maps.std(1, correction=0),
    "maximum": lambda maps: maps.amax(1),
}


def each_window_anew(batch: int, rounds: int) -> dict[str, object]:
    """Return the processor seconds of a window of which everything is computed anew.

    The network has the layers of the shipped one, in torch and with random weights.
    """
    [detector] = fitted_detectors(1, HOP_FRAMES["75 %"], SOUND_S)
    encode = _torch_encoder(detector)
    front_end = detector.front_end
    extractor = WindowExtractor(front_end)
    steps_of = step_stream(detector.encoders[0].card.input)
    sound = synthetic_sound(front_end.window_s * WINDOWS, 3)
    pieces = np.split(sound[: WINDOWS * front_end.window], WINDOWS)
    spent = []
    for _ in range(rounds + 1):
        seconds = 0.0
        for first in range(0, WINDOWS, batch):
            some = pieces[first : first + batch]
            fresh = [(copy.deepcopy(extractor), copy.deepcopy(steps_of)) for _ in some]
            began = time.process_time()
            windows: list[Window] = []
            steps = []
            for piece, (own_extractor, own_steps) in zip(some, fresh, strict=True):
                windows += own_extractor.push(Block(Stream(RATE_HZ), 0, piece))
                steps.append(own_steps.push(piece))
            embeddings = encode(np.stack(steps))
            detector.score([_with_features(w, e) for w, e in zip(windows, embeddings, strict=True)])
            seconds += time.process_time() - began
        spent.append(seconds / WINDOWS)
    versions = f"torch {torch.__version__}"
    return {"window_cpu_s": statistics.median(spent[1:]), "versions": versions}


def _with_features(window: Window, embedding: dict[str, Matrix]) -> Window:
    return Window(window.start, window.end, {**window.features, **embedding})


def _torch_encoder(detector: Detector) -> Callable[[Matrix], list[dict[str, Matrix]]]:
    """Return a function from log-mel steps (windows, steps, bands) to embeddings by view."""
    card = detector.encoders[0].card
    names = [output.name for output in card.outputs]
    taps = tuple(tap for tap in range(len(LAYERS)) if map_name(tap) in names)
    network = Network(LAYERS[: max(taps) + 1], taps).eval()

    def encode(steps: Matrix) -> list[dict[str, Matrix]]:
        with torch.inference_mode():
            maps = dict(zip(names, network(torch.from_numpy(steps)), strict=True))
            pooled = {
                view.name: torch.cat(
                    [_POOLS[pool](maps[name]) for name in view.outputs for pool in view.pool], 1
                ).numpy()
                for view in card.views
            }
        return [{name: found[row] for name, found in pooled.items()} for row in range(len(steps))]

    return encode


def dcase_autoencoder(rounds: int) -> dict[str, object]:
    """Return the rate of the autoencoder."""
    versions = f"torch {torch.__version__}"
    spent_s = median_cpu_s(autoencoder_round(), rounds=rounds)
    return {"rate": SOUND_S / spent_s, "versions": versions}


def autoencoder_round() -> Callable[[], None]:
    """Return a call that scores a minute with the autoencoder, in one thread.

    Log-mel is computed once per frame, vectors are scored in batches.
    """
    torch.set_num_threads(1)
    sound = synthetic_sound(SOUND_S, 3)
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "normal.wav"
        soundfile.write(recording, sound, RATE_HZ)
        trained = autoencoder.train_autoencoder([recording], epochs=0)
    network = trained.network.eval()
    hann = torch.hann_window(autoencoder.FFT)
    mel = torch.from_numpy(mel_filters(RATE_HZ, autoencoder.FFT, autoencoder.MELS))

    def work() -> None:
        with torch.inference_mode():
            frames = torch.from_numpy(sound).unfold(0, autoencoder.FFT, autoencoder.HOP)
            spectra = []
            for some in torch.split(frames, 128):
                power = torch.view_as_real(torch.fft.rfft(some * hann)).square_().sum(2)
                spectra.append(10.0 * torch.log10((power @ mel).clamp_min(1e-10)))
            log_mel = torch.cat(spectra)
            vectors = log_mel.unfold(0, autoencoder.FRAMES, 1).transpose(1, 2).flatten(1)
            for inputs in torch.split(vectors, BATCH):
                (network(inputs) - inputs).square_().mean(1)

    return work


PEERS: dict[str, Callable[[int], dict[str, object]]] = {
    "anew": lambda rounds: each_window_anew(1, rounds),
    "anew-batch": lambda rounds: each_window_anew(WINDOWS, rounds),
    "autoencoder": dcase_autoencoder,
}


def main() -> int:
    """Measure one peer."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.torch_peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("rounds", type=int)
    options = parser.parse_args()
    torch.set_num_threads(1)
    sys.stdout.write(json.dumps(PEERS[options.peer](options.rounds)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
