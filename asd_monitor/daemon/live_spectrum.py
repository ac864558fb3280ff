"""The spectrogram of live sound as the page shows it: a few columns of coarse bands; pure."""

from __future__ import annotations

import base64
import math
from functools import cache

import numpy as np

from asd_monitor.daemon.page_protocol import BANDS, LOWEST_DBFS, STEP_DB
from asd_monitor.dsp.frames import Matrix, Vector
from asd_monitor.dsp.mel import MelBands
from asd_monitor.records import Block

COLUMN_S = 0.128
_FRAME_S = 0.064
_HIGHEST_HZ = 8000.0
_FLOOR = 1e-12


def highest_hz(rate_hz: int) -> float:
    """Return the upper end of the highest band."""
    return min(_HIGHEST_HZ, rate_hz / 2)


def spectrogram_columns(block: Block) -> str:
    """Return base64 of one byte for each band of each column: ``LOWEST_DBFS + STEP_DB · byte``.

    They divide the block evenly; of one that is much shorter than a column there are none.
    """
    rate_hz = block.rate_hz
    frame, hop = round(_FRAME_S * rate_hz), round(COLUMN_S * rate_hz)
    columns = round(len(block.samples) / hop)
    if not columns:
        return ""
    begins = np.arange(columns) * len(block.samples) // columns
    frames = np.stack([block.samples[begin : begin + frame] for begin in begins])
    spectra = np.fft.rfft(frames * _window(frame))
    power = (spectra.real**2 + spectra.imag**2).astype(np.float32) @ _bands(rate_hz, frame)
    levels = 10 * np.log10(np.fmax(power, _FLOOR))  # which replaces NaN too
    steps = np.clip((levels - LOWEST_DBFS) / STEP_DB, 0, 255)
    return base64.b64encode(steps.astype(np.uint8).tobytes()).decode()


def level_dbfs(block: Block) -> float | None:
    """Return the level of a block in dB relative to full scale; None: it has no signal."""
    samples = block.samples
    power = float(np.var(samples)) if len(samples) else 0.0
    return 10 * math.log10(power) if math.isfinite(power) and power > _FLOOR else None


@cache
def _window(frame: int) -> Vector:
    """Return a Hann window by which a sine of full scale has the power 1."""
    window = np.hanning(frame + 1)[:-1]
    scaled: Vector = (window * 2 / window.sum()).astype(np.float32)
    return scaled


@cache
def _bands(rate_hz: int, frame: int) -> Matrix:
    """Return the weights (bins, bands) of bands whose sides are straight."""
    bands = MelBands(0.0, highest_hz(rate_hz), BANDS, unit_area=False)
    return bands.weights(rate_hz, frame)
