"""The baseline of DCASE 2020 Task 2: an autoencoder of five adjacent log-mel frames.

    640 – 128 × 4 – 8 – 128 × 4 – 640, each but the last with batch normalisation and ReLU;
    Adam at 0.001, mean squared error, 100 epochs of batches of 512

Source: https://github.com/y-kawagu/dcase2020_task2_baseline.  The score of a clip is the mean
squared error over its vectors.  As there, batch normalisation has the constants of Keras, the
weights are initialised after Glorot and Bengio (2010), and frames are centred.

It differs in two points, for small data sets.  The challenge's data make 200,000 batches; three
minutes of sound make 1,000, which is too few.
- There are more epochs where an epoch has few batches, and no tenth of the vectors is set aside
  for validation, which has no influence there.
- The statistics of batch normalisation are recomputed from all vectors at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from asd_monitor.audio.files.recordings import RecordingReader
from asd_monitor.dsp.frames import Matrix
from asd_monitor.dsp.mel import mel_filters
from asd_monitor.dsp.resampling import Resampler
from asd_monitor.dsp.spectrogram import power_spectrogram
from asd_monitor.errors import AsdMonitorError, UsageError
from asd_monitor.model_training.training_progress import Progress, no_progress
from asd_monitor.records import Samples

FFT, HOP, MELS, FRAMES = 1024, 512, 128, 5
WIDTH, DEPTH, BOTTLENECK = 128, 4, 8
EPOCHS, BATCH, LEARNING_RATE = 100, 512, 1e-3
MIN_BATCHES = 3000  # else more epochs
MOMENTUM, EPSILON = 0.01, 1e-3  # Keras's 0.99 and 0.001
_FLOOR = 2.220446049250313e-16  # added to the power before its logarithm


@dataclass(frozen=True, slots=True, eq=False)
class Autoencoder:
    """A trained network, and the rate and channel of its input."""

    network: nn.Module
    rate_hz: int
    channel: int

    def score(self, path: Path) -> float:
        """Return the score of a clip: the mean squared error over its vectors, in dB².

        Raises:
            UsageError: not a recording, or shorter than five frames.
            OperationError: no permission.

        """
        frames = log_mel(path, self.rate_hz, self.channel)
        if len(frames) < FRAMES:
            raise UsageError(f"{path}: shorter than the baseline's {FRAMES} frames: leave it out")
        inputs = torch.from_numpy(vectors(frames, np.arange(len(frames) - FRAMES + 1)))
        self.network.eval()
        with torch.inference_mode():
            return float(torch.mean((self.network(inputs) - inputs) ** 2))


def train_autoencoder(
    paths: Sequence[Path],
    *,
    channel: int = 0,
    epochs: int | None = None,
    seed: int = 0,
    threads: int = 1,
    progress: Progress = no_progress,
) -> Autoencoder:
    """Train on recordings of normal sound; those that cannot be read are left out.

    Without ``epochs`` there are 100, or as many as make 3000 batches.

    Raises:
        UsageError: no recording has five frames.
        OperationError: no permission.

    """
    rate_hz, clips = _read(paths, channel)
    frames = np.concatenate(clips)
    ends = np.cumsum([len(clip) for clip in clips])
    starts = np.concatenate(
        [
            np.arange(end - len(clip), end - FRAMES + 1)
            for end, clip in zip(ends, clips, strict=True)
        ]
    )
    if epochs is None:
        epochs = default_epochs(len(starts))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = _network()
            _fit(network, frames, starts, epochs=epochs, seed=seed, progress=progress)
    finally:
        torch.set_num_threads(before)
    return Autoencoder(network.eval(), rate_hz, channel)


def default_epochs(vectors: int) -> int:
    """Return 100, or the number of epochs that makes 3000 batches of this many vectors."""
    batches = -(-vectors // BATCH)
    return max(EPOCHS, -(-MIN_BATCHES // batches))


def _read(paths: Sequence[Path], channel: int) -> tuple[int, list[Matrix]]:
    rates, readable, refusals = [], [], []
    for path in paths:
        try:
            with RecordingReader(path, channel) as reader:
                rates.append(reader.rate_hz)
                readable.append(path)
        except AsdMonitorError as error:
            refusals.append(error)
    if not readable:
        raise refusals[0]
    clips = [log_mel(path, min(rates), channel) for path in readable]
    clips = [clip for clip in clips if len(clip) >= FRAMES]
    if not clips:
        raise UsageError(f"{readable[0]} and all others are too short for the baseline")
    return min(rates), clips


def log_mel(path: Path, rate_hz: int, channel: int) -> Matrix:
    """Return 10·log10 of the mel spectrogram (T, 128) in dB, with centred frames.

    Raises UsageError and OperationError, as `RecordingReader`.
    """
    with RecordingReader(path, channel) as reader:
        resampler = Resampler(reader.rate_hz, rate_hz)
        pieces = [resampler.push(block.samples) for block in reader.blocks()]
    samples: Samples = np.concatenate([*pieces, resampler.flush()])
    if len(samples) <= FFT // 2:
        return np.zeros((0, MELS), np.float32)
    centred = np.pad(samples, FFT // 2, mode="reflect")
    mel = power_spectrogram(centred, FFT, HOP).astype(np.float64) @ mel_filters(rate_hz, FFT, MELS)
    return np.asarray(10.0 * np.log10(mel + _FLOOR), np.float32)


def vectors(frames: Matrix, starts: npt.NDArray[np.int64]) -> Matrix:
    """Return the five frames from each start on, concatenated (n, 640)."""
    rows = starts[:, None] + np.arange(FRAMES)
    return np.ascontiguousarray(frames[rows].reshape(len(starts), FRAMES * MELS))


def _network() -> nn.Sequential:
    layers: list[nn.Module] = []
    width = FRAMES * MELS
    for units in (*[WIDTH] * DEPTH, BOTTLENECK, *[WIDTH] * DEPTH):
        layers += [
            nn.Linear(width, units),
            nn.BatchNorm1d(units, eps=EPSILON, momentum=MOMENTUM),
            nn.ReLU(),
        ]
        width = units
    layers.append(nn.Linear(width, FRAMES * MELS))
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


def _fit(
    network: nn.Sequential,
    frames: Matrix,
    starts: npt.NDArray[np.int64],
    *,
    epochs: int,
    seed: int,
    progress: Progress,
) -> None:
    order = np.random.default_rng(seed)
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, eps=1e-7)
    network.train()
    for epoch in range(epochs):
        progress("training the baseline", epoch / epochs)
        shuffled = order.permutation(starts)
        for first in range(0, len(shuffled), BATCH):
            batch = shuffled[first : first + BATCH]
            if len(batch) < 2:
                continue  # too few for batch normalisation
            inputs = torch.from_numpy(vectors(frames, batch))
            optimiser.zero_grad(set_to_none=True)
            nn.functional.mse_loss(network(inputs), inputs).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    _recompute_batch_norm(network, frames, starts)


def _recompute_batch_norm(
    network: nn.Sequential, frames: Matrix, starts: npt.NDArray[np.int64]
) -> None:
    """Recompute the statistics of batch normalisation as means over all batches."""
    for layer in network:
        if isinstance(layer, nn.BatchNorm1d):
            layer.reset_running_stats()
            layer.momentum = None
    with torch.no_grad():
        for first in range(0, len(starts), BATCH):
            batch = starts[first : first + BATCH]
            if len(batch) > 1:
                network(torch.from_numpy(vectors(frames, batch)))
