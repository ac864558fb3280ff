"""A lower bound of the cost: the spectrogram and its mel product alone, in several ways.

    python -m benchmarks.floor numpy|scipy|ducc0|torch MEL.npy --seconds 60 --rounds 15

Frames of 1024 samples every 512, Hann window, real FFT, power, and the product with the mel
matrix in MEL.npy, in single precision and batches of frames.  Every score from mel bands costs at
least this.  Prints a line of JSON: microphone-seconds per processor second of each way.  Runs in
a process of its own, so that each library has its own memory and threads, and needs numpy only.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.measure import medians_cpu_s

Matrix = npt.NDArray[np.float32]
Rfft = Callable[[Matrix], Any]
Way = Callable[[Matrix], Matrix]
"""Windowed frames (n, 1024) → mel energies (n, bands)."""

RATE_HZ, FRAME, HOP = 16_000, 1024, 512
BATCHES = (64, 128, 256)  # frames
BLOCKS = (4, 8, 16)  # of bands
HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)).astype(np.float32)


class BlockedMelProduct:
    """The mel product in blocks of adjacent bands, each over the bins with a weight.

    With ``unsummed`` its input are the squares of real and imaginary parts side by side, which
    the product sums.
    """

    def __init__(self, mel: Matrix, blocks: int, *, unsummed: bool = False) -> None:
        weights = np.repeat(mel, 2, axis=0) if unsummed else mel
        self._blocks: list[tuple[slice, slice, Matrix]] = []
        for bands in np.array_split(np.arange(mel.shape[1]), blocks):
            columns = slice(int(bands[0]), int(bands[-1]) + 1)
            rows = np.flatnonzero(weights[:, columns].any(1))
            used = slice(int(rows[0]), int(rows[-1]) + 1)
            self._blocks.append((used, columns, np.ascontiguousarray(weights[used, columns])))
        self._bands = mel.shape[1]

    def __call__(self, power: Matrix) -> Matrix:
        """Return the energies (frames, bands)."""
        energies = np.empty((len(power), self._bands), np.float32)
        for rows, columns, weights in self._blocks:
            np.matmul(power[:, rows], weights, out=energies[:, columns])
        return energies


def power_of(spectra: Any) -> Matrix:
    """Return the power of complex spectra."""
    return np.asarray(spectra.real**2 + spectra.imag**2)


def squares_of(spectra: Any) -> Matrix:
    """Return the squares of real and imaginary parts, side by side."""
    parts: Matrix = spectra.view(np.float32)
    return np.square(parts, out=parts)


def numpy_ways(rfft: Rfft, mel: Matrix) -> dict[str, Way]:
    """Return the ways to compute mel energies with this FFT and numpy's products, by name."""
    ways: dict[str, Way] = {"dense": lambda frames: power_of(rfft(frames)) @ mel}
    for count in BLOCKS:
        product = BlockedMelProduct(mel, count)
        ways[f"{count} blocks"] = partial(_by_blocks, rfft, power_of, product)
        unsummed = BlockedMelProduct(mel, count, unsummed=True)
        ways[f"{count} blocks, squares unsummed"] = partial(_by_blocks, rfft, squares_of, unsummed)
    return ways


def _by_blocks(
    rfft: Rfft, square: Callable[[Any], Matrix], product: BlockedMelProduct, frames: Matrix
) -> Matrix:
    return product(square(rfft(frames)))


def rfft_of(library: str) -> Rfft:
    """Return the real FFT of a library; raises ImportError."""
    if library == "numpy":
        return np.fft.rfft
    module = importlib.import_module(f"{library}.fft")
    if library == "ducc0":
        return lambda frames: module.r2c(frames, axes=(1,), nthreads=1)
    return lambda frames: module.rfft(frames, axis=1)


def works_of(library: str, mel: Matrix, sound: Matrix) -> dict[str, Callable[[], None]]:
    """Return a call for each way of a library and size of its batches, by name."""
    if library == "torch":
        return _torch_works(mel, sound)
    frames = np.lib.stride_tricks.sliding_window_view(sound, FRAME)[::HOP]
    return {
        f"{name}, {size} frames": partial(_in_batches, way, frames, size)
        for name, way in numpy_ways(rfft_of(library), mel).items()
        for size in BATCHES
    }


def _in_batches(way: Way, frames: Matrix, size: int) -> None:
    for first in range(0, len(frames), size):
        way(frames[first : first + size] * HANN)


def _torch_works(mel: Matrix, sound: Matrix) -> dict[str, Callable[[], None]]:
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    frames, hann = torch.from_numpy(sound).unfold(0, FRAME, HOP), torch.from_numpy(HANN)
    weights = torch.from_numpy(mel)

    def work(size: int) -> None:
        with torch.inference_mode():
            for first in range(0, len(frames), size):
                spectra = torch.fft.rfft(frames[first : first + size] * hann)
                torch.view_as_real(spectra).square_().sum(2) @ weights

    return {f"dense, {size} frames": partial(work, size) for size in BATCHES}


def main() -> int:
    """Measure one library."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.floor",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("library", choices=("numpy", "scipy", "ducc0", "torch"))
    parser.add_argument("mel", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    noise = np.random.default_rng(1).standard_normal(round(options.seconds * RATE_HZ))
    works = works_of(options.library, np.load(options.mel), (0.1 * noise).astype(np.float32))
    spent = medians_cpu_s(works, rounds=options.rounds)
    sys.stdout.write(json.dumps({name: options.seconds / s for name, s in spent.items()}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
