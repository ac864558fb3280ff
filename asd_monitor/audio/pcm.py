"""Conversion between 16-bit PCM and float32 samples of full scale ±1."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

INT16_SCALE = 32768
"""int16 counts of full scale 1."""


def decode_pcm(pcm: bytes, channels: int) -> npt.NDArray[np.float32]:
    """Return interleaved int16 PCM, little endian, as (channels, samples) float32.

    The rows are contiguous.
    """
    interleaved = np.frombuffer(pcm, "<i2").reshape(-1, channels)
    samples = interleaved.T.astype(np.float32, order="C")
    samples *= np.float32(1 / INT16_SCALE)
    return samples


def encode_pcm(samples: npt.ArrayLike) -> bytes:
    """Return samples of full scale ±1 as int16 PCM, little endian, clipped at full scale.

    The array is written in C order: (samples, channels) gives interleaved PCM.  The conversion is
    exact for samples that were decoded from int16.
    """
    counts = np.rint(np.asarray(samples) * INT16_SCALE)
    pcm: npt.NDArray[np.int16] = np.clip(counts, -INT16_SCALE, INT16_SCALE - 1).astype("<i2")
    return pcm.tobytes()
