"""Overlapping frames of a signal, and the array types of the signal path."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Precision = TypeVar("Precision", np.float32, np.float64)


def hann(length: int) -> Floats:
    """Return the periodic Hann window, (length,) float64.

    ``w[n] = 0.5 − 0.5 · cos(2πn / length)``; F. J. Harris, "On the use of windows for harmonic
    analysis with the discrete Fourier transform", Proc. IEEE 66 (1978), eq. 27.
    """
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)


def split_frames(samples: npt.NDArray[Precision], frame: int, hop: int) -> npt.NDArray[Precision]:
    """Return the frames (n, frame) of a signal (samples,), as a read-only view.

    Frame ``k`` covers the samples ``k · hop`` … ``k · hop + frame − 1``: no padding, no centring.
    Samples after the last whole frame are not covered; a signal shorter than a frame has none.
    """
    if len(samples) < frame:
        return np.zeros((0, frame), samples.dtype)
    return np.lib.stride_tricks.sliding_window_view(samples, frame)[::hop]
