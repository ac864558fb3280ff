"""Spectro-temporal Gabor features of many streams at once, each frame filtered once.

Definition: `asd_monitor.dsp.gabor_features`.  A filter is the product of one in frequency and one
in time: the frames are filtered along frequency, then along time.  With the real and imaginary
parts r and i of both, in time first,

    |falling|² , |rising|² = (rr)² + (ii)² + (ri)² + (ir)² ± 2 (ri · ir − rr · ii)

Axes: m streams, n frames, t filters in time, s in frequency, p places along frequency.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from asd_monitor.dsp.frames import Floats, Matrix
from asd_monitor.dsp.gabor_features import (
    FILTER_PAIRS,
    MODULUS_FLOOR,
    PLACES,
    RIPPLES,
    Complex,
    place_pairs,
    receptive_field_frames,
    spectral_filters,
    temporal_filters,
)
from asd_monitor.features.strided_windows import strided_windows

TILE = 8  # frames filtered in one product


class GaborFeatures:
    """The filter bank for log-mel frames of one rate and number of bands."""

    def __init__(self, frame_rate_hz: float, bands: int) -> None:
        self.receptive_field = receptive_field_frames(frame_rate_hz)
        """Frames that a response depends on."""
        self._in_frequency = _frequency_weights(bands)
        self._in_time = _time_weights(frame_rate_hz)
        self._norms = _norms(frame_rate_hz)

    def filter_frequency(self, log_mel: Matrix) -> Matrix:
        """Return the responses along frequency, (m, n, s · p), of log-mel frames (m, n, bands)."""
        rows = log_mel.reshape(-1, log_mel.shape[2]) @ self._in_frequency
        return rows.reshape(*log_mel.shape[:2], -1)

    def filter_time(self, responses: Matrix) -> Matrix:
        """Return the squared moduli (m, n + 1 − receptive field, filters · p).

        ``responses`` (m, n, s · p) are those of `filter_frequency`.
        """
        streams, rows, numbers = responses.shape
        count = rows + 1 - self.receptive_field
        tiles = -(-count // TILE)
        missing = tiles * TILE - count
        if missing:
            padding = np.zeros((streams, missing, numbers), np.float32)
            responses = np.concatenate([responses, padding], axis=1)
        width = TILE + self.receptive_field - 1
        # (m, tiles, t · TILE, s · p)
        filtered = self._in_time @ strided_windows(responses, width, TILE)
        parts = 2 * RIPPLES + 1
        grid = filtered.reshape(streams, tiles, parts, TILE, parts, PLACES)
        moduli = self._squared_moduli(grid).reshape(streams, tiles * TILE, -1)
        return moduli[:, :count]

    def _squared_moduli(self, grid: Matrix) -> Matrix:
        """Return the squared moduli (m, tiles, TILE, filters, p) of (m, tiles, t, TILE, s, p)."""
        streams, tiles, _, tile, _, places = grid.shape
        squares = np.square(grid)
        moving = RIPPLES * RIPPLES
        out = np.empty((streams, tiles, tile, 1 + 2 * RIPPLES + 2 * moving, places), np.float32)
        real, imaginary = slice(1, 1 + RIPPLES), slice(1 + RIPPLES, None)
        out[:, :, :, 0] = squares[:, :, 0, :, 0]
        np.add(
            squares[:, :, 0, :, real],
            squares[:, :, 0, :, imaginary],
            out=out[:, :, :, 1 : 1 + RIPPLES],
        )
        np.add(
            squares[:, :, real, :, 0].swapaxes(2, 3),
            squares[:, :, imaginary, :, 0].swapaxes(2, 3),
            out=out[:, :, :, 1 + RIPPLES : 1 + 2 * RIPPLES],
        )
        energy = squares[:, :, real, :, real] + squares[:, :, imaginary, :, imaginary]
        energy += squares[:, :, real, :, imaginary]
        energy += squares[:, :, imaginary, :, real]
        cross = grid[:, :, real, :, imaginary] * grid[:, :, imaginary, :, real]
        cross -= grid[:, :, real, :, real] * grid[:, :, imaginary, :, imaginary]
        cross += cross
        falling = 1 + 2 * RIPPLES
        for combine, begin in ((np.add, falling), (np.subtract, falling + moving)):
            to = out[:, :, :, begin : begin + moving].reshape(
                streams, tiles, tile, RIPPLES, RIPPLES, places
            )
            combine(energy, cross, out=to.transpose(0, 1, 3, 2, 4, 5))
        return out

    def vectors(self, largest: Matrix) -> Matrix:
        """Return the vectors (m, q, filters · p) of the largest squared moduli of each window."""
        grid = largest.reshape(*largest.shape[:2], len(self._norms), PLACES)
        moduli = np.sqrt(grid) * self._norms[:, None] + np.float32(MODULUS_FLOOR)
        return np.asarray(np.log(moduli).reshape(*largest.shape[:2], -1))


def _real_parts(filters: Complex) -> Floats:
    """Return the envelope, then the real and the imaginary parts of the ripples."""
    return np.concatenate([filters.real, filters.imag[1:]])


@cache
def _frequency_weights(bands: int) -> Matrix:
    """Return the weights (bands, s · p) of the filters on the bands of each pair."""
    filters = _real_parts(spectral_filters())
    weights = np.zeros((bands // 2, len(filters), PLACES))
    for place, pairs in enumerate(place_pairs(bands)):
        for tap in range(FILTER_PAIRS):
            weights[pairs[tap], :, place] += filters[:, tap]
    of_bands = np.zeros((bands, len(filters) * PLACES), np.float32)
    of_bands[: bands // 2 * 2] = np.repeat(weights.reshape(bands // 2, -1), 2, axis=0) / 2
    return of_bands


@cache
def _time_weights(frame_rate_hz: float) -> Matrix:
    """Return the weights (t · TILE, TILE + receptive field − 1) of a tile of frames."""
    filters = _real_parts(temporal_filters(frame_rate_hz))
    frames = filters.shape[1]
    weights = np.zeros((len(filters), TILE, TILE + frames - 1), np.float32)
    for frame in range(TILE):
        weights[:, frame, frame : frame + frames] = filters
    return weights.reshape(-1, TILE + frames - 1)


def _norms(frame_rate_hz: float) -> Matrix:
    """Return the factors (filters,) that give each filter unit absolute sum."""
    in_time = np.abs(temporal_filters(frame_rate_hz)).sum(1)
    in_frequency = np.abs(spectral_filters()).sum(1)
    sums = np.outer(in_time, in_frequency)
    moving = sums[1:, 1:].reshape(-1)
    return (1.0 / np.concatenate([sums[0], sums[1:, 0], moving, moving])).astype(np.float32)
